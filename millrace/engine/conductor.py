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
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from millrace.engine import history
from millrace.engine.consideration import Considered, Considering
from millrace.engine.dispatch import Desk
from millrace.engine.errors import ItemError, MillraceError, SessionLost, StoreError
from millrace.engine.expansion import Cut, Found, Node, look_up, made_of, nodes
from millrace.engine.forecasts import Forecaster
from millrace.engine.hosts.devices import Host
from millrace.engine.inputs import expand_inputs
from millrace.engine.items import Item
from millrace.engine.journal import Journal, Reader, Record
from millrace.engine.measuring import Measurer
from millrace.engine.outcome import Outcome, Tallies
from millrace.engine.outputs import Outputs
from millrace.engine.readiness import Admission, Readiness
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings
from millrace.engine.store import Manifest, Store
from millrace.engine.whys import Whys

MAX_LOSSES = 2
"""How often a batch may go down with its session before it counts as failed."""

_POLL_SECONDS = 0.05
_LEDGER_ROWS = 200  # written together


@dataclass
class Ticket:
    """One item on its way through one stage."""

    node: Node
    item: Item
    cut: Cut | None = None
    parts: set[str] = field(default_factory=set)
    losses: dict[str, int] = field(default_factory=dict)
    joining: bool = False
    why: str = ""
    over: bool = False
    worked: bool = False


