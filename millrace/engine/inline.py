"""One stage inside somebody else's process: a task of their own flow, a notebook, a script."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.errors import RunFailed
from millrace.engine.execution import execute
from millrace.engine.files import share
from millrace.engine.hosts.devices import inventory
from millrace.engine.outcome import Outcome
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import Settings, settings
from millrace.engine.single import single_stage
from millrace.engine.store import Store

_SUFFIXES = {"video/x-matroska": ".mkv"}  # which the standard library takes for .mpv


def stage_file(
    kind: str,
    source: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    **params: Any,
) -> Path:
    """Runs one stage over a file (a kind that gathers: over several); returns the result's path.

    It goes through the conductor, here. Without `output`, the result stays in the run's folder
    under the source's name; it is kept as long as the run is. Leases, store and journal are those
    of any run; nothing is recorded in Prefect beyond the task or flow that surrounds the call.
    Raises RunFailed with the reason when the file cannot be done, UsageError and ToolMissing.
    """
    here = settings()
    sources = [source] if isinstance(source, str | Path) else list(source)
    order = single_stage(kind, sources, output or "unnamed", params, overwrite=overwrite)
    if output is None:
        order = order.model_copy(
            update={"pipeline": order.pipeline.model_copy(update={"outputs": {}})}
        )
    run = Runs(here).create(order)

    def dispatch(name: str) -> None:
        execute(run, name, here)

    host = inventory()
    desk = partial(HereDesk, run, host, dispatch=dispatch)
    outcome = Conductor(run, order, here, host, desk).conduct()
    check(outcome)
    return Path(outcome.outputs[0]) if output is not None else _kept(run, here, Path(sources[0]))


def check(outcome: Outcome) -> Outcome:
    """Returns the outcome of a run that succeeded. Raises RunFailed for any other."""
    if outcome.state == "succeeded":
        return outcome
    failures = tuple((f.item, f.stage, f.reason) for f in outcome.failures)
    if not failures:
        raise RunFailed(f"run {outcome.run} was stopped before it was done")
    first = outcome.failures[0]
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    raise RunFailed(
        f"{first.reason}{more}",
        failures=failures,
        hint=first.hint or f"`millrace show {outcome.run}` lists what failed",
    )


def _kept(run: Run, here: Settings, source: Path) -> Path:
    """Gives the result a name in the run's folder."""
    store = Store(here.store)
    keys = [r.data["key"] for r in run.records() if r.event in ("done", "reused")]
    manifest = store.find(keys[-1])
    if manifest is None:
        raise RunFailed(f"the result of {source.name} is gone from the store")
    media_type = manifest.output.media_type
    plain = ".json" if media_type.endswith("+json") else None
    suffix = (
        _SUFFIXES.get(media_type) or plain or mimetypes.guess_extension(media_type) or source.suffix
    )
    path = run.folder / "results" / f"{source.stem}{suffix}"
    path.parent.mkdir()
    share(store.locate(manifest.output.digest), path)
    return path
