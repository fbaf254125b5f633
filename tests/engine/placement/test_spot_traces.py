"""Runs beside spot machines that come and go in bursts: on time, and never above on demand."""

from __future__ import annotations

import dataclasses
import random

import pytest

from millrace.engine.placement.decision import place
from millrace.engine.placement.model import Aim, Group, Offer, Piece, PoolState, Snapshot, Speed
from tests.engine.placement.fleets import HOUR, cloud, group, pool
from tests.engine.placement.simulated import Outages, Outcome, bursty, oracle, run

POOLS = (
    pool(slots=1),
    cloud(
        slots=3,
        store="home",
        offers=(Offer("on_demand", 3.6 / HOUR), Offer("spot", 1.08 / HOUR, 2.0 / HOUR)),
    ),
)


def work(seed: int, count: int = 50) -> tuple[Group, list[Piece]]:
    dice = random.Random(seed)
    speeds = {p.name: Speed(1.0, 5.0) for p in POOLS}
    return group(speeds=speeds), [
        Piece(f"{i:04}", "scale", dice.uniform(20, 120)) for i in range(count)
    ]


def firm(pools: tuple[PoolState, ...]) -> tuple[PoolState, ...]:
    return tuple(
        dataclasses.replace(p, offers=tuple(o for o in p.offers if o.basis != "spot"))
        for p in pools
    )


def deadline(seed: int, ease: float) -> float:
    """Returns a deadline that what is firm meets with one restart to spare, and some ease."""
    group_, pieces = work(seed)
    needed = place({"scale": group_}, pieces, Snapshot(firm(POOLS)), Aim("fastest")).makespan
    return needed * ease + 300 + 125


def outcomes(seed: int, ease: float) -> tuple[Outcome, Outcome, float]:
    group_, pieces = work(seed)
    by = deadline(seed, ease)
    traces: dict[str, Outages] = {"burst": bursty(seed, 4 * by, calm=by / 3)}
    mixed = run(group_, pieces, POOLS, traces, Aim(deadline=by))
    rented = run(group_, pieces, firm(POOLS), traces, Aim(deadline=by))
    best = oracle(sum(p.load for p in pieces), by, POOLS, traces)
    assert mixed.end <= by
    assert mixed.cost >= best * (1 - 1e-9)
    return mixed, rented, best


def test_bursts_of_lost_spot_machines_cost_neither_the_deadline_nor_the_savings():
    found = [outcomes(seed, 2.0) for seed in range(3)]
    assert sum(mixed.taken for mixed, _, _ in found) > 0
    assert sum(mixed.cost for mixed, _, _ in found) < sum(rented.cost for _, rented, _ in found)


@pytest.mark.slow
@pytest.mark.parametrize("ease", [1.0, 2.0])
def test_many_traces_never_cost_the_deadline(ease):
    for seed in range(100, 103):
        outcomes(seed, ease)


def test_when_every_spot_machine_goes_at_the_worst_moment_the_deadline_is_still_met():
    group_, pieces = work(1)
    by = deadline(1, 1.1)
    # Gone just before the first assignments would be done, again and again.
    outages = [(t, t + 5.0) for t in range(290, int(by), 300)]
    found = run(group_, pieces, POOLS, {"burst": outages}, Aim(deadline=by))
    assert found.end <= by
