"""The items of a run on their way through its stages, and what becomes of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from millrace.engine.consideration import Considered
from millrace.engine.desks import Desk
from millrace.engine.errors import BadInput, ItemError, SessionLost
from millrace.engine.expansion import Cut, Found, Node, look_up, made_of
from millrace.engine.items import Item
from millrace.engine.journal import Journal, Record
from millrace.engine.outcome import Tallies
from millrace.engine.retries import PAUSES, Retries, Trouble, trouble
from millrace.engine.store import Manifest, Store

_TOLD: dict[Trouble, str] = {
    "session": "its session died",
    "machine": "its process or machine was lost",
    "preempted": "its machine was taken away",
    "opinion": "a worker could not do it",
    "outage": "what it needs was away",
}


@dataclass
class Ticket:
    """One item on its way through one stage."""

    node: Node
    item: Item
    cut: Cut | None = None
    keys: frozenset[str] = frozenset()  # of all its batches and their join
    parts: set[str] = field(default_factory=set)
    retries: Retries = field(default_factory=Retries)
    joining: bool = False
    why: str = ""
    since: float = 0.0
    over: bool = False
    worked: bool = False
    early: list[Record] = field(default_factory=list)  # heard before the item was considered


class Tickets:
    """Every item in every stage it has reached. Only the conductor's own thread calls it.

    `supply(stage, item, result)` is told what leaves a stage, None for a failure; `stopping` tells
    that the run is being stopped, so that what is lost is not placed again; `anew(node, cut)`
    considers an item again, for a stage that has changed its mind.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        desk: Desk,
        tallies: Tallies,
        supply: Callable[[str, Item, Item | None], None],
        stopping: Callable[[], bool],
        anew: Callable[[Node, Cut], Considered],
    ) -> None:
        self._store, self._journal, self._desk, self._tallies = store, journal, desk, tallies
        self._supply, self._stopping, self._anew = supply, stopping, anew
        self._tickets: dict[tuple[str, str], Ticket] = {}
        self._resting: list[tuple[float, Ticket, str, bool]] = []  # until, of whom, key, alone
        self.open = 0

    def admit(self, node: Node, item: Item) -> Ticket:
        """Returns the ticket of an item that has reached a stage."""
        ticket = self._tickets[node.name, item.id] = Ticket(node, item)
        self.open += 1
        return ticket

    def start(self, ticket: Ticket, considered: Considered) -> None:
        """Takes up an item: what is in the store is reused, the rest goes onto the desk."""
        cut, found, why = considered.cut, considered.found, considered.why
        ticket.item, ticket.cut, ticket.why = cut.item, cut, why
        ticket.keys = frozenset({cut.join, *(share.key for share in cut.shares)} - {""})
        ticket.since = time.time()
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
        early, ticket.early = ticket.early, []
        for record in early:
            self.heed(record)

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

    def heed(self, record: Record) -> None:
        """Takes in what a record tells of a batch: done, failed or lost.

        What an earlier conductor sent may be answered while this one still measures the item.
        """
        ticket = self._tickets.get((record.stage, record.item))
        if ticket is None or ticket.over:
            return
        if ticket.cut is None:
            ticket.early.append(record)
            return
        key = record.data["key"]
        self._desk.answered(record)
        if key not in ticket.keys:
            return  # of before it was cut for another sort of device
        if record.event == "done":
            self._done(ticket, key)
        elif record.event == "failed":
            code, message = record.data["code"], record.data["message"]
            self._fail(ticket, ItemError(code, message, hint=record.data.get("hint", "")))
        else:
            lost = SessionLost(
                record.data["code"], record.data["message"], hint=record.data.get("hint", "")
            )
            what = trouble(lost.code, fault=record.data.get("fault", ""))
            counts = record.data["in_hand"] or what not in ("session", "opinion")
            self.lose(record.stage, record.item, key, lost, what if counts else "moved")

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

    def lose(
        self, stage: str, item: str, key: str, error: ItemError, what: Trouble | None = None
    ) -> None:
        """A batch was lost: back it goes, unless that happened too often. `what` says how."""
        ticket = self._tickets.get((stage, item))
        if ticket is None or ticket.over or ticket.cut is None or self._stopping():
            return
        if key not in ticket.keys:
            return  # of before it was cut for another sort of device
        if error.code == "no_gpu":
            self._cut_for_cpu(ticket, ticket.cut, error)
            return
        if error.code == "part_missing":
            ticket.joining = False
            ticket.parts.clear()
            found = Found(None, {}) if ticket.node.effect else look_up(self._store, ticket.cut)
            self._pursue(ticket, found)
            return
        made = self._store.find(key)
        if made and made.made >= ticket.since:  # meanwhile, and not before it was forced
            self._done(ticket, key)
            return
        what = what or trouble(error.code)
        if ticket.retries.exhausted(key, what):
            self.refuse(ticket, _too_often(error, ticket.retries.of(key)), key)
            return
        alone = ticket.retries.of(key)["session"] > 0
        if what == "outage":
            self._journal.write("note", stage, item, text=f"{error.message}; tried again later")
            pause = PAUSES[min(ticket.retries.of(key)["outage"], len(PAUSES)) - 1]
            self._resting.append((time.monotonic() + pause, ticket, key, alone))
        else:
            self._again(ticket, key, alone)

    def _cut_for_cpu(self, ticket: Ticket, cut: Cut, why: ItemError) -> None:
        """Takes up an item anew, for processors: no GPU of the fleet can do it."""
        name, item = ticket.node.name, ticket.item.id
        self._journal.write("recut", name, item, why=why.message)
        self._desk.forget(name, item)
        ticket.node, ticket.joining = ticket.node.without_gpu(), False
        ticket.parts.clear()
        try:
            self.start(ticket, self._anew(ticket.node, cut))
        except ItemError as error:
            self.refuse(ticket, error)

    def wake(self) -> None:
        """Puts back onto the desk what has waited long enough for something that was away."""
        if not self._resting:
            return
        now = time.monotonic()
        due = [rest for rest in self._resting if rest[0] <= now]
        self._resting = [rest for rest in self._resting if rest[0] > now]
        for _, ticket, key, alone in due:
            if not ticket.over:
                self._again(ticket, key, alone)

    def _again(self, ticket: Ticket, key: str, alone: bool) -> None:
        assert ticket.cut is not None  # noqa: S101
        if key == ticket.cut.join:
            self._desk.add_join(ticket.node, ticket.cut, ticket.why, alone=alone)
        else:
            share = next(s for s in ticket.cut.shares if s.key == key)
            self._desk.add(ticket.node, ticket.cut, share, ticket.why, alone=alone)

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
        self.open -= 1
        status: Literal["done", "reused"] = "done" if ticket.worked else "reused"
        self._journal.write("finished", ticket.node.name, ticket.item.id, status=status)
        self._tallies.item(ticket.item.id, status)
        result = made_of(ticket.item, manifest, self._store)
        self._supply(ticket.node.name, result, result)

    def refuse(self, ticket: Ticket, error: ItemError, key: str = "") -> None:
        """Fails an item and writes down why."""
        self._journal.write(
            "failed",
            ticket.node.name,
            ticket.item.id,
            key=key,
            code=error.code,
            message=error.message,
            hint=error.hint,
            known=error.known,
            fault="input" if isinstance(error, BadInput) else "stage",
        )
        self._fail(ticket, error)

    def _fail(self, ticket: Ticket, error: ItemError) -> None:
        if ticket.over:
            return
        ticket.over = True
        self.open -= 1
        self._desk.forget(ticket.node.name, ticket.item.id)
        self._tallies.failure(ticket.item.id, ticket.node.name, error)
        self._supply(ticket.node.name, ticket.item, None)


def _too_often(error: ItemError, troubles: Mapping[Trouble, int]) -> ItemError:
    """Returns the last of a batch's troubles as the reason why it is not tried again."""
    times = {what: n for what, n in troubles.items() if n and what != "moved"}
    if sum(times.values()) < 2:
        return error
    told = ", ".join(
        f"{_TOLD[what]} {n} times" if n > 1 else f"{_TOLD[what]} once" for what, n in times.items()
    )
    return ItemError(
        error.code,
        f"given up, since {told}; the last time: {error.message}",
        hint=error.hint or "the assignments' logs may tell what it does (`millrace logs`)",
    )
