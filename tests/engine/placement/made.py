"""Random fleets and work, by a seed or by hypothesis."""

from __future__ import annotations

import dataclasses
import random

from millrace.engine.fleet.pools import GIB
from millrace.engine.labels import Label
from millrace.engine.placement.model import Group, Offer, Piece, PoolState, Snapshot, Speed
from millrace.engine.stages import Needs
from tests.engine.placement.fleets import HOUR, cloud, group, pool

Question = tuple[dict[str, Group], list[Piece], Snapshot]


def small(seed: int, spot: bool = True) -> Question:
    """Returns up to ten pieces of up to two groups over up to four offers, all permitted."""
    dice = random.Random(seed)
    pools = []
    offers = 0
    for index in range(dice.choice((2, 3))):
        price = dice.uniform(0.3, 4.0) / HOUR
        rented = spot and offers <= 2 and dice.random() < 0.5
        made = (
            (Offer("on_demand", price), Offer("spot", 0.4 * price, dice.uniform(0, 0.5) / HOUR))
            if rented
            else (Offer("own", price),)
        )
        offers += len(made)
        build = cloud if rented else pool
        pools.append(
            build(
                f"pool-{index}",
                offers=made,
                slots=dice.choice((1, 1, 2)),
                backlog=dice.choice((0.0, dice.uniform(0, 60))),
                start=dice.uniform(0, 60),
                cold=dice.random() < 0.3,
                bandwidth=dice.uniform(20e6, 200e6),
                egress=dice.uniform(0, 0.1) / GIB,
            )
        )
    groups = {}
    for index in range(dice.choice((1, 2))):
        speeds = {
            p.name: Speed(dice.uniform(0.4, 3.0), dice.choice((0.0, dice.uniform(0, 20))))
            for p in pools
        }
        groups[f"g{index}"] = group(f"g{index}", speeds=speeds)
    pieces = [
        Piece(
            f"{index:02}",
            dice.choice(sorted(groups)),
            dice.uniform(20, 400),
            dice.randrange(0, 200 << 20),
            dice.randrange(0, 200 << 20),
        )
        for index in range(dice.randrange(3, 11))
    ]
    return groups, pieces, Snapshot(tuple(pools))


def wide(dice: random.Random, batches: int = 40, pools: int = 6, faults: bool = True) -> Question:
    """Returns a fleet and work for it; with `faults`, labels and troubles of all sorts."""
    fleet = tuple(_any_pool(dice, index, faults) for index in range(pools))
    groups = {
        f"g{i}": _any_group(dice, f"g{i}", fleet, faults) for i in range(dice.randrange(1, 5))
    }
    pieces = [
        Piece(
            f"{index:04}",
            dice.choice(sorted(groups)),
            dice.choice((60.0, dice.uniform(1, 500))),
            dice.randrange(0, 64 << 20),
            dice.randrange(0, 64 << 20),
            losses=dice.choice((0, 0, 0, 1, 3)),
            preemptions=dice.choice((0, 0, 0, 1, 3)),
        )
        for index in range(dice.randrange(1, batches + 1))
    ]
    return groups, pieces, Snapshot(fleet)


def _any_pool(dice: random.Random, index: int, faults: bool) -> PoolState:
    rented = dice.random() < 0.5
    price = dice.uniform(0.3, 4.0) / HOUR
    spot = Offer("spot", 0.35 * price, dice.uniform(0, 1) / HOUR)
    offers = (
        dice.choice(((Offer("on_demand", price), spot), (spot,), (Offer("on_demand", price),)))
        if rented
        else (Offer("own", price),)
    )
    made = (cloud if rented else pool)(
        f"pool-{index}",
        offers=offers,
        slots=dice.choice((1, 2, 8)),
        backlog=dice.choice((0.0, dice.uniform(0, 300))),
        start=dice.uniform(0, 120),
        cold=dice.random() < 0.3,
        bandwidth=dice.choice((0.0, dice.uniform(10e6, 200e6))),
        egress=dice.uniform(0, 0.1) / GIB,
    )
    if not faults:
        return made
    return dataclasses.replace(
        made,
        clearance=dice.choice(tuple(Label)),
        store_clearance=dice.choice(tuple(Label)),
        device=dice.choice(("cuda", "cuda", "cpu")),
        vram=dice.choice((0, 8 * GIB, 24 * GIB)),
        memory=dice.choice((8 * GIB, 64 * GIB)),
        up=dice.random() < 0.85,
        reachable=dice.random() < 0.9,
        tools=dice.choice((None, None, frozenset({"ffmpeg"}), frozenset())),
        kinds=dice.choice((None, None, {"video.upscale": 1}, {"video.upscale": 2}, {})),
        avoided=dice.choice((frozenset(), frozenset(), frozenset({"video.upscale"}))),
    )


def _any_group(dice: random.Random, id_: str, fleet: tuple[PoolState, ...], faults: bool) -> Group:
    speeds = {p.name: Speed(dice.uniform(0.4, 3.0), dice.uniform(0, 20)) for p in fleet}
    if not faults:
        return group(id_, speeds=speeds)
    return group(
        id_,
        label=dice.choice(tuple(Label)),
        needs=Needs(
            gpu=dice.choice(("no", "prefer", "require")),
            vram=dice.choice((0, 4 * GIB, 16 * GIB)),
            memory=dice.choice((0, 4 * GIB, 32 * GIB)),
            tools=dice.choice(((), ("ffmpeg",))),
        ),
        device=dice.choice(("cuda", "cuda", "cpu")),
        speeds=speeds,
    )
