"""How long a decision takes: 100,000 batches over 50 pools, and 5,000 over 10.

    python benchmarks/placement.py

The fleet is made up and seeded: half of the pools rented, with spot and on-demand offers; forty
groups of three labels. The limit is 5 seconds. Beside each time: what the decision says, and how
far it is above a linear program over classes of batches and offers, below which no division can go
but for the spread of sizes within a class.
"""

from __future__ import annotations

import random
import time

import typer

from millrace.engine.fleet.pools import GIB
from millrace.engine.labels import Label
from millrace.engine.placement.case import Case
from millrace.engine.placement.decision import all_on_demand, place
from millrace.engine.placement.fluid import kinds, pour, pour_soonest
from millrace.engine.placement.model import (
    Aim,
    Group,
    Offer,
    Piece,
    PoolState,
    Snapshot,
    Speed,
)
from millrace.engine.placement.problem import Problem
from millrace.engine.placement.spot import room
from millrace.engine.stages import Needs

LIMIT = 5.0
HOUR = 3600.0


def fleet(count: int, seed: int) -> tuple[PoolState, ...]:
    """Returns pools of which every other is rented."""
    dice = random.Random(seed)
    return tuple(_pool(dice, index) for index in range(count))


def work(
    pools: tuple[PoolState, ...], batches: int, seed: int
) -> tuple[dict[str, Group], list[Piece]]:
    """Returns forty groups and their batches of 10 to 120 seconds on a common GPU."""
    dice = random.Random(seed)
    groups = {}
    for index in range(40):
        speeds = {pool.name: Speed(dice.uniform(0.5, 3.0), dice.uniform(2, 20)) for pool in pools}
        id_ = f"stage-{index:02}"
        groups[id_] = Group(
            id=id_,
            kind="video.upscale",
            version=1,
            label=Label(dice.choice((0, 1, 1, 2))),
            needs=Needs(gpu="prefer", vram=dice.choice((2, 8, 16)) * GIB),
            device="cuda",
            speeds=speeds,
        )
    pieces = [
        Piece(
            key=f"{index:06}",
            group=f"stage-{index % 40:02}",
            load=dice.uniform(10, 120),
            bytes_in=dice.randrange(1 << 20, 64 << 20),
            bytes_out=dice.randrange(1 << 20, 64 << 20),
        )
        for index in range(batches)
    ]
    return groups, pieces


def main(seed: int = 7) -> None:
    """Decides for each size and goal once, and prints how long that took."""
    row = "{:>9} {:>6} {:<24} {:>8} {:>8} {:>6}  {}"
    typer.echo(row.format("batches", "pools", "goal", "seconds", "cpu", "limit", "decision"))
    for batches, count in ((5_000, 10), (100_000, 50)):
        pools = fleet(count, seed)
        groups, pieces = work(pools, batches, seed)
        snapshot = Snapshot(pools)
        base = all_on_demand(groups, pieces, snapshot, Aim("fastest"))
        aims = {
            "cheapest": Aim(),
            "cheapest by a deadline": Aim(deadline=2.0 * base.makespan),
            "fastest": Aim("fastest"),
            "fastest within a budget": Aim("fastest", budget=0.8 * base.cost),
        }
        for words, aim in aims.items():
            begun, used = time.perf_counter(), time.process_time()
            decision = place(groups, pieces, snapshot, aim)
            seconds, used = time.perf_counter() - begun, time.process_time() - used
            said = (
                f"{len(decision.placed)} placed, {decision.makespan:.0f} s, "
                f"{decision.cost:.2f} EUR, {_above(groups, pieces, snapshot, aim, decision)}"
            )
            typer.echo(
                row.format(
                    batches, count, words, f"{seconds:.2f}", f"{used:.2f}", f"{LIMIT:.0f}", said
                )
            )


def _above(groups, pieces, snapshot, aim, decision) -> str:  # type: ignore[no-untyped-def]
    case = Case.of(groups, pieces, snapshot, lambda _offer, _group: True)
    problem: Problem = case.problem(room(case.restarted(), aim))
    classes = kinds(problem)
    if aim.prefer == "fastest":
        bound = pour_soonest(problem, classes, *([aim.budget] if aim.budget else [])) or 0.0
        return f"{(decision.makespan / bound - 1) * 100:.2f} % above the bound"
    shares = pour(problem, classes, aim.deadline or float("inf"))
    bound = sum(
        part * kind.takes[lane][1]
        for kind, share in zip(classes, shares or [], strict=True)
        for lane, part in share.items()
    )
    return f"{(decision.cost / bound - 1) * 100:.2f} % above the bound"


def _pool(dice: random.Random, index: int) -> PoolState:
    rented = index % 2 == 1
    price = dice.uniform(0.5, 4.0) / HOUR
    return PoolState(
        name=f"pool-{index:02}",
        where="cloud" if rented else "local",
        clearance=Label.INTERNAL if rented else Label.RESTRICTED,
        store="bucket" if rented else "home",
        store_clearance=Label.INTERNAL if rented else Label.RESTRICTED,
        offers=(
            (Offer("on_demand", price), Offer("spot", 0.35 * price, dice.uniform(0, 0.3) / HOUR))
            if rented
            else (Offer("own", dice.uniform(0.2, 0.8) / HOUR),)
        ),
        device="cuda",
        device_name="rtx-4090",
        vram=24 * GIB,
        cores=8,
        memory=64 * GIB,
        slots=dice.randrange(2, 40),
        free=1,
        backlog=dice.uniform(0, 120),
        start=dice.uniform(30, 180),
        cold=rented and dice.random() < 0.5,
        latency=dice.uniform(0, 2),
        bandwidth=100e6,
        egress=0.08 / GIB,
    )


if __name__ == "__main__":
    typer.run(main)
