"""The flow of one assignment: a pool's share of a run. Prefect knows its id and its counts."""

from __future__ import annotations

from prefect import flow

from millrace.engine.execution import Counts, execute
from millrace.engine.runs import Runs
from millrace.engine.settings import settings


@flow(
    name="millrace-assignment",
    flow_run_name="{run_id}/{assignment_id}",
    persist_result=False,
    validate_parameters=False,
)
def assignment(run_id: str, assignment_id: str) -> Counts:
    """Carries out one assignment of a run on this host; what to do stands in the store."""
    here = settings()
    return execute(Runs(here).get(run_id), assignment_id, here)
