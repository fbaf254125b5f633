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
        self.ends = [
            [delay] * count for delay, count in zip(problem.delays, problem.slots, strict=True)
        ]
        self.spots = [
            [delay] * count for delay, count in zip(problem.delays, problem.slots, strict=True)
        ]
        self.where: list[tuple[int, int] | None] = [None] * len(problem.jobs)
        self.takes: list[tuple[float, float]] = [(0.0, 0.0)] * len(problem.jobs)

    def slot(self, job: int, lane: int, seconds: float) -> int | None:
        """Returns the slot of the lane's pool that ends first and may take the job's seconds."""
        pool = self.problem.lanes[lane].pool
        ends = self.ends[pool]
        if (
            not self.problem.lanes[lane].spot
            or math.isinf(self.problem.closes)
            or not self.problem.jobs[job].bound(self.problem.lanes)
        ):
            return min(range(len(ends)), key=ends.__getitem__)
        limit = self.problem.closes * (1 + EASE)
        open_ = [i for i, spot in enumerate(self.spots[pool]) if spot + seconds <= limit]
        return min(open_, key=lambda i: (ends[i], self.spots[pool][i])) if open_ else None

    def put(self, job: int, lane: int, slot: int) -> None:
        """Puts a job into a slot."""
        take = self.problem.take(self.problem.jobs[job], lane)
        self.where[job], self.takes[job] = (lane, slot), take
        self._add(lane, slot, take[0])

    def lift(self, job: int) -> tuple[int, int]:
        """Takes a job out of its slot and returns where it was."""
        where = self.where[job]
        if where is None:
            raise ValueError(f"job {job} is in no slot")
        self._add(*where, -self.takes[job][0])
        self.where[job], self.takes[job] = None, (0.0, 0.0)
        return where

    def _add(self, lane: int, slot: int, seconds: float) -> None:
        pool = self.problem.lanes[lane].pool
        self.ends[pool][slot] += seconds
        if self.problem.lanes[lane].spot:
            self.spots[pool][slot] += seconds

    def division(self) -> Division:
        """Returns where everything is now."""
        used = {(self.problem.lanes[w[0]].pool, w[1]) for w in self.where if w is not None}
        return Division(
            tuple(None if w is None else w[0] for w in self.where),
            max((self.ends[pool][slot] for pool, slot in used), default=0.0),
            math.fsum(cost for _, cost in self.takes),
        )
