"""A conductor's time in office: it gives signs of life, and ends when another takes the run up."""

from __future__ import annotations

import threading

from millrace.engine import halting
from millrace.engine.errors import Relieved
from millrace.engine.runs import Run

_BEAT_SECONDS = 5.0


class Tenure:
    """The office of a run's conductor, from the moment this is made until it is closed.

    The sign of life comes from a thread, since beginning over very many files takes minutes. A
    process that is stopped as a whole gives none.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.epoch = run.begin_epoch()
        self._over = threading.Event()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def heed(self) -> None:
        """Raises Relieved when this is not, or not to be, the run's conductor."""
        if self._run.epoch != self.epoch:
            raise Relieved(f"another conductor has taken up run {self._run.id}")
        if self._run.on_fleet and halting.event().is_set():
            raise Relieved(f"the machine that conducted run {self._run.id} is being taken away")

    def close(self) -> None:
        """Gives no more sign of life."""
        self._over.set()

    def _beat(self) -> None:
        while not self._over.wait(_BEAT_SECONDS) and self._run.epoch == self.epoch:
            self._run.beat()
