"""How work gets to a pool and results come back: the seam between the conductor and its pools."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from millrace.engine.assignments import Assignment
from millrace.engine.runs import Run


class Road(Protocol):
    """The way to the pools that work from one store. Every method may be called by any thread.

    All raise StoreError while the store is out of reach.
    """

    def send(self, run: Run, assignment: Assignment) -> object:
        """Puts an assignment, and what it reads, where the pool's workers find it.

        Raises NotPermitted when the store may not hold it.
        """

    def collect(self, run: Run, assignments: Iterable[str]) -> object:
        """Brings home what these assignments have made and said since the last call."""

    def stop(self, run: Run) -> None:
        """Asks whoever works for a run to stop."""

    def revoke(self, run: Run, assignment: str) -> None:
        """Asks whoever carries out an assignment to let go of it."""

    def clean(self, run: Run) -> None:
        """Removes what a run that is over has left on the way."""


class HomeRoad:
    """The way to pools that see the conductor's own store: everything is there already."""

    def send(self, run: Run, assignment: Assignment) -> None:
        """Does nothing: the assignment stands in the run's folder."""

    def collect(self, run: Run, assignments: Iterable[str]) -> None:
        """Does nothing: workers write results and journal where they belong."""

    def stop(self, run: Run) -> None:
        """Does nothing: workers see the run's own request."""

    def revoke(self, run: Run, assignment: str) -> None:
        """Leaves the word in the run's folder."""
        run.revoke(assignment)

    def clean(self, run: Run) -> None:
        """Does nothing: the run's folder is the record."""
