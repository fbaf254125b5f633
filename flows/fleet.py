"""Runs on the fleet, seen from whoever orders them: sent, watched from afar, stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from millrace.engine.errors import MillraceError, UsageError
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.journal import Reader
from millrace.engine.outcome import FailedItem, Outcome
from millrace.engine.recording.fleet import OVER, FlowRuns
from millrace.engine.recording.prefect import recording
from millrace.engine.reporting.liveness import ending
from millrace.engine.reporting.tally import Tally
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings

_POLL_SECONDS = 0.3
_CONFIRM_SECONDS = 60.0  # SIGTERM gives a worker half a minute


def send(
    order: Order,
    *,
    at: Settings | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """Orders a run of the fleet and returns it at once; a conductor of the fleet takes it up.

    Raises UsageError when no pool runs conductors or it was never deployed, ServerError when the
    server does not answer.
    """
    here = at or settings()
    fleet = load_fleet(here.fleet)
    if order.on != "fleet":
        fleet.pool(order.on)
    queue = _queue(fleet, order.priority)
    with recording(here, say):
        run = Runs(here).create(order)
        FlowRuns().conduct(run.id, queue, epoch=0)
    return run


def take_up(
    run: Run, *, at: Settings | None = None, say: Callable[[str], None] = lambda text: None
) -> None:
    """Sends another conductor for a run that has lost its own. Raises as `send` does."""
    here = at or settings()
    order = run.order()
    queue = _queue(load_fleet(here.fleet), order.priority)
    with recording(here, say):
        FlowRuns().conduct(run.id, queue, epoch=run.epoch)


def watch(run: Run, *, stop: Callable[[], bool] = lambda: False) -> Outcome | None:
    """Waits until a run is over and returns what came of it; None when `stop()` says so first."""
    reader = Reader(run.journal)
    while not stop():
        if any(record.event == "ended" for record in reader.new()) and ending(run):
            return outcome(run)
        time.sleep(_POLL_SECONDS)
    return None


def outcome(run: Run) -> Outcome:
    """Returns what came of a run that is over, from its journal."""
    tally = Tally(run.records())
    ended = tally.ended or {}
    return Outcome(
        run=run.id,
        state=ended.get("state", "failed"),
        items=ended.get("items", {"done": 0, "reused": 0, "failed": 0}),
        failures=tuple(
            FailedItem(item=f.item, stage=f.stage, code=f.code, reason=f.reason, hint=f.hint)
            for f in tally.failures.values()
        ),
        outputs=tuple(sorted(str(output["path"]) for output in tally.outputs)),
        seconds=float(ended.get("seconds", 0.0)),
        interrupted=bool(ended.get("interrupted")),
    )


def stop(
    run: Run, *, at: Settings | None = None, say: Callable[[str], None] = lambda text: None
) -> list[str]:
    """Stops everything that works for a run, conductor or not; returns what still goes on.

    An empty list means that nothing is held for it any more, and nothing bills. Raises ServerError
    when nobody can tell.
    """
    here = at or settings()
    from millrace.engine.fleet.conducting import Roads

    run.request_stop("millrace cancel")
    roads = Roads(load_fleet(here.fleet), here)
    for road in {id(road): road for road in roads.by_pool.values()}.values():
        with contextlib.suppress(MillraceError):
            road.stop(run)
    sent = {
        str(record.data["flow_run"]): str(record.data["assignment"])
        for record in run.records()
        if record.event == "sent"
    }
    with recording(here, say):
        flow_runs = FlowRuns()
        end = time.monotonic() + _CONFIRM_SECONDS
        while True:
            states = flow_runs.states(sent)
            left = [one for one, state in states.items() if state.partition(" ")[0] not in OVER]
            for flow_run in left:
                flow_runs.cancel(flow_run)
            if not left or time.monotonic() > end:
                return sorted(sent[flow_run] for flow_run in left)
            time.sleep(1.0)


def _queue(fleet: Fleet, priority: str) -> str:
    if fleet.conductors is None:
        raise UsageError(
            f"no pool of {fleet.path} runs conductors",
            hint="declare one with `runs: conductors`, and `millrace deploy`",
        )
    return f"{fleet.conductors.offers[0].basis}-{priority}"
