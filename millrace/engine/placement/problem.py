"""What is to be divided: jobs, the lanes they may take, and what each takes and costs there.

A lane is one offer of one pool; lanes of a pool share its slots. For a job of load `l` in a lane:

    work     = l / rate                                    overhead comes with each batch
    share    = session start × min(1, work / stretch)      one session serves a whole assignment
    transfer = (bytes in + bytes out) / bandwidth          0 in pools that see the home store
    seconds  = work + share + transfer + overhead          of a slot
    cost     = seconds × price + egress × bytes out

`stretch` is the length of an assignment: 300 s, or the whole group where that is less. On spot the
seconds are those expected, interruptions included (`spot_factor`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from millrace.engine.batches import TARGET_SECONDS
from millrace.engine.fleet.pools import HOME, Basis
from millrace.engine.placement.model import Group, Offer, PoolState

_SAMPLE = 40
_MOST_EXPONENT = 40.0  # e^40: an offer so often interrupted is out of the question, yet finite


@dataclass(frozen=True, slots=True)
class Lane:
    """One offer of one pool. `pool` is its index in the problem."""

    pool: int
    name: str
    basis: Basis
    price: float  # a second of a slot
    interruptions: float  # a second

    @property
    def spot(self) -> bool:
        """True when the machine may be taken away."""
        return self.basis == "spot"


@dataclass(frozen=True, slots=True)
class Pace:
    """How a group's jobs go in one lane."""

    rate: float
    start: float
    stretch: float
    per_byte: float  # seconds
    egress: float  # a byte
    price: float
    interruptions: float
    overhead: float = 0.0

    def take(self, load: float, bytes_in: int, bytes_out: int) -> tuple[float, float]:
        """Returns the expected seconds of a slot and the cost of a job there."""
        work = load / self.rate
        seconds = (
            work
            + self.start * (work / self.stretch if work < self.stretch else 1.0)
            + (bytes_in + bytes_out) * self.per_byte
            + self.overhead
        )
        if self.interruptions:
            seconds *= spot_factor(self.interruptions, max(seconds, self.stretch))
        return seconds, seconds * self.price + bytes_out * self.egress

    def total(self, bulk: Bulk) -> tuple[float, float]:
        """Returns the seconds and the cost of many jobs at once, as the sum of `take` would be.

        Where no job is longer than an assignment that is a matter of their sums; otherwise it is
        reckoned from a regular sample.
        """
        if self.take(bulk.longest, bulk.heaviest, 0)[0] > self.stretch:
            takes = [self.take(*size) for size in bulk.sample]
            scale = bulk.count / len(takes)
            return scale * math.fsum(t[0] for t in takes), scale * math.fsum(t[1] for t in takes)
        work = bulk.load / self.rate
        seconds = work + self.start * work / self.stretch
        seconds += (bulk.bytes_in + bulk.bytes_out) * self.per_byte + self.overhead * bulk.count
        if self.interruptions:
            seconds *= spot_factor(self.interruptions, self.stretch)
        return seconds, seconds * self.price + bulk.bytes_out * self.egress


