"""The flow of one assignment: a pool's share of a run. Prefect knows its id and its counts."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from millrace.engine import halting
from millrace.engine.exchange.outpost import Courier, take
from millrace.engine.execution import execute
from millrace.engine.settings import settings
from millrace.engine.telling import Counts


@flow(
    name="millrace-assignment",
    flow_run_name="{run_id}/{assignment_id}",
    persist_result=False,
    validate_parameters=False,
)
def assignment(run_id: str, assignment_id: str) -> State[Any]:
    """Carries out one assignment of a run on this host; what to do stands in the store.

    The store is the conductor's own where this host sees it, else the one of its pool. The state's
    data is the counts, or the exception; Prefect's server gets neither.
    """
    here = settings()
    try:
        run = take(run_id, assignment_id, here)
        with Courier(run, assignment_id, here):
            counts = execute(run, assignment_id, here, halt=halting.event())
    except Exception as error:  # noqa: BLE001 - its text may hold names: Prefect is told the class
        return Failed(message=type(error).__name__, data=error)
    return Completed(message=told(counts), data=counts)


def told(counts: Counts) -> str:
    """Returns what Prefect is told of an assignment."""
    return f"{counts.done} done, {counts.failed} failed, {counts.lost} lost"
