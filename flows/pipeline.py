"""The conductor's flow: one run of a pipeline, from its work order in the store."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.hosts.devices import inventory
from millrace.engine.recording.prefect import Reporter
from millrace.engine.runs import Runs
from millrace.engine.settings import settings
from millrace.flows.assignment import assignment


@flow(
    name="millrace-pipeline",
    flow_run_name="{run_id}",
    persist_result=False,
    validate_parameters=False,
)
def pipeline(run_id: str) -> State[Any]:
    """Conducts a run to its end here, each assignment a flow run of its own.

    The state's data is the outcome, or the exception; Prefect's server gets neither.
    """
    here = settings()
    run = Runs(here).get(run_id)
    try:
        with Reporter(run):
            host = inventory()
            desk = partial(HereDesk, run, host, dispatch=partial(_dispatch, run_id))
            outcome = Conductor(run, run.order(), here, host, desk).conduct()
    except Exception as error:  # noqa: BLE001 - its text may hold names: Prefect is told the class
        return Failed(message=type(error).__name__, data=error)
    counts = ", ".join(f"{count} {word}" for word, count in outcome.items.items())
    if outcome.state == "succeeded":
        return Completed(message=counts, data=outcome)
    return Failed(message=f"{outcome.state}: {counts}", data=outcome)


def _dispatch(run_id: str, assignment_id: str) -> None:
    result = assignment(run_id, assignment_id, return_state=True).result(raise_on_failure=False)
    if isinstance(result, BaseException):
        raise result