@dataclass(frozen=True, slots=True)
class Bulk:
    """Many jobs by their sums and extremes. `heaviest` are the most bytes of one job, both ways."""

    count: int
    load: float
    bytes_in: int
    bytes_out: int
    longest: float
    heaviest: int
    sample: tuple[tuple[float, int, int], ...]

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> Self:
        """Returns the sums of these jobs, at least one."""
        return cls(
            count=len(jobs),
            load=math.fsum(job.load for job in jobs),
            bytes_in=sum(job.bytes_in for job in jobs),
            bytes_out=sum(job.bytes_out for job in jobs),
            longest=max(job.load for job in jobs),
            heaviest=max(job.bytes_in + job.bytes_out for job in jobs),
            sample=tuple(
                (job.load, job.bytes_in, job.bytes_out) for job in jobs[:: -(-len(jobs) // _SAMPLE)]
            ),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A piece as the division sees it. `lanes` are those it may take."""

    key: str
    group: str
    load: float
    bytes_in: int
    bytes_out: int
    lanes: tuple[int, ...]

    def only(self, lanes: tuple[int, ...]) -> Job:
        """Returns the job with these lanes alone."""
        if lanes == self.lanes:
            return self
        return Job(self.key, self.group, self.load, self.bytes_in, self.bytes_out, lanes)

    def bound(self, lanes: Sequence[Lane]) -> bool:
        """True when something other than spot may do it, so that a restart can be kept in hand."""
        return any(not lanes[lane].spot for lane in self.lanes)


@dataclass(frozen=True)
class Problem:
    """Jobs to divide over lanes. `delays` pass before a slot of a pool begins, by pool.

    `closes` is when spot work must be done, in seconds from now: what is lost then can still be
    done again on demand. Infinite when there is no deadline.
    """

    lanes: tuple[Lane, ...]
    delays: tuple[float, ...]
    slots: tuple[int, ...]
    paces: Mapping[tuple[str, int], Pace]
    jobs: tuple[Job, ...]
    closes: float = math.inf

    def narrowed(self, wanted: Callable[[int], bool]) -> Problem:
        """Returns the problem with the wanted lanes alone, where a job has any of them."""
        known: dict[tuple[int, ...], tuple[int, ...]] = {}
        for job in self.jobs:
            if job.lanes not in known:
                known[job.lanes] = tuple(filter(wanted, job.lanes)) or job.lanes
        return replace(self, jobs=tuple(job.only(known[job.lanes]) for job in self.jobs))

    def take(self, job: Job, lane: int) -> tuple[float, float]:
        """Returns the seconds and the cost of a job in a lane."""
        return self.paces[job.group, lane].take(job.load, job.bytes_in, job.bytes_out)


def spot_factor(interruptions: float, stretch: float) -> float:
    """Returns how many times longer work holds a machine that is taken away now and then.

    With interruptions at random, λ a second, and a stretch of A seconds that begins anew after
    each, the machine is held (e^λA - 1) / λ seconds until a stretch is through: A × (1 + λA/2 + …),
    so that each interruption costs half a stretch on average. Batches are committed one by one
    and survive, so what is really lost is less: the figure errs towards on-demand.
    """
    exponent = min(interruptions * stretch, _MOST_EXPONENT)
    return math.expm1(exponent) / exponent if exponent > 1e-12 else 1.0


def lanes_of(pools: Sequence[PoolState]) -> tuple[tuple[Lane, Offer], ...]:
    """Returns a lane for each offer of each pool, in the pools' order."""
    return tuple(
        (Lane(index, pool.name, offer.basis, offer.price, _interruptions(offer)), offer)
        for index, pool in enumerate(pools)
        for offer in sorted(pool.offers, key=lambda offer: (offer.basis, offer.price))
    )


def delay(pool: PoolState, restart: bool = False) -> float:
    """Returns the seconds before new work begins in a pool; `restart`: on a machine not yet up."""
    return pool.backlog + pool.latency + (pool.start if pool.cold or restart else 0.0)


def pace(group: Group, pool: PoolState, lane: Lane, total: float) -> Pace:
    """Returns how a group, `total` its whole load, goes in a lane of the pool."""
    speed = group.speeds[pool.name]
    away = pool.store != HOME
    return Pace(
        rate=speed.rate,
        start=speed.start,
        stretch=min(TARGET_SECONDS, total / speed.rate) or TARGET_SECONDS,
        per_byte=1.0 / pool.bandwidth if away and pool.bandwidth > 0 else 0.0,
        egress=pool.egress if away else 0.0,
        price=lane.price,
        interruptions=lane.interruptions,
        overhead=speed.overhead,
    )


def _interruptions(offer: Offer) -> float:
    return offer.interruptions if offer.basis == "spot" else 0.0
