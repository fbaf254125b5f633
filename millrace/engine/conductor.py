"""The conductor of a run: brings items to stages as they become ready, and work to sessions.

It decides and records; it does no work itself. Items are measured by a few threads, assignments
are carried out by whoever `dispatch` hands them to, and what became of them is read from the
journal. Resume is not a mode: the store is asked first for every batch.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from millrace.engine.consideration import Considering
from millrace.engine.desks import Desk
from millrace.engine.errors import ItemError, MillraceError, Relieved, StoreError
from millrace.engine.expansion import Chooser, nodes
from millrace.engine.forecasts import Forecaster
from millrace.engine.history import History
from millrace.engine.hosts.devices import Host
from millrace.engine.inputs import expand_inputs
from millrace.engine.items import Item
from millrace.engine.journal import Journal, Reader
from millrace.engine.measuring import Measurer
from millrace.engine.outcome import Outcome, Tallies
from millrace.engine.outputs import Outputs
from millrace.engine.readiness import Admission, Readiness
from millrace.engine.reporting.liveness import ending
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings
from millrace.engine.store import Store
from millrace.engine.tenure import Tenure
from millrace.engine.tickets import Ticket, Tickets
from millrace.engine.whys import Whys

_POLL_SECONDS = 0.05
_ANSWERS = ("done", "failed", "lost")
_SIGNS = ("queued", "opened", "progress", "alive")

DeskOf = Callable[[Journal, Forecaster], Desk]
"""Makes the desk that hands out a run's work."""


