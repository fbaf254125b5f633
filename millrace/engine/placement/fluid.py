"""Dividing by linear programming: jobs as a fluid, poured into lanes, then made whole again.

Jobs that are nearly alike are one class c. With x[c,l] the share of class c in lane l, T[c,l] and
C[c,l] the class's seconds and cost there, S the slots of pool p and d its delay:

    least cost by H      minimise sum C x    soonest end      minimise H
    sum over l of x[c,l] = 1                 for each class
    sum T x <= S (H - d)                     for each pool
    sum T x, spot only <= S (closes - d)     for each pool; jobs that could also go elsewhere
    sum C x <= budget

A basic solution splits at most as many classes as there are pools, so few jobs are cut; those go
whole to the lane that lacks most. Within a pool the longest job goes first to the emptiest slot.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from millrace.engine.placement.board import EASE, Board
from millrace.engine.placement.problem import Bulk, Problem
from millrace.engine.placement.solver import Program, solve

_COLUMNS = 16_000
_EXACT_TAKES = 40_000


@dataclass(frozen=True)
class Kind:
    """Jobs that are alike, the longest first; `takes` are their summed seconds and cost by lane."""

    jobs: tuple[int, ...]
    bound: bool
    longest: dict[int, float]
    takes: dict[int, tuple[float, float]]


def kinds(problem: Problem) -> tuple[Kind, ...]:
    """Returns the jobs in classes: of one group and the same lanes, of nearly the same size."""
    together: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for index, job in enumerate(problem.jobs):
        if job.lanes:
            together.setdefault((job.group, job.lanes), []).append(index)
    columns = sum(len(lanes) for _, lanes in together)
    buckets = max(1, min(12, _COLUMNS // max(1, columns)))
    exact = sum(len(jobs) * len(key[1]) for key, jobs in together.items()) <= _EXACT_TAKES
    found = []
    for (_, lanes), indices in together.items():
        for bucket in _buckets(problem, indices, buckets, exact):
            found.append(_kind(problem, bucket, lanes))
    return tuple(found)


def narrowed(
    problem: Problem, classes: Sequence[Kind], wanted: Callable[[int], bool]
) -> tuple[Kind, ...]:
    """Returns the classes with the wanted lanes alone, where a class has any of them."""
    found = []
    for kind in classes:
        kept = tuple(filter(wanted, kind.takes)) or tuple(kind.takes)
        found.append(
            Kind(
                kind.jobs,
                any(not problem.lanes[lane].spot for lane in kept),
                {lane: kind.longest[lane] for lane in kept},
                {lane: kind.takes[lane] for lane in kept},
            )
        )
    return tuple(found)


def pour(
    problem: Problem,
    classes: Sequence[Kind],
    horizon: float,
    budget: float = math.inf,
) -> list[dict[int, float]] | None:
    """Returns the shares of each class by lane that cost least by the horizon; None: none do."""
    program = Program()
    columns = [
        {
            lane: program.column(
                kind.takes[lane][1],
                1.0 if _reaches(problem, kind, lane, horizon) else 0.0,
            )
            for lane in kind.takes
        }
        for kind in classes
    ]
    _common_rows(program, problem, classes, columns, budget)
    if math.isfinite(horizon):
        for pool, terms in _pool_terms(problem, classes, columns).items():
            room = problem.slots[pool] * max(0.0, horizon - problem.delays[pool])
            program.row(terms, high=room)
    return _shares(solve(program), columns)


def pour_soonest(
    problem: Problem, classes: Sequence[Kind], budget: float = math.inf
) -> float | None:
    """Returns the earliest end of the fluid, or None where the budget covers no division.

    A pool that starts after the end is of no use, and its row would say so wrongly: so the pools
    are tried in the order in which they start, by bisection for the first set that is done before
    the next one starts.
    """
    starts = sorted({problem.delays[lane.pool] for lane in problem.lanes})
    low, high = 0, len(starts) - 1
    best: float | None = None
    while low <= high:
        middle = (low + high) // 2
        end = _end(problem, classes, budget, starts[middle])
        if end is None:
            low = middle + 1
            continue
        best = end if best is None else min(best, end)
        if middle + 1 < len(starts) and end > starts[middle + 1]:
            low = middle + 1
        else:
            high = middle - 1
    return best


def cost_of(classes: Sequence[Kind], shares: Sequence[dict[int, float]]) -> float:
    """Returns what a pouring costs, which no division of whole jobs can undercut."""
    return math.fsum(
        part * kind.takes[lane][1]
        for kind, share in zip(classes, shares, strict=True)
        for lane, part in share.items()
    )


def cheapest_lanes(problem: Problem, classes: Sequence[Kind]) -> dict[int, int]:
    """Returns the cheapest lane of each job: of all its lanes, or of its class's cheapest five."""
    choice = {}
    for kind in classes:
        few = sorted(kind.takes, key=lambda lane: (kind.takes[lane][1], lane))[:5]
        for job in kind.jobs:
            known = problem.jobs[job]
            choice[job] = min(few, key=lambda lane: (problem.take(known, lane)[1], lane))
    return choice


