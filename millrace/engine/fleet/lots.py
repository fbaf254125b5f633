"""Placed batches made into assignments: which go together, and what the worker is told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from millrace.engine import jobs
from millrace.engine.assignments import Assignment
from millrace.engine.batches import pack
from millrace.engine.fleet.out import Out
from millrace.engine.jobs import Pending
from millrace.engine.placement.model import Placed

_MOST = {2: 16, 3: 1}
"""Batches that may go together once all of them were lost with a machine so often. One of them may
be what ends every process that takes it: the others must not share its fate to the end."""


def by_pool(
    placed: Sequence[Placed], ready: Mapping[str, Pending], stages: Sequence[str]
) -> list[list[Placed]]:
    """Returns batches that may go together, later stages first, pool by pool."""
    lots: dict[tuple[str, int, str], list[Placed]] = {}
    rank = {stage: -n for n, stage in enumerate(stages)}
    for one in placed:
        stage = ready[one.key].stage
        lots.setdefault((one.pool, rank[stage], one.basis), []).append(one)
    return [lots[which] for which in sorted(lots)]


def share(
    lot: Sequence[Placed],
    ready: Mapping[str, Pending],
    *,
    lanes: int,
    target: float,
    losses: Callable[[str], int],
) -> tuple[list[Placed], list[Placed]]:
    """Returns what of a lot makes the next assignment, for one of `lanes`, and the rest.

    `losses(key)` says how often a batch was lost with its machine.
    """
    first = ready[lot[0].key]
    lost = losses(lot[0].key)
    alike = [
        placed
        for placed in lot
        if not ready[placed.key].alone
        and ready[placed.key].fit == first.fit
        and _often(losses(placed.key)) == _often(lost)
    ]
    if first.alone:
        mine = [lot[0]]
    else:
        chosen = pack([placed.seconds for placed in alike], lanes, target)[0]
        mine = [alike[n] for n in chosen][: _MOST.get(_often(lost), len(alike))]
    keys = {placed.key for placed in mine}
    return mine, [placed for placed in lot if placed.key not in keys]


def order(
    out: Out, taken: Sequence[Pending], epoch: int, avoid: tuple[str, ...] = ()
) -> Assignment:
    """Returns the assignment as its worker is told of it; hosts in `avoid` hand it back."""
    made = jobs.assignment(out.id, taken)
    # The sort of device is part of the keys: a worker must not choose it anew.
    gpu = "require" if made.device.kind == "cuda" else "no"
    return made.model_copy(
        update={
            "needs": made.needs.model_copy(update={"gpu": gpu}),
            "pool": out.pool,
            "basis": out.basis,
            "epoch": epoch,
            "avoid": avoid,
        }
    )


def told(
    out: Out, taken: Sequence[Pending], placed: Sequence[Placed], currency: str
) -> dict[str, Any]:
    """Returns the data of the record that an assignment is about to be sent."""
    return {
        "assignment": out.id,
        "keys": len(taken),
        "device": taken[0].device.name,
        "host": out.pool,
        "pool": out.pool,
        "basis": out.basis,
        "price": round(out.price * 3600, 6),
        "currency": currency,
        "seconds": round(out.seconds, 3),
        "cost": round(sum(one.cost for one in placed), 6),
    }


def _often(losses: int) -> int:
    return min(losses, max(_MOST)) if losses >= min(_MOST) else 0
