"""A little fleet that runs by the clock of its events and asks `place` whenever something changes.

Spot machines of a pool are all taken at once when its trace says so, at any moment, and are not to
be had until it says otherwise. Batches are committed one by one: what runs is lost, what is done
stays. Seconds from the start; money is the fleet's.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from millrace.engine.placement.decision import place
from millrace.engine.placement.model import Aim, Group, Piece, Placed, PoolState, Snapshot

TARGET = 300.0
Outages = Sequence[tuple[float, float]]  # from, to; in order, apart from each other


@dataclass
class Running:
    """An assignment: its pieces with the moments at which each is done."""

    pool: int
    spot: bool
    price: float
    begun: float
    ends: list[tuple[float, Piece]]

    @property
    def over(self) -> float:
        """When the last piece is done."""
        return self.ends[-1][0]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: when, at what cost, and how often a machine was taken away."""

    end: float
    cost: float
    taken: int
    decisions: int
    spot_share: float


@dataclass
class World:
    """Everything that changes while the run goes on."""

    left: dict[str, Piece]
    now: float = 0.0
    cost: float = 0.0
    taken: int = 0
    decisions: int = 0
    end: float = 0.0
    on_spot: float = 0.0
    held: float = 0.0
    running: list[Running] = field(default_factory=list)


def bursty(seed: int, length: float, calm: float = 7200.0, storm: float = 1800.0) -> Outages:
    """Returns outages that come in bursts: long calm stretches, then storms of short ones."""
    dice = random.Random(seed)
    outages: list[tuple[float, float]] = []
    now = dice.expovariate(1 / calm)
    while now < length:
        over = now + dice.expovariate(1 / storm)
        while now < over:
            gone = dice.expovariate(1 / 240)
            outages.append((now, now + gone))
            now += gone + dice.expovariate(1 / 300)
        now += dice.expovariate(1 / calm)
    return outages


def run(
    group: Group,
    pieces: Sequence[Piece],
    pools: tuple[PoolState, ...],
    traces: Mapping[str, Outages],
    aim: Aim,
) -> Outcome:
    """Returns how the run goes when spot machines come and go as the traces of their pools say."""
    world = World({piece.key: piece for piece in pieces})
    while world.left or world.running:
        _send(world, group, pools, traces, aim)
        moment = min(
            [r.over for r in world.running]
            + [t for o in traces.values() for times in o for t in times if t > world.now]
        )
        world.now = moment
        _finish(world)
        _take_away(world, pools, traces)
    return Outcome(
        world.end, world.cost, world.taken, world.decisions, world.on_spot / (world.held or 1)
    )


def oracle(
    work: float, deadline: float, pools: tuple[PoolState, ...], traces: Mapping[str, Outages]
) -> float:
    """Returns what nobody can undercut who knows the traces and cuts batches at will.

    For pools of equal speed: each second of work goes to the cheapest offer that has one left.
    """
    room = [pool.slots * deadline for pool in pools]
    known = []
    for index, pool in enumerate(pools):
        gone = sum(
            max(0.0, min(b, deadline) - min(a, deadline)) for a, b in traces.get(pool.name, ())
        )
        for offer in pool.offers:
            seconds = pool.slots * (deadline - (gone if offer.basis == "spot" else 0.0))
            known.append((offer.price, index, seconds))
    cost = 0.0
    for price, index, seconds in sorted(known):
        done = min(work, seconds, room[index])
        cost, work, room[index] = cost + done * price, work - done, room[index] - done
    return cost if work <= 1e-6 else math.inf


def _send(
    world: World,
    group: Group,
    pools: tuple[PoolState, ...],
    traces: Mapping[str, Outages],
    aim: Aim,
) -> None:
    if not world.left:
        return
    snapshot = Snapshot(
        tuple(_state(world, index, pool, traces) for index, pool in enumerate(pools)),
        at_risk=tuple(p for r in world.running if r.spot for _, p in r.ends),
    )
    deadline = None if aim.deadline is None else aim.deadline - world.now
    decision = place(
        {group.id: group},
        list(world.left.values()),
        snapshot,
        dataclasses.replace(aim, deadline=deadline),
    )
    world.decisions += 1
    for index, pool in enumerate(pools):
        mine = [found for found in decision.placed if found.pool == pool.name]
        # Spot first, and the longest first, as the division reckons it.
        mine.sort(key=lambda found: (found.basis != "spot", -found.seconds, found.key))
        free = pool.slots - sum(r.pool == index for r in world.running)
        share = sum(found.seconds for found in mine) / pool.slots
        for _ in range(free):
            mine = _start(world, group, pool, index, mine, min(TARGET, share))


def _start(
    world: World, group: Group, pool: PoolState, index: int, mine: list[Placed], target: float
) -> list[Placed]:
    if not mine:
        return mine
    basis = mine[0].basis
    chosen: list[Placed] = []
    for found in mine:
        if found.basis == basis and (
            not chosen or sum(c.seconds for c in chosen) + found.seconds <= target
        ):
            chosen.append(found)
    price = next(offer.price for offer in pool.offers if offer.basis == basis)
    now = world.now + group.speeds[pool.name].start
    ends = []
    for found in chosen:
        piece = world.left.pop(found.key)
        now += piece.load / group.speeds[pool.name].rate
        ends.append((now, piece))
    world.running.append(Running(index, basis == "spot", price, world.now, ends))
    keys = {found.key for found in chosen}
    return [found for found in mine if found.key not in keys]


def _finish(world: World) -> None:
    for r in [r for r in world.running if r.over <= world.now]:
        _close(world, r)
        world.end = max(world.end, r.over)


def _take_away(world: World, pools: tuple[PoolState, ...], traces: Mapping[str, Outages]) -> None:
    for r in list(world.running):
        if r.spot and not _there(traces.get(pools[r.pool].name, ()), world.now):
            world.taken += 1
            for end, piece in r.ends:
                if end <= world.now:
                    world.end = max(world.end, end)
                else:
                    lost = dataclasses.replace(piece, preemptions=piece.preemptions + 1)
                    world.left[piece.key] = lost
            _close(world, r)


def _close(world: World, r: Running) -> None:
    held = min(world.now, r.over) - r.begun
    world.cost += held * r.price
    world.held += held
    world.on_spot += held if r.spot else 0.0
    world.running.remove(r)


def _state(world: World, index: int, pool: PoolState, traces: Mapping[str, Outages]) -> PoolState:
    mine = [r for r in world.running if r.pool == index]
    there = _there(traces.get(pool.name, ()), world.now)
    return dataclasses.replace(
        pool,
        free=pool.slots - len(mine),
        backlog=sum(r.over - world.now for r in mine) / pool.slots,
        offers=tuple(offer for offer in pool.offers if there or offer.basis != "spot"),
    )


def _there(outages: Outages, now: float) -> bool:
    return not any(a <= now < b for a, b in outages)