class Conductor:
    """Conducts one run to its end. `dispatch(id)` carries out an assignment and returns after."""

    def __init__(
        self,
        run: Run,
        order: Order,
        settings: Settings,
        host: Host,
        dispatch: Callable[[str], None],
    ) -> None:
        self._run, self._order, self._settings, self._host = run, order, settings, host
        self._store = Store(settings.store)
        self._nodes = nodes(order.pipeline, order.only)
        self._journal = Journal(run.journal, "conductor")
        self._reader = Reader(run.journal)
        self._measurer = Measurer(
            settings, host, run.scratch / "measure", run.log("measure"), retry=order.retry
        )
        self._forecaster = Forecaster(settings)
        self._desk = Desk(run, host, self._journal, self._forecaster, dispatch)
        self._outputs = Outputs(order, run.id, self._store, self._journal)
        self._considering = Considering(
            order, settings, host, self._store, self._measurer, Whys(settings, run, order)
        )
        self._tallies = Tallies()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(host.cores, thread_name_prefix="measure")
        self._tickets: dict[tuple[str, str], Ticket] = {}
        self._readiness = Readiness({}, {})
        self._open = 0  # tickets and deliveries under way
        self._measuring = 0
        self._took: list[Record] = []
        self._fatal: MillraceError | None = None
        self._given_up = False

    def conduct(self) -> Outcome:
        """Runs until nothing is left to do, or the run is asked to stop. Returns what came of it.

        Raises UsageError, DocumentError, NotPermitted or ToolMissing when the run cannot go on at
        all; what was finished by then is kept.
        """
        with self._run.held():
            Runs(self._settings).sweep()
            return self._conduct()

    def _conduct(self) -> Outcome:
        began = time.monotonic()
        complete = False
        try:
            self._begin()
            while self._open or self._desk.busy:
                self._turn()
                if self._run.stopping or self._fatal:
                    self._wind_up()
                    break
            if self._fatal:
                raise self._fatal
            complete = not self._run.stopping
        except BaseException:
            self._give_up()
            raise
        finally:
            asked = self._run.stopping and not self._given_up
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._desk.close()
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
        return outcome

    # -- beginning and ending ------------------------------------------------------------------

    def _begin(self) -> None:
        self._journal.write(
            "started", run=self._run.id, pid=os.getpid(), pipeline=self._order.pipeline.name
        )
        inputs = self._outputs.settle(expand_inputs(self._order, self._nodes))
        self._readiness = Readiness(self._nodes, inputs)
        for name in self._nodes:
            self._journal.write("expected", name, items=self._readiness.expected[name])
        for name, items in inputs.items():
            for item in items:
                self._supply(name, item, item)

    def _give_up(self) -> None:
        """Stops what is out there, because the run cannot go on."""
        if not self._run.stopping:
            self._given_up = True
            self._run.request_stop("the conductor")

    def _wind_up(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._fatal:
            self._give_up()
        while self._desk.busy:
            self._hear()
            time.sleep(_POLL_SECONDS)
        self._hear()

    def _remember(self) -> None:
        """Enters what batches took into the ledger."""
        history.enter(self._took, self._nodes, self._forecaster.price, self._settings)
        self._took.clear()

    def _turn(self) -> None:
        try:
            self._inbox.get(timeout=_POLL_SECONDS)()
            while not self._inbox.empty():
                self._inbox.get()()
        except queue.Empty:
            pass
        self._hear()
        self._desk.hand_out(more_to_come=self._measuring > 0)

    def _hear(self) -> None:
        ended = self._desk.ended()  # before the journal is read: all they wrote is there by then
        for record in self._reader.new():
            if record.event in ("done", "opened"):
                self._took.append(record)
            if record.event in ("done", "failed", "lost"):
                self._heed(record)
        if len(self._took) >= _LEDGER_ROWS:
            self._remember()
        for job, error in self._desk.settle(ended):
            self._lose(job.stage, job.item, job.job.key, error)

    # -- items arriving ------------------------------------------------------------------------

    def _supply(self, source: str, item: Item, result: Item | None) -> None:
        """An input or stage has brought forth an item, or (None) failed to."""
        if result is not None and self._outputs.wants(source):
            self._open += 1
            self._threads.submit(self._deliver, source, result)
        for admission in self._readiness.bring(source, item, result):
            self._admit(admission)

    def _admit(self, admission: Admission) -> None:
        node, item = admission.node, admission.item
        ticket = self._tickets[node.name, item.id] = Ticket(node, item)
        self._open += 1
        if admission.refusal:
            self._refuse(ticket, admission.refusal)
            return
        self._measuring += 1
        self._threads.submit(self._measure, ticket, admission.sides)

    def _measure(self, ticket: Ticket, sides: Mapping[str, Item]) -> None:
        """In a thread: considers an item, and puts what came of it into the inbox."""
        node, item = ticket.node, ticket.item
        answer: Callable[[], None]
        try:
            answer = partial(self._start, ticket, self._considering.consider(node, item, sides))
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
        self._open -= 1
        self._fatal = self._fatal or fatal
        for error in failures:
            self._tallies.failure(item.id, source, error)

    def _arrive(self, answer: Callable[[], None]) -> None:
        self._measuring -= 1
        answer()

    def _turn_away(self, ticket: Ticket, error: MillraceError) -> None:
        if isinstance(error, ItemError):
            self._refuse(ticket, error)
        else:
            self._fatal = self._fatal or error

    def _start(self, ticket: Ticket, considered: Considered) -> None:
        cut, found, why = considered.cut, considered.found, considered.why
        ticket.item, ticket.cut, ticket.why = cut.item, cut, why
        name, item = ticket.node.name, ticket.item.id
        load = sum(share.load for share in cut.shares)
        notes = list(cut.work.notes)
        self._journal.write("measured", name, item, units=cut.work.units, load=load, notes=notes)
        if found.result:
            self._reuse(ticket, cut.key, found.result)
            self._finish(ticket, found.result)
            return
        batches = len(cut.shares)
        self._journal.write("cut", name, item, batches=batches, units=cut.work.units, why=why)
        ticket.worked = True
        self._pursue(ticket, found)

    def _pursue(self, ticket: Ticket, found: Found) -> None:
        """Puts on the desk what is left to do of a ticket."""
        assert ticket.cut is not None  # noqa: S101
        for key, manifest in found.parts.items():
            ticket.parts.add(key)
            self._reuse(ticket, key, manifest)
        for share in ticket.cut.shares:
            if share.key not in ticket.parts:
                self._desk.add(ticket.node, ticket.cut, share, ticket.why)
        self._join_if_ready(ticket)

    # -- what came of assignments --------------------------------------------------------------

    def _heed(self, record: Record) -> None:
        ticket = self._tickets.get((record.stage, record.item))
        if ticket is None or ticket.over:
            return
        key = record.data["key"]
        self._desk.answered(record)
        if record.event == "done":
            self._done(ticket, key)
        elif record.event == "failed":
            code, message = record.data["code"], record.data["message"]
            self._fail(ticket, ItemError(code, message, hint=record.data.get("hint", "")))
        else:
            lost = SessionLost(
                record.data["code"], record.data["message"], hint=record.data.get("hint", "")
            )
            self._lose(record.stage, record.item, key, lost, in_hand=record.data["in_hand"])

    def _done(self, ticket: Ticket, key: str) -> None:
        assert ticket.cut is not None  # noqa: S101
        if key == ticket.cut.key:
            manifest = self._store.find(key)
            if manifest is None:
                self._fail(ticket, ItemError("store", f"the result of {ticket.item.id} is gone"))
            else:
                self._finish(ticket, manifest)
            return
        ticket.parts.add(key)
        self._join_if_ready(ticket)

    def _join_if_ready(self, ticket: Ticket) -> None:
        cut = ticket.cut
        if cut and cut.join and not ticket.joining and len(ticket.parts) == len(cut.shares):
            ticket.joining = True
            self._desk.add_join(ticket.node, cut, ticket.why)

    def _lose(
        self, stage: str, item: str, key: str, error: ItemError, *, in_hand: bool = True
    ) -> None:
        """A batch went down with its session: back it goes, unless it did so too often."""
        ticket = self._tickets.get((stage, item))
        if ticket is None or ticket.over or ticket.cut is None or self._run.stopping:
            return
        if error.code == "part_missing":
            ticket.joining = False
            ticket.parts.clear()
            self._pursue(ticket, look_up(self._store, ticket.cut))
            return
        losses = ticket.losses[key] = ticket.losses.get(key, 0) + int(in_hand)
        if losses >= MAX_LOSSES:
            self._refuse(ticket, error, key)
        elif key == ticket.cut.join:
            self._desk.add_join(ticket.node, ticket.cut, ticket.why, alone=losses > 0)
        else:
            share = next(s for s in ticket.cut.shares if s.key == key)
            self._desk.add(ticket.node, ticket.cut, share, ticket.why, alone=losses > 0)

    # -- items leaving a stage -----------------------------------------------------------------

    def _reuse(self, ticket: Ticket, key: str, manifest: Manifest) -> None:
        self._journal.write(
            "reused",
            ticket.node.name,
            ticket.item.id,
            key=key,
            units=manifest.units,
            seconds=manifest.seconds,
        )

    def _finish(self, ticket: Ticket, manifest: Manifest) -> None:
        ticket.over = True
        self._open -= 1
        status: Literal["done", "reused"] = "done" if ticket.worked else "reused"
        self._journal.write("finished", ticket.node.name, ticket.item.id, status=status)
        self._tallies.item(ticket.item.id, status)
        result = made_of(ticket.item, manifest, self._store)
        self._supply(ticket.node.name, result, result)

    def _refuse(self, ticket: Ticket, error: ItemError, key: str = "") -> None:
        self._journal.write(
            "failed",
            ticket.node.name,
            ticket.item.id,
            key=key,
            code=error.code,
            message=error.message,
            hint=error.hint,
            known=error.known,
        )
        self._fail(ticket, error)

    def _fail(self, ticket: Ticket, error: ItemError) -> None:
        if ticket.over:
            return
        ticket.over = True
        self._open -= 1
        self._desk.forget(ticket.node.name, ticket.item.id)
        self._tallies.failure(ticket.item.id, ticket.node.name, error)
        self._supply(ticket.node.name, ticket.item, None)
