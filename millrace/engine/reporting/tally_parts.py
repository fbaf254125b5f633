"""The figures a tally keeps: of a stage, of an item in it, of an assignment, of a failure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_WINDOW_SECONDS = 60.0  # units/s are those of the last minute: what a person watching expects


@dataclass(frozen=True)
class Failed:
    """Why an item is not done, in words, and where it ended (a stage or an output)."""

    item: str
    stage: str
    code: str
    reason: str
    hint: str = ""
    known: bool = False
    at: float = 0.0


@dataclass
class ItemTally:
    """One item in one stage. `units` None: not measured yet."""

    units: float | None = None
    keys: dict[str, float] = field(default_factory=dict)
    batches: int = 0
    status: str = ""
    why: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def credited(self) -> float:
        """Units that count as done: never more than there are, whatever a kind reports."""
        done = sum(self.keys.values())
        return done if self.units is None else min(done, self.units)


@dataclass
class StageTally:
    """One stage so far. Times are seconds since the epoch, durations seconds of busy sessions."""

    name: str
    expected: int | None = None
    items: dict[str, ItemTally] = field(default_factory=dict)
    units: float = 0.0
    units_done: float = 0.0
    units_reused: float = 0.0
    measured: int = 0
    batches: int = 0
    batches_done: int = 0
    batches_reused: int = 0
    done: int = 0
    reused: int = 0
    failed: int = 0
    lost: int = 0
    seconds: float = 0.0
    seconds_reused: float = 0.0
    predicted: float = 0.0
    bytes: int = 0
    first: float = 0.0
    last: float = 0.0
    devices: set[str] = field(default_factory=set)
    recent: deque[tuple[float, float]] = field(default_factory=deque)

    @property
    def over(self) -> int:
        """Items that have left the stage, one way or the other."""
        return self.done + self.reused + self.failed

    def credit(self, item: ItemTally, key: str, units: float, at: float, *, reused: bool) -> None:
        """Says that `units` of the batch `key` are done by now (0: they are lost again)."""
        before = item.credited
        item.keys[key] = units
        gained = item.credited - before
        self.units_done += gained
        if reused:
            self.units_reused += gained
            return
        self.recent.append((at, self.units_done - self.units_reused))
        while len(self.recent) > 2 and self.recent[1][0] < at - _WINDOW_SECONDS:
            self.recent.popleft()

    def rate(self, now: float) -> float:
        """Units worked per second over the last minute, or since the stage began where nothing
        was reported for so long (reused units are no work); 0 = unknown."""
        if not self.recent:
            return 0.0
        earlier = [entry for entry in self.recent if entry[0] <= now - _WINDOW_SECONDS]
        worked = self.units_done - self.units_reused
        for at, before in (earlier[-1] if earlier else (self.first, 0.0), (self.first, 0.0)):
            if now > at and worked > before:
                return (worked - before) / (now - at)
        return 0.0

    def total(self, absent: int = 0) -> float:
        """Units of all the items the stage will see, the unmeasured taken as average ones.

        `absent` of the expected items will not come: they failed before.
        """
        expected = max((self.expected or 0) - absent, len(self.items))
        if not self.measured:
            return 0.0
        return self.units * max(1.0, expected / self.measured)

    def fraction(self, absent: int = 0) -> float:
        """How much of the stage is over, 0 to 1: by units where they are known, else by items."""
        expected = max((self.expected or 0) - absent, len(self.items))
        if not expected:
            return 1.0 if self.expected is not None else 0.0
        by_items = self.over / expected
        total = self.total(absent)
        return min(1.0, max(by_items, self.units_done / total if total else 0.0))

    def eta(self, now: float, absent: int = 0) -> float | None:
        """Seconds until the stage is over at the present rate; None = cannot be told yet."""
        rate, total = self.rate(now), self.total(absent)
        return max(0.0, total - self.units_done) / rate if rate and total else None


@dataclass
class Bar:
    """One batch on the timeline."""

    stage: str
    item: str
    start: float
    end: float
    good: bool


@dataclass
class AssignmentTally:
    """One assignment: when it was given out, when its session was open, and its batches."""

    name: str
    stage: str
    device: str
    start: float
    opened: float = 0.0
    end: float = 0.0
    bars: list[Bar] = field(default_factory=list)