class Conductor:
    """Conducts one run to its end. Who does the work is the desk's affair.

    `choice` says which device an item is cut for; without it, one of this host.
    """

    def __init__(
        self,
        run: Run,
        order: Order,
        settings: Settings,
        host: Host,
        desk_of: DeskOf,
        *,
        choice: Chooser | None = None,
    ) -> None:
        self._run, self._order, self._settings, self._host = run, order, settings, host
        self._store = Store(settings.store)
        self._nodes = nodes(order.pipeline, order.only)
        self._reader = Reader(run.journal)
        self._journal = Journal(run.journal, "conductor")
        self._measurer = Measurer(
            settings, host, run.scratch / "measure", run.log("measure"), retry=order.retry
        )
        self._forecaster = Forecaster(settings)
        self._desk_of = desk_of
        self._outputs = Outputs(order, run.id, self._store, self._journal, settings)
        self._considering = Considering(
            order, settings, host, self._store, self._measurer, Whys(settings, run, order), choice
        )
        self._tallies = Tallies()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(host.cores, thread_name_prefix="measure")
        self._readiness = Readiness({}, {})
        self._idle = False  # nothing is out any more
        self._deliveries = 0  # under way
        self._measuring = 0
        self._history = History(run.id, self._nodes, self._forecaster.price, settings)
        self._fatal: MillraceError | None = None
        self._given_up = False
        self._winding_up = False

    def conduct(self) -> Outcome:
        """Runs until nothing is left to do, or the run is asked to stop. Returns what came of it.

        Raises UsageError, DocumentError, NotPermitted or ToolMissing when the run cannot go on at
        all; what was finished by then is kept. Raises Relieved, leaving everything as it is, when
        another conductor has taken the run up or this machine is being taken away.
        """
        with self._run.held(idle=lambda: self._idle):
            if self._run.on_fleet and ending(self._run):
                raise Relieved(f"run {self._run.id} is over")
            Runs(self._settings).sweep()
            self._take_up()
            return self._conduct()

    def _take_up(self) -> None:
        """Becomes the run's conductor. Only now is it certain what the one before has done."""
        self._tenure = Tenure(self._run)
        self._earlier = self._reader.new()
        self._desk = self._desk_of(self._journal, self._forecaster)
        self._tickets = Tickets(
            self._store,
            self._journal,
            self._desk,
            self._tallies,
            self._supply,
            lambda: self._run.stopping,
            self._considering.anew,
        )

    def _conduct(self) -> Outcome:
        began = time.monotonic()
        complete = False
        try:
            self._begin()
            while self._tickets.open or self._deliveries or self._desk.busy:
                self._turn()
                if self._run.stopping or self._fatal:
                    self._wind_up()
                    break
            if self._fatal:
                raise self._fatal
            complete = not self._run.stopping
        except Relieved:
            self._leave()
            raise
        except BaseException as error:
            why = getattr(error, "message", repr(error))
            with contextlib.suppress(StoreError):
                self._journal.write("note", text=f"the run could not go on: {why}")
            self._give_up()
            self._end(began, complete=False)
            raise
        return self._end(began, complete=complete)

    def _end(self, began: float, *, complete: bool) -> Outcome:
        """Closes everything, and writes down what came of the run."""
        asked = self._run.stopping and not self._given_up
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._desk.close()
        self._idle = not self._desk.busy
        self._remember()
        self._measurer.close()
        outcome = self._tallies.outcome(
            self._run.id,
            self._outputs.delivered,
            time.monotonic() - began,
            complete=complete,
            interrupted=asked,
        )
        with contextlib.suppress(StoreError):  # a full disk must not hide what came before
            self._journal.write("ended", **outcome.record())
        self._journal.close()
        self._tenure.close()
        return outcome

    def _begin(self) -> None:
        self._history.resume(self._earlier)
        self._journal.write(
            "started" if self._tenure.epoch == 1 else "adopted",
            run=self._run.id,
            pid=os.getpid(),
            pipeline=self._order.pipeline.name,
            epoch=self._tenure.epoch,
        )
        inputs = self._outputs.settle(expand_inputs(self._order, self._nodes, self._settings))
        self._readiness = Readiness(self._nodes, inputs)
        for name in self._nodes:
            self._journal.write("expected", name, items=self._readiness.expected[name])
        for name, items in inputs.items():
            for item in items:
                self._supply(name, item, item)

    def _leave(self) -> None:
        """Lets go of the run: what is out goes on, and the next conductor adopts it."""
        self._tenure.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._desk.leave()
        self._measurer.close()
        self._journal.close()

    def _give_up(self) -> None:
        """Stops what is out there, because the run cannot go on."""
        if not self._run.stopping:
            self._given_up = True
            self._run.request_stop("the conductor")

    def _wind_up(self) -> None:
        self._winding_up = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._fatal:
            self._give_up()
        while self._desk.busy:
            self._tenure.heed()
            self._hear()
            time.sleep(_POLL_SECONDS)
        self._hear()

    def _remember(self) -> None:
        """Enters what batches took into the ledger."""
        for record in self._reader.new():  # what came last: how assignments were closed
            self._history.take(record)
        self._history.enter()

    def _turn(self) -> None:
        first = None
        with contextlib.suppress(queue.Empty):
            first = self._inbox.get(timeout=_POLL_SECONDS)
        self._tenure.heed()
        if first:
            first()
            while not self._inbox.empty():
                self._inbox.get()()
        self._hear()
        self._tickets.wake()
        self._desk.hand_out(more_to_come=self._measuring > 0)

    def _hear(self) -> None:
        ended = self._desk.ended()  # before the journal is read: all they wrote is there by then
        for record in self._reader.new():
            self._history.take(record)
            if record.event in _ANSWERS:
                self._tickets.heed(record)
            elif record.data.get("assignment") and record.event in _SIGNS:
                self._desk.answered(record)
        if self._history.due:
            self._history.enter()
            self._forecaster.refresh()
        for job, error in self._desk.settle(ended):
            self._tickets.lose(job.stage, job.item, job.job.key, error)

    def _supply(self, source: str, item: Item, result: Item | None) -> None:
        """An input or stage has brought forth an item, or (None) failed to."""
        if self._winding_up:
            return  # the next run goes on from the store
        if result is not None and self._outputs.wants(source):
            self._deliveries += 1
            self._threads.submit(self._deliver, source, result)
        for admission in self._readiness.bring(source, item, result):
            self._admit(admission)

    def _admit(self, admission: Admission) -> None:
        ticket = self._tickets.admit(admission.node, admission.item)
        if admission.refusal:
            self._tickets.refuse(ticket, admission.refusal)
            return
        self._measuring += 1
        self._threads.submit(self._measure, ticket, admission.sides)

    def _measure(self, ticket: Ticket, sides: Mapping[str, Item]) -> None:
        """In a thread: considers an item, and puts what came of it into the inbox."""
        node, item = ticket.node, ticket.item
        answer: Callable[[], None]
        try:
            considered = self._considering.consider(node, item, sides)
            answer = partial(self._tickets.start, ticket, considered)
        except MillraceError as error:
            answer = partial(self._turn_away, ticket, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours or the kind's is one item's
            what = f"{node.stage.kind} failed on {item.id}: {error!r}"
            answer = partial(self._turn_away, ticket, ItemError("crashed_kind", what))
        self._inbox.put(lambda: self._arrive(answer))

    def _deliver(self, source: str, item: Item) -> None:
        """In a thread: delivers an item, and puts what came of it into the inbox."""
        fatal: MillraceError | None = None
        failures: list[ItemError] = []
        try:
            failures = self._outputs.deliver(source, item)
        except MillraceError as error:
            fatal = error
        except Exception as error:  # noqa: BLE001 - the result is safe in the store
            failures = [ItemError("undelivered", f"{item.id} was not delivered: {error!r}")]
        self._inbox.put(lambda: self._delivered(source, item, failures, fatal))

    def _delivered(
        self, source: str, item: Item, failures: list[ItemError], fatal: MillraceError | None
    ) -> None:
        self._deliveries -= 1
        self._fatal = self._fatal or fatal
        for error in failures:
            self._tallies.failure(item.id, source, error)

    def _arrive(self, answer: Callable[[], None]) -> None:
        self._measuring -= 1
        answer()

    def _turn_away(self, ticket: Ticket, error: MillraceError) -> None:
        if isinstance(error, ItemError):
            self._tickets.refuse(ticket, error)
        else:
            self._fatal = self._fatal or error
