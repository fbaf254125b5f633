"""Dividing job by job, the longest first: quick, and close where jobs are many and small."""

from __future__ import annotations

import math

from millrace.engine.placement.board import EASE, Board
from millrace.engine.placement.problem import Problem


def fill(problem: Problem, horizon: float, order: str = "cost") -> Board:
    """Returns a board with every job in it, the longest first.

    Each takes the cheapest lane where it is done by the horizon, or, by `order` "end", the one
    where it is done first; where no lane makes the horizon, the one where it is done first.
    """
    board = Board(problem)
    takes = [{lane: problem.take(job, lane) for lane in job.lanes} for job in problem.jobs]
    longest = sorted(
        range(len(problem.jobs)),
        key=lambda i: (-min((t[0] for t in takes[i].values()), default=0.0), i),
    )
    for index in longest:
        best: tuple[tuple[float, ...], int, int] | None = None
        for lane, (seconds, cost) in takes[index].items():
            slot = board.slot(index, lane, seconds)
            if slot is None:
                continue
            end = board.ends[problem.lanes[lane].pool][slot] + seconds
            late = end > horizon * (1 + EASE)
            rank = (1.0, end, cost) if late else (0.0, end, cost)
            if order == "cost" and not late:
                rank = (0.0, cost, end)
            if best is None or (rank, lane) < (best[0], best[1]):
                best = (rank, lane, slot)
        if best is not None:
            board.put(index, best[1], best[2])
    return board


def cheapest(problem: Problem) -> Board:
    """Returns a board with every job in its cheapest lane, whenever that is done."""
    return fill(problem, math.inf)
