"""What each assignment of a run held and did, put together from the run's journal. Pure.

A spell is one assignment: a slot held from the first sign of life to its end. What passes in it is
work (`done`, `failed`), the opening of sessions (`opened`), work that came to nothing (`lost`), and
the rest (`idle`): fetching inputs, shipping results, waiting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from millrace.engine.journal import Record

State = Literal["done", "failed", "opened", "lost", "idle"]
STATES: tuple[State, ...] = ("done", "failed", "opened", "lost", "idle")
EVENTS = ("assigned", "opened", "done", "failed", "lost", "closed", "ended")
"""What has to be known of a run to tell what it took."""

_SIGNS = ("opened", "progress", "alive", "done", "failed", "lost")
HERE = "here"


@dataclass
class Spell:
    """One assignment. `price` is that of an hour of its slot, None where none was written down.

    `seconds` and `cost` are what was predicted. `took` are seconds by state, without the rest of
    `held`. `end` is how it was closed, "" while it is out.
    """

    id: str
    stage: str
    pool: str = HERE
    basis: str = ""
    device: str = ""
    host: str = ""
    price: float | None = None
    currency: str = "EUR"
    seconds: float = 0.0
    cost: float | None = None
    sent: float = 0.0
    last: float = 0.0
    began: float | None = None
    end: str = ""
    held: float | None = None
    bill: float | None = None
    bytes: int = 0
    took: dict[State, float] = field(default_factory=dict)
    records: dict[State, int] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """True while it is out in a pool."""
        return self.pool != HERE and not self.end

    @property
    def rest(self) -> float:
        """The seconds it held its slot beyond what its records tell of."""
        held = self.held
        if held is None:
            held = 0.0 if self.began is None else self.last - self.began
        return max(0.0, held - sum(self.took.values()))

    @property
    def rest_state(self) -> State:
        """What the rest is: idle when all went well, else work that was lost."""
        return "idle" if self.end in ("", "completed") else "lost"

    def heard(self, at: float) -> None:
        """Something was heard of it."""
        self.began = at if self.began is None else min(self.began, at)
        self.last = max(self.last, at)


def take(spells: dict[str, Spell], record: Record) -> Spell | None:
    """Takes a record into the spells, by assignment; returns the one it is of, None for others.

    Raises ValueError for seconds or money that cannot be: no sum is silently wrong.
    """
    name, data = str(record.data.get("assignment", "")), record.data
    if not name:
        return None
    if record.event == "assigned":
        if name in spells:  # a conductor that begins anew counts anew
            earlier = spells.pop(name)
            earlier.id = f"{name} until {record.at}"
            spells[earlier.id] = earlier
        spells[name] = Spell(
            id=name,
            stage=record.stage,
            pool=str(data.get("pool", HERE)),
            basis=str(data.get("basis") or ""),
            device=str(data.get("device", "")),
            host=str(data.get("host", "")),
            price=_amount(data, "price"),
            currency=str(data.get("currency", "EUR")),
            seconds=_amount(data, "seconds") or 0.0,
            cost=_amount(data, "cost"),
            sent=record.at,
            last=record.at,
        )
        return spells[name]
    spell = spells.setdefault(name, Spell(name, record.stage, sent=record.at, last=record.at))
    if record.event == "closed":
        spell.end = str(data.get("state", "closed"))
        spell.held, spell.bill = _amount(data, "held"), _amount(data, "cost")
        spell.last = max(spell.last, record.at)
        return spell
    if record.event in _SIGNS:
        # Here a slot is held from when it was handed out; in a pool, once a machine has taken it.
        spell.heard(spell.sent if spell.pool == HERE else record.at)
        spell.heard(max(record.at, spell.last))
    if record.event in ("done", "failed", "opened", "lost"):
        _count(spell, record)
    return spell


def of(records: Iterable[Record]) -> list[Spell]:
    """Returns the spells of a run, in the order they were handed out."""
    spells: dict[str, Spell] = {}
    for record in records:
        take(spells, record)
    return list(spells.values())


def _count(spell: Spell, record: Record) -> None:
    state: State = record.event  # type: ignore[assignment]
    spell.took[state] = spell.took.get(state, 0.0) + (_amount(record.data, "seconds") or 0.0)
    spell.records[state] = spell.records.get(state, 0) + 1
    if state == "done":
        spell.bytes += int(record.data.get("bytes", 0))
    if state == "opened" and record.data.get("device"):
        spell.device = str(record.data["device"])
        spell.host = str(record.data.get("host", spell.host))


def _amount(data: dict[str, object], name: str) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    found = float(str(value))
    if not (math.isfinite(found) and found >= 0):
        raise ValueError(f"the journal says {name} {value}, which cannot be")
    return found