def whole(problem: Problem, classes: Sequence[Kind], shares: Sequence[dict[int, float]]) -> Board:
    """Returns a board with every job in one lane, as near to the shares as whole jobs allow."""
    choice: dict[int, int] = {}
    for kind, share in zip(classes, shares, strict=True):
        left = {lane: part * kind.takes[lane][0] for lane, part in share.items() if part > EASE}
        for job in kind.jobs:
            lane = max(left, key=lambda lane: (left[lane], -lane))
            choice[job] = lane
            if len(left) > 1:
                left[lane] -= problem.take(problem.jobs[job], lane)[0]
    return stack(problem, choice)


def stack(problem: Problem, choice: dict[int, int]) -> Board:
    """Returns a board with these jobs in these lanes: spot first, the longest first, each to the
    slot that ends first."""
    board = Board(problem)
    heaps = [
        [(delay, slot) for slot in range(count)]
        for delay, count in zip(problem.delays, problem.slots, strict=True)
    ]
    takes = {job: problem.take(problem.jobs[job], lane) for job, lane in choice.items()}
    ordered = sorted(
        (not problem.lanes[lane].spot, -takes[job][0], job) for job, lane in choice.items()
    )
    for _, negative, job in ordered:
        lane = choice[job]
        heap = heaps[problem.lanes[lane].pool]
        end, slot = heap[0]
        board.put(job, lane, slot, takes[job])
        heapq.heapreplace(heap, (end - negative, slot))
    return board


def _end(problem: Problem, classes: Sequence[Kind], budget: float, last: float) -> float | None:
    usable = [
        {lane for lane in kind.takes if problem.delays[problem.lanes[lane].pool] <= last}
        for kind in classes
    ]
    if not all(usable):
        return None
    program = Program()
    columns = [
        {lane: program.column(0.0, 1.0 if lane in open_ else 0.0) for lane in kind.takes}
        for kind, open_ in zip(classes, usable, strict=True)
    ]
    end = program.column(1.0)
    _common_rows(program, problem, classes, columns, budget)
    for pool, terms in _pool_terms(problem, classes, columns).items():
        if problem.delays[pool] <= last:
            slots = problem.slots[pool]
            program.row({**terms, end: -slots}, high=-slots * problem.delays[pool])
    soonest = max(
        (
            min(problem.delays[problem.lanes[lane].pool] + kind.longest[lane] for lane in open_)
            for kind, open_ in zip(classes, usable, strict=True)
        ),
        default=0.0,
    )
    program.row({end: 1.0}, low=soonest)
    found = solve(program)
    return None if found is None else found[end]


def _common_rows(
    program: Program,
    problem: Problem,
    classes: Sequence[Kind],
    columns: Sequence[dict[int, int]],
    budget: float,
) -> None:
    for lanes in columns:
        program.row(dict.fromkeys(lanes.values(), 1.0), low=1.0, high=1.0)
    if math.isfinite(problem.closes):
        for pool, terms in _pool_terms(problem, classes, columns, spot=True).items():
            room = problem.slots[pool] * max(0.0, problem.closes - problem.delays[pool])
            program.row(terms, high=room)
    if math.isfinite(budget):
        program.row(
            {
                column: kind.takes[lane][1]
                for kind, lanes in zip(classes, columns, strict=True)
                for lane, column in lanes.items()
            },
            high=budget,
        )


def _pool_terms(
    problem: Problem,
    classes: Sequence[Kind],
    columns: Sequence[dict[int, int]],
    spot: bool = False,
) -> dict[int, dict[int, float]]:
    terms: dict[int, dict[int, float]] = {}
    for kind, lanes in zip(classes, columns, strict=True):
        for lane, column in lanes.items():
            known = problem.lanes[lane]
            if not spot or (known.spot and kind.bound):
                terms.setdefault(known.pool, {})[column] = kind.takes[lane][0]
    return terms


def _reaches(problem: Problem, kind: Kind, lane: int, horizon: float) -> bool:
    known = problem.lanes[lane]
    limit = min(horizon, problem.closes) if known.spot and kind.bound else horizon
    return problem.delays[known.pool] + kind.longest[lane] <= limit * (1 + EASE)


def _shares(
    found: list[float] | None, columns: Sequence[dict[int, int]]
) -> list[dict[int, float]] | None:
    if found is None:
        return None
    return [
        {lane: found[column] for lane, column in lanes.items() if found[column] > EASE}
        for lanes in columns
    ]


def _buckets(problem: Problem, indices: list[int], count: int, exact: bool) -> list[list[int]]:
    sizes = {
        index: (job.load, job.bytes_in, job.bytes_out)
        for index, job in ((index, problem.jobs[index]) for index in indices)
    }
    ordered = sorted(indices, key=sizes.__getitem__, reverse=True)
    different = len(set(sizes.values()))
    if different <= count or (exact and different * len(ordered) < 4000):
        distinct: dict[tuple[float, int, int], list[int]] = {}
        for index in ordered:
            distinct.setdefault(sizes[index], []).append(index)
        return list(distinct.values())
    step = -(-len(ordered) // count)
    return [ordered[i : i + step] for i in range(0, len(ordered), step)]


def _kind(problem: Problem, indices: list[int], lanes: tuple[int, ...]) -> Kind:
    jobs = [problem.jobs[index] for index in indices]
    bulk, group = Bulk.of(jobs), jobs[0].group
    return Kind(
        jobs=tuple(indices),
        bound=jobs[0].bound(problem.lanes),
        longest={
            lane: problem.paces[group, lane].take(bulk.longest, bulk.heaviest, 0)[0]
            for lane in lanes
        },
        takes={lane: problem.paces[group, lane].total(bulk) for lane in lanes},
    )
