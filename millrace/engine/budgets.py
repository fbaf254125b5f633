"""What a run, and a fleet in a month, may still spend: spent and in flight against the limits.

An assignment that is out counts with the greater of what was predicted and what it has cost by now,
so that the limit is overstepped by no more than predictions were wrong for what is out.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from millrace.engine import spells
from millrace.engine.cost import Money, quantity
from millrace.engine.errors import StoreError, UsageError
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.journal import Reader, Record
from millrace.engine.ledger import Ledger
from millrace.engine.pipeline import Pipeline
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import Settings
from millrace.engine.spells import HERE, Spell

_HOUR = 3600.0
_LOOK_SECONDS = 10.0  # between two looks at what other runs do


@dataclass(frozen=True)
class Spending:
    """Money of a run in the fleet's currency: what is billed, what is out, and what that has cost
    by now."""

    billed: float = 0.0
    predicted: float = 0.0
    running: float = 0.0

    @property
    def committed(self) -> float:
        """What is spent or as good as spent."""
        return self.billed + self.predicted


def spending(found: Iterable[Spell], fleet: Fleet, now: float, *, since: float = 0.0) -> Spending:
    """Returns what assignments in the fleet's pools have cost, and will by prediction.

    `now` and `since` are seconds since the epoch; what was closed before `since` is left out.
    Raises ValueError for an assignment without a price or a prediction: it is never free unawares.
    """
    billed, predicted, running = 0.0, 0.0, 0.0
    for spell in found:
        if spell.pool == HERE:
            continue
        if spell.end:
            if spell.last >= since:
                billed += fleet.in_currency(_bill(spell), spell.currency)
            continue
        if spell.price is None or spell.cost is None:
            raise ValueError(f"no price was written down for {spell.id} in {spell.pool}")
        held = 0.0 if spell.began is None else max(0.0, now - spell.began)
        spent = fleet.in_currency(held * spell.price / _HOUR, spell.currency)
        running += spent
        predicted += max(spent, fleet.in_currency(spell.cost, spell.currency))
    return Spending(billed, predicted, running)


def month_start(now: float) -> float:
    """Returns when the calendar month of a moment began, by this host's clock and time zone."""
    begun = datetime.datetime.fromtimestamp(now).astimezone()
    first = begun.replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return first.timestamp()


@dataclass
class _Watched:
    """A run whose journal is followed."""

    reader: Reader
    spells: dict[str, Spell] = field(default_factory=dict)

    def look(self) -> Iterable[Spell]:
        for record in self.reader.new():
            _take(self.spells, record)
        return self.spells.values()


class Budget:
    """What a run may still spend. Only one thread asks.

    The limit of the run is its goal's `budget`, in EUR; that of the fleet its `monthly_budget`,
    which all runs share: the ledger says what ended runs cost this month, the journals of others
    what they spend now.
    """

    def __init__(
        self,
        run: Run,
        pipeline: Pipeline,
        fleet: Fleet,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises UsageError when there is no exchange rate between EUR and the fleet's currency."""
        goal = pipeline.goal
        own = goal.budget if goal else None
        self._limit = None if own is None else fleet.in_currency(quantity("a budget", own), "EUR")
        self._run, self._fleet, self._settings, self._clock = run, fleet, settings, clock
        self._mine = _Watched(Reader(run.journal))
        self._others: dict[str, _Watched] = {}
        self._settled: set[str] = set()
        self._past, self._read = 0.0, False  # what the ledger said, and whether it ever did
        self._looked = float("-inf")

    @property
    def limited(self) -> bool:
        """True when there is any limit."""
        return self._limit is not None or self._fleet.monthly_budget is not None

    def left(self, committed: float = 0.0) -> Money | None:
        """Returns the money left, 0 when there is none; None without a limit.

        `committed` is what holding the slots that are out will cost from now on, as the desk sees
        it; where it is more than was predicted, it counts. Raises StoreError when the ledger that
        the fleet's month is summed from could never be read, ValueError for a journal without
        prices.
        """
        if not self.limited:
            return None
        now = self._clock()
        mine = self._mine.look()
        more = quantity("what is committed", committed)
        whole = spending(mine, self._fleet, now)
        rooms = []
        if self._limit is not None:
            rooms.append(self._limit - whole.billed - _flight(whole, more))
        if self._fleet.monthly_budget is not None:
            month = spending(mine, self._fleet, now, since=month_start(now))
            used = month.billed + _flight(month, more) + self._elsewhere(now)
            rooms.append(self._fleet.monthly_budget - used)
        return Money(amount=max(0.0, min(rooms)), currency=self._fleet.currency)

    def amount(self, committed: float) -> float | None:
        """Returns `left` as a number in the fleet's currency, as the desk's decider asks for it."""
        money = self.left(committed)
        return None if money is None else money.amount

    def _elsewhere(self, now: float) -> float:
        """Returns what all other runs have spent and committed this month."""
        since = month_start(now)
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._find_others()
            self._past = self._summed(since)
        return self._past + sum(
            self._committed(other, now, since) for other in self._others.values()
        )

    def _committed(self, other: _Watched, now: float, since: float) -> float:
        """Returns what another run has spent and committed; one that cannot be read ends no run."""
        try:
            return spending(other.look(), self._fleet, now, since=since).committed
        except (ValueError, UsageError) as error:
            logging.getLogger(__name__).warning("a run is not in the month's sum: %s", error)
            return 0.0

    def _summed(self, since: float) -> float:
        """Returns what the ledger says of the month; what it said last while it is away: what this
        run has spent since is in its own journal."""
        try:
            sums = Ledger(self._settings.ledger).spent(
                since=since, pools=list(self._fleet.pools), without=[self._run.id, *self._others]
            )
        except StoreError:
            if self._read:
                return self._past
            raise
        self._read = True
        return sum(self._fleet.in_currency(m.amount, m.currency) for m in sums)

    def _find_others(self) -> None:
        """Finds the runs whose journals tell more than the ledger does yet."""
        for run in Runs(self._settings).list():
            known = run.id == self._run.id or run.id in self._others
            if known or not run.on_fleet or (run.id in self._settled and not run.alive):
                continue
            if run.alive or not _settled(run):
                self._others[run.id] = _Watched(Reader(run.journal))
            else:
                self._settled.add(run.id)


def _flight(found: Spending, committed: float) -> float:
    return max(found.predicted, found.running + committed)


def _bill(spell: Spell) -> float:
    if spell.bill is not None:
        return spell.bill
    if spell.price is not None:
        return (sum(spell.took.values()) + spell.rest) * spell.price / _HOUR
    raise ValueError(f"no price was written down for {spell.id} in {spell.pool}")


def _settled(run: Run) -> bool:
    """True when a run spends nothing more and its conductor has lived to enter all it spent."""
    found: dict[str, Spell] = {}
    ended = False
    for record in Reader(run.journal).new():
        ended = record.event == "ended" or (ended and record.event not in ("started", "adopted"))
        _take(found, record)
    return ended and not any(spell.open for spell in found.values())


def _take(found: dict[str, Spell], record: Record) -> None:
    """Takes a record in; figures that cannot be, from a worker, change no bill."""
    if record.event in ("assigned", "closed"):
        spells.take(found, record)
        return
    told = {"assignment": record.data.get("assignment", "")}
    spells.take(found, Record(record.event, record.at, record.stage, data=told))
