"""A run's deadline while the run goes on: how far it is, who is told, what it makes hopeless."""

from __future__ import annotations

import time
from collections.abc import Callable

from millrace.engine.errors import ItemError
from millrace.engine.fleet.aims import aim, deadline
from millrace.engine.pipeline import Pipeline
from millrace.engine.placement.case import MONEY, SPOT_ONLY
from millrace.engine.placement.model import Aim, Decision


class Due:
    """The deadline of a run that began at `started` (seconds since the epoch). `on_late` is called
    once, when the deadline is sure to be missed or has passed with work left."""

    def __init__(
        self, pipeline: Pipeline, started: float, on_late: Callable[[], None] = lambda: None
    ) -> None:
        self._pipeline, self._started = pipeline, started
        self._end = deadline(pipeline, started)
        self._on_late, self._told = on_late, False

    def left(self) -> float | None:
        """Returns the seconds to the deadline, below zero once it has passed; None: there is none.

        By the clock of this host, which is the one that the deadline is of.
        """
        return None if self._end is None else self._end - time.time()

    def aim(self, money: float | None) -> Aim:
        """Returns what placement is to aim at now, with `money` left (None: no limit)."""
        return aim(self._pipeline, self._started, time.time(), money)

    def missed(self) -> None:
        """The deadline is missed, or cannot be met any more."""
        if not self._told:
            self._told = True
            self._on_late()

    def heed(self) -> None:
        """There is work left: notices when the deadline has passed."""
        left = self.left()
        if left is not None and left < 0:
            self.missed()

    def hopeless(self, decision: Decision, *, anything_out: bool) -> dict[str, ItemError]:
        """Returns what waits for something that will not come, and why it is given up.

        Money that is spent does not come back; a pool that is down is waited for until the
        deadline has passed.
        """
        left = self.left()
        given_up: dict[str, ItemError] = {}
        for key, why in decision.waiting.items():
            if why == MONEY and not anything_out:
                given_up[key] = ItemError("budget", why, hint="raise `budget` and run again")
            elif all(part.endswith(SPOT_ONLY) for part in why.split("; ")):
                words = f"it was taken away too often, and there is nothing but spot: {why}"
                hint = "give the pool an `on_demand` price, or allow another pool, and run again"
                given_up[key] = ItemError("preempted", words, hint=hint)
            elif why != MONEY and left is not None and left <= 0:
                hint = "start a worker, or allow another pool, and run again"
                given_up[key] = ItemError("no_pool", f"{why}, and the deadline passed", hint=hint)
        return given_up
