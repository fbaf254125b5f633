"""Dividing all jobs over all lanes at once: the least cost by a deadline, or the soonest end.

In this order: as many jobs as the budget covers, the deadline, then the goal. Several ways are
tried (a linear program, job by job, and where there are few jobs an integer program over every
slot) and the best is taken. What could be done without spot, and on demand alone, is tried as
well, so that offers never make it worse than leaving them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from millrace.engine.placement import exact
from millrace.engine.placement.board import EASE, Board, Division
from millrace.engine.placement.fluid import Kind, kinds, pour, pour_soonest, stack, whole
from millrace.engine.placement.greedy import fill
from millrace.engine.placement.improve import afford, cheapen, hasten, mend
from millrace.engine.placement.model import Aim
from millrace.engine.placement.problem import Job, Problem

_BY_HAND = 60_000  # jobs × lanes up to which they are also placed one by one


def divide(problem: Problem, aim: Aim) -> Division:
    """Returns the best division found; what the budget does not cover is left out."""
    horizon = math.inf if aim.deadline is None else aim.deadline
    budget = math.inf if aim.budget is None else aim.budget
    ways = [problem]
    if any(lane.spot for lane in problem.lanes):
        ways.append(_only(problem, lambda lane: not problem.lanes[lane].spot))
        ways.append(_only(ways[1], lambda lane: problem.lanes[lane].basis == "on_demand"))
    distinct = {way.jobs: way for way in ways}
    found = [_affordable(way, horizon, budget, aim.prefer) for way in distinct.values()]

    def rank(division: Division) -> tuple[float, ...]:
        goal = (division.cost, division.makespan)
        late = division.makespan > horizon * (1 + EASE)
        if late or aim.prefer == "fastest":
            goal = (division.makespan, division.cost)
        return (-division.placed, late, *goal)

    return min(found, key=rank)


def soonest(problem: Problem, budget: float = math.inf) -> Division:
    """Returns the division that ends first within a budget that covers all jobs."""
    return _soonest(problem, kinds(problem), budget).division()


def _only(problem: Problem, wanted: Callable[[int], bool]) -> Problem:
    """Returns the problem with the wanted lanes alone, where a job has any of them."""

    def narrowed(job: Job) -> Job:
        kept = tuple(filter(wanted, job.lanes))
        return dataclasses.replace(job, lanes=kept) if kept else job

    return dataclasses.replace(problem, jobs=tuple(map(narrowed, problem.jobs)))


def _affordable(problem: Problem, horizon: float, budget: float, prefer: str) -> Division:
    """Divides as many jobs as the budget covers, those that cost least first."""
    if math.isinf(budget):
        return _divide(problem, horizon, budget, prefer)
    spent, covered = 0.0, []
    for cost, index in sorted((_least(problem, job), i) for i, job in enumerate(problem.jobs)):
        if spent + cost > budget * (1 + EASE):
            break
        spent += cost
        covered.append(index)
    if len(covered) == len(problem.jobs):
        return _divide(problem, horizon, budget, prefer)
    covered.sort()
    part = dataclasses.replace(problem, jobs=tuple(problem.jobs[i] for i in covered))
    found = _divide(part, horizon, budget, prefer)
    choice = dict(zip(covered, found.choice, strict=True))
    return dataclasses.replace(found, choice=tuple(choice.get(i) for i in range(len(problem.jobs))))


def _divide(problem: Problem, horizon: float, budget: float, prefer: str) -> Division:
    classes = kinds(problem)
    if prefer == "cheapest":
        board = _least_cost(problem, classes, horizon, budget)
        if board is not None:
            return board.division()
    board = _soonest(problem, classes, budget)
    # As cheap as it goes without ending later than it has to.
    end = max(board.end, horizon) if prefer == "cheapest" and math.isfinite(horizon) else board.end
    cheaper = _least_cost(problem, classes, end, budget)
    if cheaper is not None and cheaper.cost < board.cost:
        board = cheaper
    cheapen(board, end)
    return board.division()


def _least_cost(
    problem: Problem, classes: tuple[Kind, ...], horizon: float, budget: float
) -> Board | None:
    """Returns the cheapest division that ends by the horizon; None where none was found."""
    if math.isinf(horizon) and math.isinf(problem.closes):
        return _cheapest(problem, classes)
    boards = []
    for ease in (0.0, 0.005, 0.02):
        shares = pour(problem, classes, horizon * (1 - ease), budget)
        if shares is None:
            break
        board = whole(problem, classes, shares)
        mend(board, horizon, budget)
        boards.append(board)
        if board.sound and board.end <= horizon * (1 + EASE):
            break
    if len(problem.jobs) * len(problem.lanes) <= _BY_HAND:
        boards.append(fill(problem, horizon))
    for board in boards:
        cheapen(board, horizon)
    if exact.small(problem, classes):
        best = exact.least_cost(problem, classes, horizon, budget)
        boards += [] if best is None else [best]
    fitting = [
        board
        for board in boards
        if board.sound and board.end <= horizon * (1 + EASE) and board.cost <= budget * (1 + EASE)
    ]
    return min(fitting, key=lambda board: (board.cost, board.end), default=None)


def _soonest(problem: Problem, classes: tuple[Kind, ...], budget: float) -> Board:
    """Returns the division that ends first; one in the cheapest lanes must be within the budget."""
    boards = [_cheapest(problem, classes)]
    end = pour_soonest(problem, classes, budget)
    shares = None if end is None else pour(problem, classes, end * (1 + 1e-6), budget)
    if shares is not None:
        boards.append(whole(problem, classes, shares))
    if len(problem.jobs) * len(problem.lanes) <= _BY_HAND:
        boards.append(fill(problem, 0.0, "end"))
    for board in boards:
        mend(board, math.inf)
        afford(board, budget)
        hasten(board, budget)
    sound = [board for board in boards if board.sound and board.cost <= budget * (1 + EASE)]
    best = min(sound or boards[:1], key=lambda board: (board.end, board.cost))
    if exact.small(problem, classes):
        better = exact.least_end(problem, classes, budget, best.end)
        if better is not None and better.end < best.end:
            return better
    return best


def _cheapest(problem: Problem, classes: tuple[Kind, ...]) -> Board:
    """Returns every job in its cheapest lane, spread where lanes cost the same."""
    if len(problem.jobs) * len(problem.lanes) <= _BY_HAND:
        return fill(problem, math.inf)
    choice = {}
    for kind in classes:
        few = sorted(kind.takes, key=lambda lane: (kind.takes[lane][1], lane))[:3]
        for job in kind.jobs:
            known = problem.jobs[job]
            choice[job] = min(few, key=lambda lane: (problem.take(known, lane)[1], lane))
    return stack(problem, choice)


def _least(problem: Problem, job: Job) -> float:
    return min(problem.take(job, lane)[1] for lane in job.lanes)
