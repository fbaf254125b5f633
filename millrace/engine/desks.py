"""What a conductor needs of a desk, whoever does the work: this host, or a fleet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from millrace.engine.batches import Share
from millrace.engine.errors import ItemError
from millrace.engine.expansion import Cut, Node
from millrace.engine.jobs import Pending
from millrace.engine.journal import Record


class Desk(Protocol):
    """Collects jobs and hands them out. Only the conductor's own thread calls it."""

    @property
    def busy(self) -> bool:
        """True while an assignment is out."""

    def add(self, node: Node, cut: Cut, share: Share, why: str, *, alone: bool = False) -> None:
        """Puts a batch on the desk; `alone` keeps it from sharing a session."""

    def add_join(self, node: Node, cut: Cut, why: str, *, alone: bool = False) -> None:
        """Puts the join of an item's finished batches on the desk."""

    def forget(self, stage: str, item: str) -> None:
        """Takes an item's jobs off the desk: the item has failed."""

    def hand_out(self, *, more_to_come: bool) -> None:
        """Sends out what can be done now. With `more_to_come`, the first jobs may wait a moment."""

    def answered(self, record: Record) -> None:
        """Takes in what a record tells of an assignment."""

    def ended(self) -> list[str]:
        """Returns the assignments that are over; asked before the journal is read."""

    def settle(self, ended: Iterable[str]) -> list[tuple[Pending, ItemError]]:
        """Closes assignments; returns the jobs that no record told the end of, and why."""

    def leave(self) -> None:
        """Lets go of everything as it is, because another conducts the run from now on."""

    def close(self) -> None:
        """Ends it. On this host, waits until every assignment has ended."""
