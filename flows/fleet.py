"""Runs on the fleet, seen from whoever orders them: sent, watched from afar, stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from millrace.engine.errors import MillraceError
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.journal import Journal, Reader
from millrace.engine.outcome import FailedItem, Outcome
from millrace.engine.recording.fleet import FlowRuns
from millrace.engine.recording.prefect import recording
from millrace.engine.reporting.liveness import ending
from millrace.engine.reporting.tally import Tally
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings
from millrace.flows.vigil import Vigil, conductors_queue

_POLL_SECONDS = 0.3
_CONFIRM_SECONDS = 120.0  # SIGTERM gives a worker half a minute, silence is judged after 90 s


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
        fleet.worker(order.on)
    queue = conductors_queue(fleet, order.priority)
    with recording(here, say):
        run = Runs(here).create(order)
        FlowRuns().conduct(run.id, queue, epoch=0)
    return run


def take_up(
    run: Run, *, at: Settings | None = None, say: Callable[[str], None] = lambda text: None
) -> None:
    """Sends another conductor for a run that has none; where one is on its way, that will do.

    Raises as `send` does.
    """
    here = at or settings()
    order = run.order()
    queue = conductors_queue(load_fleet(here.fleet), order.priority)
    with recording(here, say):
        FlowRuns().conduct(run.id, queue, epoch=run.epoch)


def watch(
    run: Run,
    *,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda text: None,
    at: Settings | None = None,
) -> Outcome | None:
    """Waits until a run is over and returns what came of it; None when `stop()` says so first.

    While nobody conducts it, `say` is told what it waits for; when it has lost its conductor,
    another is sent for.
    """
    reader, vigil = Reader(run.journal), Vigil(run, at or settings(), say)
    while not stop():
        if any(record.event == "ended" for record in reader.new()) and ending(run):
            return outcome(run)
        vigil.look()
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
    with recording(here, say):
        flow_runs = FlowRuns()
        end = time.monotonic() + _CONFIRM_SECONDS
        while left := _cancelled(run, flow_runs):
            if time.monotonic() > end:
                return left
            time.sleep(1.0)
    if not run.conducted:
        _conclude(run)
    return []


def _cancelled(run: Run, flow_runs: FlowRuns) -> list[str]:
    """Cancels what is out for a run; returns the assignments that are not over."""
    left = []
    for flow_run, name in flow_runs.of_run(run.id).items():
        assignment = name.removeprefix(run.id).strip("/")
        if assignment:
            left.append(assignment)
        if assignment or not run.conducted:  # a conductor that lives sees to its own end
            flow_runs.cancel(flow_run)
    return sorted(left)


def _conclude(run: Run) -> None:
    """Writes the end of a run that has no conductor to write it."""
    from millrace.engine.fleet.adoption import adoptable

    with run.held():
        if ending(run):
            return
        run.begin_epoch()  # whoever comes back is not its conductor any more
        records, now = run.records(), time.monotonic()
        tally = Tally(records)
        journal = Journal(run.journal, "conductor")
        for out in adoptable(run, records, now)[0]:
            out.state = "CANCELLED"
            journal.write("closed", out.stage, **out.bill(now))
        items = tally.items
        state = "partial" if items["done"] + items["reused"] else "failed"
        journal.write(
            "ended",
            state=state,
            items=items,
            seconds=round(tally.seconds, 3),
            outputs=len(tally.outputs),
            interrupted=True,
        )
        journal.close()
