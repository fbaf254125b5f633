"""The conductor's flow: one run of a pipeline, from its work order in the store."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from millrace.engine import halting
from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.errors import MillraceError, Relieved
from millrace.engine.fleet import deployed
from millrace.engine.hosts.devices import inventory
from millrace.engine.outcome import Outcome
from millrace.engine.recording.prefect import Reporter
from millrace.engine.reporting.liveness import ending
from millrace.engine.reporting.report import write_report
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import Settings, settings
from millrace.flows.assignment import assignment
from millrace.flows.returned import returned


def _named() -> str:
    given = flow_run.parameters
    return str(given.get("run_id") or given.get("scheduled") or "")


@flow(
    name="millrace-pipeline",
    flow_run_name=_named,
    persist_result=False,
    validate_parameters=False,
)
def pipeline(run_id: str = "", scheduled: str = "") -> State[Any]:
    """Conducts a run to its end: an ordered one by its id, or a new one of a deployed pipeline.

    Here each assignment is a flow run inside this one; on the fleet they go out to pools. A run of
    a deployed pipeline that lost its conductor is taken up instead of beginning another. The
    state's data is the outcome, or the exception; Prefect's server gets neither.
    """
    here = settings()
    try:
        run = Runs(here).get(run_id) if run_id else _due(here, scheduled)
        if run.conducted:
            return Completed(message=f"{run.id} has its conductor already")
        if run.on_fleet and ending(run):
            return Completed(message=f"{run.id} is over")
        with Reporter(run):
            outcome = _conduct(run, here)
    except Relieved as relieved:
        return _handed_on(run, here, relieved)
    except Exception as error:  # noqa: BLE001 - its text may hold names: Prefect is told the class
        return Failed(message=type(error).__name__, data=error)
    counts = ", ".join(f"{count} {word}" for word, count in outcome.items.items())
    if outcome.state == "succeeded":
        return Completed(message=counts, data=outcome)
    return Failed(message=f"{outcome.state}: {counts}", data=outcome)


def _handed_on(run: Run, here: Settings, relieved: Relieved) -> State[Any]:
    """Sends for another conductor where this machine is being taken away."""
    if halting.event().is_set() and not ending(run):
        from millrace.flows.fleet import take_up

        with suppress(MillraceError):
            take_up(run, at=here)
    return Completed(message=relieved.message)


def _conduct(run: Run, here: Settings) -> Outcome:
    order, host = run.order(), inventory()
    if order.on == "here":
        desk = partial(HereDesk, run, host, dispatch=partial(_dispatch, run.id))
        return Conductor(run, order, here, host, desk).conduct()
    # A run here needs none of this, and should not wait for its import.
    from millrace.engine.fleet.alerting import alert
    from millrace.engine.fleet.conducting import fleet_conductor
    from millrace.engine.fleet.reading import load_fleet
    from millrace.flows.fleet import outcome as told

    fleet = load_fleet(here.fleet)
    try:
        outcome = fleet_conductor(run, order, here, host, fleet).conduct()
    except Relieved:
        raise
    except Exception:
        alert(fleet, run, order, told(run))  # nobody may be watching a run that cannot go on
        raise
    finally:
        with suppress(OSError):  # the run is what counts, not the page about it
            write_report(run, here)
    alert(fleet, run, order, outcome)
    return outcome


def _due(here: Settings, name: str) -> Run:
    """Returns the run that a schedule's tick is for: the last one if nobody finished it, or new."""
    runs, order = Runs(here), deployed.load(here, name).order
    last = next((run for run in runs.list() if run.order().scheduled == name), None)
    if last and not ending(last):
        return last
    return runs.create(order)


def _dispatch(run_id: str, assignment_id: str) -> None:
    result = returned(assignment(run_id, assignment_id, return_state=True))
    if isinstance(result, BaseException):
        raise result
