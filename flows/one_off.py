"""Runs from Python: a whole pipeline, or one stage over one file, by one plain call."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from millrace.engine.inline import check as check_outcome
from millrace.engine.outcome import Outcome
from millrace.engine.pipeline import Pipeline, load
from millrace.engine.runs import Order
from millrace.engine.single import single_stage
from millrace.flows import run


def run_pipeline(
    pipeline: Pipeline | str | Path,
    *,
    set: Mapping[str, Any] | None = None,
    limit: int | None = None,
    only: str | None = None,
    force: tuple[str, ...] = (),
    retry: bool = False,
    overwrite: bool = False,
    on: str = "here",
    priority: Literal["high", "normal", "low"] = "normal",
    check: bool = True,
) -> Outcome:
    """Runs a pipeline (a file's path, a document's text or a Pipeline) and returns its outcome.

    `on` says who does the work: this host (`here`), the `fleet`, or the pool of that name; what a
    run of the fleet waits for is said to the logger `millrace`.
    `set` gives parameters; `limit` takes only the first items of each input; `only` stops at one
    stage; `force` names stages to do anew; `retry` tries remembered failures again; `overwrite`
    replaces other files under the outputs' names. With `check`, failed items raise RunFailed after
    everything else is done; without, they stand in the outcome. Raises DocumentError, UsageError,
    NotPermitted, ToolMissing, StoreError, ServerError.
    """
    source = ""
    if not isinstance(pipeline, Pipeline):
        source = str(pipeline) if "\n" not in str(pipeline) else ""
        pipeline = load(pipeline, set=dict(set or {}))
    else:
        pipeline = pipeline.checked()
    order = Order(
        pipeline=pipeline,
        base=pipeline.base.absolute(),
        source=str(Path(source).absolute()) if source else "",
        limit=limit,
        only=only,
        force=force,
        retry=retry,
        overwrite=overwrite,
        on=on,
        priority=priority,
    )
    outcome = run(order) if on == "here" else _on_fleet(order)
    return check_outcome(outcome) if check else outcome


def _on_fleet(order: Order) -> Outcome:
    from millrace.flows import fleet

    log = logging.getLogger("millrace")
    outcome = fleet.watch(fleet.send(order, say=log.info), say=log.warning)
    assert outcome is not None  # noqa: S101 - nothing stops this watch
    return outcome


def run_stage(
    kind: str, source: str | Path, output: str | Path, *, overwrite: bool = False, **params: Any
) -> Path:
    """Runs one stage over one file and returns the result's path.

    Raises RunFailed with the reason when the file cannot be done, and what `run_pipeline` raises.
    """
    order = single_stage(kind, [source], output, params, overwrite=overwrite)
    return Path(check_outcome(run(order)).outputs[0])
