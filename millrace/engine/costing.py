"""What a run has cost: estimate against actual by stage and pool, nothing left out. Pure.

Actual = work + opening sessions + work that failed + work that was lost + what slots were held for
beyond that. In a pool a slot is paid from the first sign of life to the end of its assignment. On
this host the whole machine is paid, and assignments that run side by side share its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from pydantic import BaseModel, ConfigDict

from millrace.engine import spells
from millrace.engine.cost import Money, Price, hourly, total
from millrace.engine.journal import Record
from millrace.engine.spells import HERE, STATES, Spell, State

_HOUR = 3600.0


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Part(_Frozen):
    """Seconds of slots and their cost, of `count` batches, sessions or assignments."""

    seconds: float = 0.0
    cost: float = 0.0
    count: int = 0


class Line(_Frozen):
    """What one stage took in one pool at one price basis, in one currency.

    `estimated` is None where no cost was predicted. `parts` are by state: done, failed, opened,
    lost, idle. `out` counts assignments that are still out, whose bill is to come.
    """

    stage: str
    pool: str
    basis: str
    currency: str
    devices: tuple[str, ...]
    assignments: int
    out: int
    ends: Mapping[str, int]
    estimated_seconds: float
    estimated: float | None
    seconds: float
    cost: float
    parts: Mapping[State, Part]
    bytes: int


class RunCost(_Frozen):
    """The account of a run. Different currencies are summed apart."""

    run: str
    lines: tuple[Line, ...]
    estimated: tuple[Money, ...]
    actual: tuple[Money, ...]
    parts: Mapping[State, tuple[Money, ...]]
    out: int
    reused: int


def account(run: str, records: Iterable[Record], local: Price) -> RunCost:
    """Returns what a run has cost, at the price `local` for what was done on this host.

    Raises ValueError for figures in the journal that cannot be, and for work in a pool whose price
    was not written down: it counts neither as nothing nor as something.
    """
    seen = list(records)
    found = spells.of(seen)
    shared = share(found, hourly(local) / _HOUR)
    priced = [_priced(spell, shared, local.currency) for spell in found]
    lots: dict[tuple[str, str, str, str], list[_Priced]] = {}
    for one in priced:
        spell = one.spell
        lots.setdefault((spell.stage, spell.pool, spell.basis, one.currency), []).append(one)
    lines = tuple(_line(key, lot) for key, lot in lots.items())
    return RunCost(
        run=run,
        lines=lines,
        estimated=total(
            Money(amount=line.estimated, currency=line.currency)
            for line in lines
            if line.estimated is not None
        ),
        actual=total(Money(amount=line.cost, currency=line.currency) for line in lines),
        parts={
            state: total(
                Money(amount=line.parts[state].cost, currency=line.currency)
                for line in lines
                if state in line.parts
            )
            for state in STATES
        },
        out=sum(line.out for line in lines),
        reused=sum(record.event == "reused" for record in seen),
    )


def share(found: Sequence[Spell], price: float) -> dict[str, float]:
    """Returns what each assignment on this host costs, the machine costing `price` a second.

    At every moment its price is shared evenly by the assignments that are under way then.
    """
    local = [s for s in found if s.pool == HERE and s.began is not None and s.last > s.began]
    costs = {spell.id: 0.0 for spell in local}
    moments = sorted({moment for s in local for moment in (s.began or 0.0, s.last)})
    begins = sorted(local, key=lambda s: s.began or 0.0)
    active: dict[str, Spell] = {}
    place = 0
    for start, stop in pairwise(moments):
        active = {name: spell for name, spell in active.items() if spell.last > start}
        while place < len(begins) and (begins[place].began or 0.0) <= start:
            active[begins[place].id] = begins[place]
            place += 1
        for name in active:
            costs[name] += (stop - start) * price / len(active)
    return costs


class _Priced(_Frozen):
    spell: Spell
    currency: str
    seconds: float
    cost: float
    estimated: float | None
    parts: dict[State, Part]

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)


def _priced(spell: Spell, shared: Mapping[str, float], local: str) -> _Priced:
    """Splits what an assignment costs by what its time went into."""
    took = {state: seconds for state, seconds in spell.took.items() if spell.records.get(state)}
    counts: dict[State, int] = dict(spell.records)
    if spell.rest > 0:
        took[spell.rest_state] = took.get(spell.rest_state, 0.0) + spell.rest
        counts.setdefault(spell.rest_state, 1)
    held = sum(took.values())
    estimated = spell.cost
    if spell.pool == HERE:
        cost = shared.get(spell.id, 0.0)
        estimated = cost / held * spell.seconds if held else None
    elif spell.bill is not None:
        cost = spell.bill
    elif spell.price is not None:
        cost = held * spell.price / _HOUR
    elif held:
        raise ValueError(f"no price was written down for assignment {spell.id} in {spell.pool}")
    else:
        cost = 0.0
    parts = {
        state: Part(
            seconds=seconds, cost=cost * seconds / held if held else 0.0, count=counts[state]
        )
        for state, seconds in took.items()
    }
    if cost and not held:
        parts["idle"] = Part(cost=cost, count=1)
    currency = local if spell.pool == HERE else spell.currency
    return _Priced(
        spell=spell, currency=currency, seconds=held, cost=cost, estimated=estimated, parts=parts
    )


def _line(key: tuple[str, str, str, str], lot: Sequence[_Priced]) -> Line:
    stage, pool, basis, currency = key
    known = [one.estimated for one in lot if one.estimated is not None]
    ends: dict[str, int] = {}
    for one in lot:
        if one.spell.end:
            ends[one.spell.end] = ends.get(one.spell.end, 0) + 1
    return Line(
        stage=stage,
        pool=pool,
        basis=basis or ("own" if pool == HERE else ""),
        currency=currency,
        devices=tuple(sorted({one.spell.device for one in lot if one.spell.device})),
        assignments=len(lot),
        out=sum(one.spell.open for one in lot),
        ends=ends,
        estimated_seconds=sum(one.spell.seconds for one in lot),
        estimated=sum(known) if known else None,
        seconds=sum(one.seconds for one in lot),
        cost=sum(one.cost for one in lot),
        parts={
            state: _sum([one.parts[state] for one in lot if state in one.parts])
            for state in STATES
            if any(state in one.parts for one in lot)
        },
        bytes=sum(one.spell.bytes for one in lot),
    )


def _sum(parts: Sequence[Part]) -> Part:
    return Part(
        seconds=sum(part.seconds for part in parts),
        cost=sum(part.cost for part in parts),
        count=sum(part.count for part in parts),
    )
