"""Stages that wait for a person: they begin when somebody has approved them."""

from __future__ import annotations

from millrace.engine.jobs import Pending
from millrace.engine.journal import Journal
from millrace.engine.runs import Run


class Approvals:
    """Tells which jobs may begin, and says once in the journal that a stage waits."""

    def __init__(self, run: Run, journal: Journal) -> None:
        self._run, self._journal = run, journal
        self._asked: set[str] = set()
        self._given: set[str] = set()

    def given(self, pending: Pending) -> bool:
        """True when the job's stage asks for nobody, or was approved."""
        stage = pending.stage
        if not pending.node.spec.approve or stage in self._given:
            return True
        if self._run.approved(stage):
            self._given.add(stage)
            return True
        if stage not in self._asked:
            self._asked.add(stage)
            self._journal.write("awaiting", stage)
        return False
