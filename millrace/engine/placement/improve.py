"""Making a division better job by job: what rounding broke is mended, what is dear moves.

Every step is taken only if it helps and breaks nothing, and their number is bounded, so it ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from millrace.engine.placement.board import EASE, Board

_MOST_JOBS = 1500  # for which every pair is worth a look
_PASSES = 6
_STEPS = 400


def mend(board: Board, horizon: float, budget: float = math.inf) -> None:
    """Moves what ends after the horizon, or breaks the rule of spot, to where it fits for least."""
    for job in _broken(board, horizon):
        lane, slot = board.lift(job)
        found = _cheapest_fit(board, job, horizon, budget - board.cost)
        board.put(job, *(found or (lane, slot)))


def afford(board: Board, cheapest: Mapping[int, int], budget: float) -> None:
    """Moves jobs to their cheapest lanes, the greatest savings first, until the budget covers
    all."""
    problem = board.problem
    savings = []
    for job, lane in cheapest.items():
        saving = board.takes[job][1] - problem.take(problem.jobs[job], lane)[1]
        if saving > 0:
            savings.append((-saving, job, lane))
    for _, job, lane in sorted(savings):
        if board.cost <= budget * (1 + EASE):
            return
        before = board.lift(job)
        slot = board.slot(job, lane, problem.take(problem.jobs[job], lane)[0])
        board.put(job, *before if slot is None else (lane, slot))


def cheapen(board: Board, horizon: float) -> None:
    """Moves and swaps jobs while that costs less and everything still ends by the horizon."""
    if len(board.problem.jobs) > _MOST_JOBS:
        return
    for _ in range(_PASSES):
        if not (_cheaper_moves(board, horizon) | _cheaper_swaps(board, horizon)):
            return


def hasten(board: Board, budget: float = math.inf) -> None:
    """Takes jobs out of the slot that ends last, by a move or a swap, while that ends sooner."""
    if len(board.problem.jobs) > _MOST_JOBS:
        return
    for _ in range(_STEPS):
        if not (_sooner_move(board, budget) or _sooner_swap(board, budget)):
            return


def _broken(board: Board, horizon: float) -> list[int]:
    problem = board.problem
    if math.isinf(horizon) and math.isinf(problem.closes):
        return []
    excess: dict[tuple[int, int], float] = {}
    broken = []
    jobs = [(board.takes[job][0], job) for job, where in enumerate(board.where) if where]
    for seconds, job in sorted(jobs):  # the shortest mend most easily
        lane, slot = board.where[job] or (0, 0)
        pool = problem.lanes[lane].pool
        over = excess.setdefault((pool, slot), board.ends[pool][slot] - horizon * (1 + EASE))
        closed = board.spots[pool][slot] - problem.closes * (1 + EASE)
        risky = problem.lanes[lane].spot and closed > 0
        if over > 0 or risky:
            broken.append(job)
            excess[pool, slot] = over - seconds
    return broken


def _cheapest_fit(board: Board, job: int, horizon: float, money: float) -> tuple[int, int] | None:
    problem = board.problem
    known = problem.jobs[job]
    for cost, lane in sorted((problem.take(known, lane)[1], lane) for lane in known.lanes):
        if cost > money + EASE:
            return None
        slot = board.fit(job, lane, horizon)
        if slot is not None:
            return lane, slot
    return None


def _cheaper_moves(board: Board, horizon: float) -> bool:
    moved = False
    for job in _dearest(board):
        before = board.takes[job][1]
        lane, slot = board.lift(job)
        found = _cheapest_fit(board, job, horizon, before * (1 - 1e-9) - EASE)
        board.put(job, *(found or (lane, slot)))
        moved = moved or found is not None
    return moved


def _cheaper_swaps(board: Board, horizon: float) -> bool:
    problem, swapped = board.problem, False
    order = _dearest(board)[:200]
    for a in order:
        for b in order:
            here, there = board.where[a], board.where[b]
            if a >= b or here is None or there is None or here[0] == there[0]:
                continue
            job_a, job_b = problem.jobs[a], problem.jobs[b]
            if there[0] not in job_a.lanes or here[0] not in job_b.lanes:
                continue
            cost = problem.take(job_a, there[0])[1] + problem.take(job_b, here[0])[1]
            if cost >= (board.takes[a][1] + board.takes[b][1]) * (1 - 1e-9):
                continue
            swapped = _swap(board, a, b, horizon) or swapped
    return swapped


def _swap(board: Board, a: int, b: int, horizon: float) -> bool:
    """Swaps two jobs' places if both slots still keep the horizon."""
    here, there = board.lift(a), board.lift(b)
    if board.keeps(a, *there, horizon):
        board.put(a, *there)
        if board.keeps(b, *here, horizon):
            board.put(b, *here)
            return True
        board.lift(a)
    board.put(a, *here)
    board.put(b, *there)
    return False


def _dearest(board: Board) -> list[int]:
    return sorted(
        (job for job, where in enumerate(board.where) if where is not None),
        key=lambda job: (-board.takes[job][1], job),
    )


def _last(board: Board) -> tuple[float, list[int]]:
    """Returns when the last slot ends, and the jobs in it, the shortest first."""
    by_slot: dict[tuple[int, int], list[int]] = {}
    for job, where in enumerate(board.where):
        if where is not None:
            by_slot.setdefault((board.problem.lanes[where[0]].pool, where[1]), []).append(job)
    ends = {key: board.ends[key[0]][key[1]] for key in by_slot}
    last = max(ends, key=lambda key: (ends[key], key))
    return ends[last], sorted(by_slot[last], key=lambda job: (board.takes[job][0], job))


def _sooner_move(board: Board, budget: float) -> bool:
    end, jobs = _last(board)
    problem, limit = board.problem, end * (1 - 1e-9) - EASE
    for job in jobs:
        cost = board.takes[job][1]
        lane, slot = board.lift(job)
        best: tuple[float, int, int] | None = None
        for other in problem.jobs[job].lanes:
            seconds, price = problem.take(problem.jobs[job], other)
            if board.cost + price > budget * (1 + EASE) and price > cost:
                continue
            free = board.slot(job, other, seconds)
            if free is None or (other, free) == (lane, slot):
                continue
            ends = board.ends[problem.lanes[other].pool][free] + seconds
            if ends < limit and (best is None or (ends, other) < best[:2]):
                best = (ends, other, free)
        board.put(job, *((lane, slot) if best is None else best[1:]))
        if best is not None:
            return True
    return False


def _sooner_swap(board: Board, budget: float) -> bool:
    end, jobs = _last(board)
    problem, limit = board.problem, end * (1 - 1e-9) - EASE
    for a in jobs:
        for b in range(len(problem.jobs)):
            here, there = board.where[a], board.where[b]
            if here is None or there is None or a == b:
                continue
            pools = problem.lanes[here[0]].pool, problem.lanes[there[0]].pool
            if (pools[0], here[1]) == (pools[1], there[1]):
                continue
            job_a, job_b = problem.jobs[a], problem.jobs[b]
            if there[0] not in job_a.lanes or here[0] not in job_b.lanes:
                continue
            take_a, take_b = problem.take(job_a, there[0]), problem.take(job_b, here[0])
            ends = (
                end - board.takes[a][0] + take_b[0],
                board.ends[pools[1]][there[1]] - board.takes[b][0] + take_a[0],
            )
            extra = take_a[1] + take_b[1] - board.takes[a][1] - board.takes[b][1]
            if max(ends) >= limit or (extra > 0 and board.cost + extra > budget * (1 + EASE)):
                continue
            if _swap(board, a, b, limit):
                return True
    return False
