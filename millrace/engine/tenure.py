"""A conductor's time in office: it gives signs of life, and ends when another takes the run up."""

from __future__ import annotations

import time

from millrace.engine import halting
from millrace.engine.errors import Relieved
from millrace.engine.runs import Run

_BEAT_SECONDS = 5.0


class Tenure:
    """The office of a run's conductor, from the moment this is made."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.epoch = run.begin_epoch()
        self._beaten = 0.0

    def heed(self) -> None:
        """Gives a sign of life. Raises Relieved when this is not, or not to be, the conductor."""
        if self._run.epoch != self.epoch:
            raise Relieved(f"another conductor has taken up run {self._run.id}")
        if self._run.on_fleet and halting.event().is_set():
            raise Relieved(f"the machine that conducted run {self._run.id} is being taken away")
        if time.monotonic() - self._beaten >= _BEAT_SECONDS:
            self._beaten = time.monotonic()
            self._run.beat()
