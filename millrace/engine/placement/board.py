"""Slots being filled: which job stands in which slot of which pool, and when that slot is done.

In a slot, spot work comes first: what is lost there can still be done again on demand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from millrace.engine.placement.problem import Problem

EASE = 1e-7  # relative: sums of floats that are equal on paper


@dataclass(frozen=True)
class Division:
    """Every job's lane, by the jobs' order (None: left out), and what comes of it."""

    choice: tuple[int | None, ...]
    takes: tuple[tuple[float, float], ...]  # seconds and cost
    makespan: float
    cost: float

    @property
    def placed(self) -> int:
        """How many jobs have a lane."""
        return sum(lane is not None for lane in self.choice)


class Board:
    """The slots of all pools, filled job by job. Times are seconds from now."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        sizes = list(zip(problem.delays, problem.slots, strict=True))
        self.ends = [[delay] * count for delay, count in sizes]
        self.spots = [[delay] * count for delay, count in sizes]
        self.where: list[tuple[int, int] | None] = [None] * len(problem.jobs)
        self.takes: list[tuple[float, float]] = [(0.0, 0.0)] * len(problem.jobs)
        self.cost = 0.0

    @property
    def end(self) -> float:
        """When the last slot that is used ends."""
        used = {(self.problem.lanes[w[0]].pool, w[1]) for w in self.where if w is not None}
        return max((self.ends[pool][slot] for pool, slot in used), default=0.0)

    @property
    def sound(self) -> bool:
        """True when no spot work that could be done again runs past the time to do so."""
        limit = self.problem.closes * (1 + EASE)
        return all(
            self.spots[self.problem.lanes[where[0]].pool][where[1]] <= limit
            for job, where in enumerate(self.where)
            if where is not None and self._closing(job, where[0])
        )

    def slot(self, job: int, lane: int, seconds: float) -> int | None:
        """Returns the slot of the lane's pool that ends first and may take the job's seconds."""
        pool = self.problem.lanes[lane].pool
        ends = self.ends[pool]
        if not self._closing(job, lane):
            return min(range(len(ends)), key=ends.__getitem__)
        limit = self.problem.closes * (1 + EASE)
        open_ = [i for i, spot in enumerate(self.spots[pool]) if spot + seconds <= limit]
        return min(open_, key=lambda i: (ends[i], self.spots[pool][i])) if open_ else None

    def fit(self, job: int, lane: int, horizon: float) -> int | None:
        """Returns the fullest slot in which the job still ends by the horizon."""
        ends = self.ends[self.problem.lanes[lane].pool]
        fitting = [slot for slot in range(len(ends)) if self.keeps(job, lane, slot, horizon)]
        return max(fitting, key=lambda slot: (ends[slot], -slot)) if fitting else None

    def keeps(self, job: int, lane: int, slot: int, horizon: float) -> bool:
        """True when the job, put there, leaves the slot done by the horizon and spot by its own."""
        seconds = self.problem.take(self.problem.jobs[job], lane)[0]
        pool = self.problem.lanes[lane].pool
        if self.ends[pool][slot] + seconds > horizon * (1 + EASE):
            return False
        return not (
            self._closing(job, lane)
            and self.spots[pool][slot] + seconds > self.problem.closes * (1 + EASE)
        )

    def put(self, job: int, lane: int, slot: int, take: tuple[float, float] | None = None) -> None:
        """Puts a job into a slot; `take` where its seconds and cost there are known already."""
        take = take or self.problem.take(self.problem.jobs[job], lane)
        self.where[job], self.takes[job] = (lane, slot), take
        self._add(lane, slot, take[0], take[1])

    def lift(self, job: int) -> tuple[int, int]:
        """Takes a job out of its slot and returns its lane and slot."""
        where = self.where[job]
        if where is None:
            raise ValueError(f"job {job} is in no slot")
        self._add(*where, -self.takes[job][0], -self.takes[job][1])
        self.where[job], self.takes[job] = None, (0.0, 0.0)
        return where

    def division(self) -> Division:
        """Returns where everything is now."""
        return Division(
            tuple(None if w is None else w[0] for w in self.where),
            tuple(self.takes),
            self.end,
            math.fsum(cost for _, cost in self.takes),
        )

    def _closing(self, job: int, lane: int) -> bool:
        return (
            self.problem.lanes[lane].spot
            and math.isfinite(self.problem.closes)
            and self.problem.jobs[job].bound(self.problem.lanes)
        )

    def _add(self, lane: int, slot: int, seconds: float, cost: float) -> None:
        pool = self.problem.lanes[lane].pool
        self.ends[pool][slot] += seconds
        self.cost += cost
        if self.problem.lanes[lane].spot:
            self.spots[pool][slot] += seconds
