"""Prefect flows: the conductor of a run, one assignment in a pool, and the one-off flows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from millrace.engine.errors import ServerError
from millrace.engine.outcome import Outcome
from millrace.engine.recording.prefect import recording
from millrace.engine.reporting.report import write_report
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings


def run(
    order: Order,
    *,
    at: Settings | None = None,
    say: Callable[[str], None] = lambda text: None,
    on_run: Callable[[Run], None] = lambda run: None,
) -> Outcome:
    """Carries out a work order here and returns what came of it; Prefect records it.

    `say` hears what takes time before the work begins, `on_run` gets the run once it has an id:
    its journal tells everything from then on. Raises what `Conductor.conduct` raises, and
    ServerError when no Prefect server can be had.
    """
    here = at or settings()
    with recording(here, say):
        # Prefect reads its settings from the environment when it is imported, so not before.
        from millrace.flows.pipeline import pipeline
        from millrace.flows.returned import returned

        this = Runs(here).create(order)
        on_run(this)
        try:
            state = pipeline(this.id, return_state=True)
            outcome = returned(state)
        finally:
            with suppress(OSError):  # the run is what counts, not the page about it
                write_report(this, here)
    if isinstance(outcome, Outcome):
        return outcome
    if isinstance(outcome, BaseException):
        raise outcome
    raise ServerError(f"Prefect ended run {this.id} in an unexpected state: {state.name}")
