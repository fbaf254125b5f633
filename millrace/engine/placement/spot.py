"""When work may go to machines that can be taken away: only with a restart to spare.

Let D be the deadline, M how long everything that is left would take without spot, every machine
started anew, and R the longest that one job takes so. `slack` = D - M - R; R is kept in hand
because slots do not all end at the same moment. A job may go to spot when the assignment that
holds it is no longer than the slack: if all spot machines go at its last moment, what is left
still meets the deadline. In a plan, spot work must be done by `closes` = D - R. Work that was sent
to spot before (`Snapshot.at_risk`) counts as left.

Where M > D there is nothing to promise: every lane is used to be the least late. The last permitted
attempt of a piece never goes to spot.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millrace.engine.placement.board import EASE
from millrace.engine.placement.division import time_needed
from millrace.engine.placement.model import Aim, Piece
from millrace.engine.placement.problem import Bulk, Job, Lane, Pace, Problem


@dataclass(frozen=True)
class Room:
    """How much time there is for restarts. Infinite without a deadline."""

    slack: float = math.inf
    closes: float = math.inf

    def narrowed(
        self,
        jobs: Sequence[Job],
        lanes: Sequence[Lane],
        paces: Mapping[tuple[str, int], Pace],
    ) -> tuple[Job, ...]:
        """Returns the jobs without the spot lanes that leave no time to do them again.

        A job that nothing but spot may do keeps its lanes: waiting would only make it later.
        """
        if math.isinf(self.slack):
            return tuple(jobs)
        whole: dict[tuple[str, tuple[int, ...]], tuple[int, ...] | None] = {}
        for key, bulk in _together(jobs).items():
            whole[key] = self._of_all(bulk, *key, lanes, paces)
        narrowed = []
        for job in jobs:
            kept = whole[job.group, job.lanes]
            if kept is None:
                kept = self._of_one(job, lanes, paces)
            narrowed.append(job.only(kept))
        return tuple(narrowed)

    def _of_all(
        self,
        bulk: Bulk,
        group: str,
        open_: tuple[int, ...],
        lanes: Sequence[Lane],
        paces: Mapping[tuple[str, int], Pace],
    ) -> tuple[int, ...] | None:
        """Returns the lanes that all of them keep, None where they differ."""
        if all(lanes[lane].spot for lane in open_):
            return open_
        kept = []
        for lane in open_:
            pace = paces[group, lane]
            if not lanes[lane].spot or self._allows(pace, bulk.longest, bulk.heaviest):
                kept.append(lane)
            elif self._allows(pace, 0.0, 0):
                return None
        return tuple(kept)

    def _of_one(
        self, job: Job, lanes: Sequence[Lane], paces: Mapping[tuple[str, int], Pace]
    ) -> tuple[int, ...]:
        return tuple(
            lane
            for lane in job.lanes
            if not lanes[lane].spot
            or self._allows(paces[job.group, lane], job.load, job.bytes_in + job.bytes_out)
        )

    def _allows(self, pace: Pace, load: float, size: int) -> bool:
        return max(pace.take(load, size, 0)[0], pace.stretch) <= self.slack * (1 + EASE)


def last_attempt(piece: Piece, retries: int) -> bool:
    """True when another loss or preemption would be one too many."""
    return piece.losses >= retries or piece.preemptions >= retries


def room(problem: Problem, aim: Aim) -> Room:
    """Returns the room for restarts. `problem` has all jobs and those at risk, restarts in its
    delays."""
    if aim.deadline is None or not any(lane.spot for lane in problem.lanes):
        return Room()
    jobs = tuple(job for job in problem.jobs if job.bound(problem.lanes))
    if not jobs:
        return Room()
    problem = dataclasses.replace(problem, jobs=jobs)
    again = max(_again(problem, bulk, *key) for key, bulk in _together(jobs).items())
    needed = time_needed(problem)
    if needed > aim.deadline * (1 + EASE):
        return Room()
    return Room(aim.deadline - needed - again, aim.deadline - again)


def _together(jobs: Sequence[Job]) -> dict[tuple[str, tuple[int, ...]], Bulk]:
    """Returns the jobs' sums and extremes by group and lanes."""
    found: dict[tuple[str, tuple[int, ...]], list[Job]] = {}
    for job in jobs:
        found.setdefault((job.group, job.lanes), []).append(job)
    return {key: Bulk.of(alike) for key, alike in found.items()}


def _again(problem: Problem, bulk: Bulk, group: str, lanes: tuple[int, ...]) -> float:
    """Returns the seconds until the longest of these jobs is done again."""
    return min(
        problem.delays[problem.lanes[lane].pool]
        + problem.paces[group, lane].take(bulk.longest, bulk.heaviest, 0)[0]
        for lane in lanes
        if not problem.lanes[lane].spot
    )
