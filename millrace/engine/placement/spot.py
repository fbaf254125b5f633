"""When work may go to machines that can be taken away: only with a restart to spare.

Let M be how long everything that is left would take without spot, every machine started anew, and
D the deadline. `slack` = D - M. A job may go to spot when the assignment that holds it is no longer
than the slack: if all spot machines go at its last moment, what is left still meets the deadline.
In a plan, spot work must be done by `closes` = D - R, R the longest that one job takes to do again.
Work that was sent to spot before (`Snapshot.at_risk`) counts as left.

Where M > D there is nothing to promise: every lane is used to be the least late. The last permitted
attempt of a piece never goes to spot.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millrace.engine.placement.board import EASE
from millrace.engine.placement.division import soonest
from millrace.engine.placement.model import Aim, Piece
from millrace.engine.placement.problem import Job, Lane, Pace, Problem


@dataclass(frozen=True)
class Room:
    """How much time there is for restarts. Infinite without a deadline."""

    slack: float = math.inf
    closes: float = math.inf

    def narrowed(
        self, job: Job, lanes: Sequence[Lane], paces: Mapping[tuple[str, int], Pace]
    ) -> Job:
        """Returns the job without the spot lanes that leave no time to do it again.

        A job that nothing but spot may do keeps its lanes: waiting would only make it later.
        """
        if math.isinf(self.slack) or not job.bound(lanes):
            return job
        kept = tuple(
            lane
            for lane in job.lanes
            if not lanes[lane].spot or self._allows(job, paces[job.group, lane])
        )
        return dataclasses.replace(job, lanes=kept)

    def _allows(self, job: Job, pace: Pace) -> bool:
        seconds, _ = pace.take(job.load, job.bytes_in, job.bytes_out)
        return max(seconds, pace.stretch) <= self.slack * (1 + EASE)


def last_attempt(piece: Piece, retries: int) -> bool:
    """True when another loss or preemption would be one too many."""
    return piece.losses >= retries or piece.preemptions >= retries


def room(problem: Problem, aim: Aim) -> Room:
    """Returns the room for restarts. `problem` has all jobs and those at risk, restarts in its
    delays."""
    if aim.deadline is None or not any(lane.spot for lane in problem.lanes):
        return Room()
    firm = tuple(
        dataclasses.replace(
            job, lanes=tuple(lane for lane in job.lanes if not problem.lanes[lane].spot)
        )
        for job in problem.jobs
        if job.bound(problem.lanes)
    )
    if not firm:
        return Room()
    needed = soonest(dataclasses.replace(problem, jobs=firm)).makespan
    if needed > aim.deadline * (1 + EASE):
        return Room()
    again = max(
        min(
            problem.delays[problem.lanes[lane].pool] + problem.take(job, lane)[0]
            for lane in job.lanes
        )
        for job in firm
    )
    return Room(aim.deadline - needed, aim.deadline - again)
