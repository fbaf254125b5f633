"""The jobs of a run on the fleet that are not answered yet: ready, or in an assignment's hands."""

from __future__ import annotations

from collections.abc import Iterable

from millrace.engine.fleet.out import Out
from millrace.engine.jobs import Pending
from millrace.engine.retries import Retries


class Shelf:
    """What is ready, by key, what each of it went through, and who has the rest.

    `changed` is True once something has come that no decision has seen.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Pending] = {}
        self.troubles = Retries()
        self.changed = False
        self._hands: dict[str, list[Out]] = {}
        self._orphans: dict[str, Out] = {}  # adopted: their jobs come onto the shelf yet
        self._twins: dict[str, list[Pending]] = {}

    def adopt(self, out: Out) -> None:
        """Expects the jobs of an assignment that an earlier conductor has sent."""
        self._orphans |= dict.fromkeys(out.keys, out)

    def put(self, pending: Pending) -> None:
        """Puts a job on the shelf, unless somebody has it, or the same bytes, in hand."""
        key = pending.job.key
        parent = self._orphans.pop(key, None)
        if parent and not parent.over and not parent.revoked:
            self.hand(parent, [pending])
        elif key in self.jobs or self._hands.get(key):
            self._twins.setdefault(key, []).append(pending)  # the same bytes under another name
        else:
            self.jobs[key] = pending
            self.changed = True

    def take(self, key: str) -> Pending | None:
        """Returns a job and takes it off the shelf; None when it is not there."""
        return self.jobs.pop(key, None)

    def hand(self, out: Out, pendings: Iterable[Pending]) -> None:
        """Gives jobs into the hands of an assignment."""
        for pending in pendings:
            out.open[pending.job.key] = pending
            self._hands.setdefault(pending.job.key, []).append(out)

    def take_back(self, out: Out) -> list[Pending]:
        """Returns what an assignment has not answered; nothing more is expected of it."""
        for key in out.open:
            self._hands[key] = [other for other in self._hands.get(key, ()) if other is not out]
        left = list(out.open.values())
        out.open.clear()
        return left

    def answered(self, key: str) -> list[Pending]:
        """A job is answered, whoever did it; returns those that waited for the same bytes."""
        self.jobs.pop(key, None)
        self._orphans.pop(key, None)
        for out in self._hands.pop(key, ()):
            out.open.pop(key, None)
        return self._twins.pop(key, [])

    def forget(self, stage: str, item: str) -> None:
        """Takes an item's jobs off the shelf."""
        for key, pending in list(self.jobs.items()):
            if (pending.stage, pending.item) == (stage, item):
                del self.jobs[key]
