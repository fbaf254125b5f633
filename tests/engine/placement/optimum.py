"""The exact optimum of small questions, by another formulation and another solver's interface.

Every piece, offer and slot has a variable of its own, and seconds and costs are worked out here
from the documented formulas: nothing is shared with what is tested but the models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix

from millrace.engine.placement.model import Aim, Group, Offer, Piece, PoolState, Snapshot


@dataclass(frozen=True)
class Way:
    """A piece in a slot of a pool, paid for by an offer."""

    piece: int
    pool: int
    slot: int
    offer: Offer
    seconds: float
    cost: float


def seconds_and_cost(
    group: Group, piece: Piece, total: float, pool: PoolState, offer: Offer
) -> tuple[float, float]:
    """Returns what docs/placement.md says a piece takes and costs there."""
    speed = group.speeds[pool.name]
    stretch = min(300.0, total / speed.rate)
    work = piece.load / speed.rate
    seconds = work + speed.start * min(1.0, work / stretch)
    if pool.store != "home":
        seconds += (piece.bytes_in + piece.bytes_out) / pool.bandwidth
    if offer.basis == "spot" and offer.interruptions:
        risk = offer.interruptions * max(seconds, stretch)
        seconds *= (math.exp(risk) - 1) / risk
    egress = pool.egress * piece.bytes_out if pool.store != "home" else 0.0
    return seconds, seconds * offer.price + egress


def delay(pool: PoolState) -> float:
    """Returns the seconds before a pool begins."""
    return pool.backlog + pool.latency + (pool.start if pool.cold else 0.0)


def ways(groups: Mapping[str, Group], pieces: Sequence[Piece], snapshot: Snapshot) -> list[Way]:
    """Returns every way in which a piece that no rule forbids could be done."""
    totals = {key: sum(p.load for p in pieces if p.group == key) for key in groups}
    found = []
    for i, piece in enumerate(pieces):
        group = groups[piece.group]
        for k, pool in enumerate(snapshot.pools):
            for offer in pool.offers:
                take = seconds_and_cost(group, piece, totals[piece.group], pool, offer)
                found += [Way(i, k, slot, offer, *take) for slot in range(pool.slots)]
    return found


def least_cost(found: Sequence[Way], pieces: int, snapshot: Snapshot, deadline: float) -> float:
    """Returns the least cost at which everything is done by then; infinite where it cannot be."""
    rows, high = [_slot(found, k, s) for k, s in _slots(snapshot)], []
    for k, _ in _slots(snapshot):
        high.append(max(0.0, deadline - delay(snapshot.pools[k])))
    return _solve([w.cost for w in found], found, pieces, rows, high)


def least_end(found: Sequence[Way], pieces: int, snapshot: Snapshot, budget: float) -> float:
    """Returns when everything is done at the earliest, for no more than the budget."""
    most = sum(max(w.seconds for w in found if w.piece == i) for i in range(pieces))
    big = most + max(delay(pool) for pool in snapshot.pools)
    slots = _slots(snapshot)
    used = len(found) + 1  # columns: the ways, the end, one flag for each slot
    rows: list[dict[int, float]] = []
    high: list[float] = []
    for number, (k, s) in enumerate(slots):
        load = _slot(found, k, s)
        rows += [
            {**load, used + number: -big},
            {**load, used + number: delay(snapshot.pools[k]), len(found): -1.0},
        ]
        high += [0.0, 0.0]
    if math.isfinite(budget):
        rows.append({c: w.cost for c, w in enumerate(found)})
        high.append(budget)
    costs = [0.0] * len(found) + [1.0] + [0.0] * len(slots)
    return _solve(costs, found, pieces, rows, high)


def optimum(
    groups: Mapping[str, Group], pieces: Sequence[Piece], snapshot: Snapshot, aim: Aim
) -> float:
    """Returns the best value of the aim's goal; infinite where the limits cannot be kept."""
    found = ways(groups, pieces, snapshot)
    if aim.prefer == "fastest":
        return least_end(
            found, len(pieces), snapshot, math.inf if aim.budget is None else aim.budget
        )
    return least_cost(
        found, len(pieces), snapshot, math.inf if aim.deadline is None else aim.deadline
    )


def _slots(snapshot: Snapshot) -> list[tuple[int, int]]:
    return [(k, s) for k, pool in enumerate(snapshot.pools) for s in range(pool.slots)]


def _slot(found: Sequence[Way], pool: int, slot: int) -> dict[int, float]:
    return {c: w.seconds for c, w in enumerate(found) if (w.pool, w.slot) == (pool, slot)}


def _solve(
    costs: list[float],
    found: Sequence[Way],
    pieces: int,
    rows: list[dict[int, float]],
    high: list[float],
) -> float:
    once = lil_matrix((pieces, len(costs)))
    for column, way in enumerate(found):
        once[way.piece, column] = 1.0
    limits = lil_matrix((len(rows), len(costs)))
    for index, row in enumerate(rows):
        for column, value in row.items():
            limits[index, column] = value
    whole = np.ones(len(costs))
    upper = np.ones(len(costs))
    if len(costs) > len(found):
        whole[len(found)], upper[len(found)] = 0, np.inf
    result = milp(
        np.array(costs),
        constraints=[
            LinearConstraint(once.tocsr(), 1, 1),
            LinearConstraint(limits.tocsr(), -np.inf, np.array(high)),
        ],
        bounds=Bounds(0, upper),
        integrality=whole,
        options={"mip_rel_gap": 1e-3, "time_limit": 60},
    )
    if result.status == 2:
        return math.inf
    assert result.status == 0, result.message
    return float(result.fun)
