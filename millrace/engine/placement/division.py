"""Dividing all jobs over all lanes at once: the least cost by a deadline, or the soonest end.

In this order: as many jobs as the budget covers, the deadline, then the goal. Several ways are
tried (a linear program, job by job, and where there are few jobs an integer program over every
slot) and the best is taken. What could be done without spot, and on demand alone, is tried as
well, so that offers never make it worse than leaving them.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, Self

from millrace.engine.placement import exact
from millrace.engine.placement.board import EASE, Board, Division
from millrace.engine.placement.fluid import (
    Kind,
    cheapest_lanes,
    cost_of,
    kinds,
    narrowed,
    pour,
    pour_soonest,
    stack,
    whole,
)
from millrace.engine.placement.greedy import fill
from millrace.engine.placement.improve import afford, cheapen, hasten, mend
from millrace.engine.placement.model import Aim
from millrace.engine.placement.problem import Problem

_AS_GOOD = 1.002  # of a bound: no search beyond that
_BY_HAND = 60_000  # jobs × lanes up to which they are also placed one by one


def divide(problem: Problem, aim: Aim) -> Division:
    """Returns the best division found; what the budget does not cover is left out."""
    goal, lanes = Goal.of(aim), problem.lanes
    classes = kinds(problem)
    best = _affordable(problem, classes, goal)
    if not any(lane.spot for lane in lanes):
        return best
    for wanted in (
        lambda lane: not lanes[lane].spot,
        lambda lane: lanes[lane].basis == "on_demand",
    ):
        if _could_be_better(problem, narrowed(problem, classes, wanted), best, goal):
            problem = problem.narrowed(wanted)
            best = min(best, _affordable(problem, kinds(problem), goal), key=goal.rank)
    return best


def time_needed(problem: Problem) -> float:
    """Returns by when all jobs that can be done without spot can be, whatever that costs.

    Of very many jobs a bound is taken: no slot ends later than a fluid would, and one job more for
    what is rounded and one for what stands last.
    """
    if _few(problem):
        problem = problem.narrowed(lambda lane: not problem.lanes[lane].spot)
        return _soonest(problem, kinds(problem), math.inf).end
    classes = narrowed(problem, kinds(problem), lambda lane: not problem.lanes[lane].spot)
    fluid = pour_soonest(problem, classes)
    longest = max((min(kind.longest.values()) for kind in classes), default=0.0)
    return math.inf if fluid is None else fluid + 2 * longest


@dataclass(frozen=True)
class Goal:
    """What is wanted, infinite where there is no limit."""

    prefer: Literal["cheapest", "fastest"]
    horizon: float
    budget: float

    @classmethod
    def of(cls, aim: Aim) -> Self:
        """Returns the goal of an aim."""
        return cls(
            aim.prefer,
            math.inf if aim.deadline is None else aim.deadline,
            math.inf if aim.budget is None else aim.budget,
        )

    def late(self, end: float) -> bool:
        """True when that is after the deadline."""
        return end > self.horizon * (1 + EASE)

    def rank(self, division: Division) -> tuple[float, ...]:
        """Returns what orders divisions, the best first."""
        late = self.late(division.makespan)
        if late or self.prefer == "fastest":
            return -division.placed, late, division.makespan, division.cost
        return -division.placed, late, division.cost, division.makespan


def _could_be_better(
    problem: Problem, classes: tuple[Kind, ...], best: Division, goal: Goal
) -> bool:
    """True unless a bound shows that no division of these classes is better than the best."""
    if _few(problem) or goal.late(best.makespan):
        return True
    if goal.prefer == "fastest":
        return False  # the lanes that are left were open to the best as well
    shares = pour(problem, classes, goal.horizon)
    return shares is not None and cost_of(classes, shares) < best.cost


def _few(problem: Problem) -> bool:
    """True where there is time to look at every job in every lane."""
    return len(problem.jobs) * len(problem.lanes) <= _BY_HAND


def _affordable(problem: Problem, classes: tuple[Kind, ...], goal: Goal) -> Division:
    """Divides as many jobs as the budget covers, those that cost least first."""
    if math.isinf(goal.budget):
        return _divide(problem, classes, goal)
    spent, covered = 0.0, []
    cheapest = cheapest_lanes(problem, classes)
    costs = (problem.take(problem.jobs[job], lane)[1] for job, lane in cheapest.items())
    for cost, index in sorted(zip(costs, cheapest, strict=True)):
        if spent + cost > goal.budget * (1 + EASE):
            break
        spent += cost
        covered.append(index)
    if len(covered) == len(problem.jobs):
        return _divide(problem, classes, goal)
    covered.sort()
    part = dataclasses.replace(problem, jobs=tuple(problem.jobs[i] for i in covered))
    found = _divide(part, kinds(part), goal)
    choice = dict(zip(covered, found.choice, strict=True))
    takes = dict(zip(covered, found.takes, strict=True))
    everything = range(len(problem.jobs))
    return dataclasses.replace(
        found,
        choice=tuple(choice.get(i) for i in everything),
        takes=tuple(takes.get(i, (0.0, 0.0)) for i in everything),
    )


def _divide(problem: Problem, classes: tuple[Kind, ...], goal: Goal) -> Division:
    if not problem.jobs:
        return Division((), (), 0.0, 0.0)
    end = goal.horizon
    board = None
    if goal.prefer == "cheapest":
        board = _least_cost(problem, classes, end, goal.budget)
    if board is None:
        board = _soonest(problem, classes, goal.budget)
        # As cheap as it goes without ending later than it has to.
        end = board.end if goal.prefer == "fastest" or goal.late(board.end) else end
        # (Poured by that end, very many jobs are as cheap already as a fluid can be.)
        cheaper = _least_cost(problem, classes, end, goal.budget) if _few(problem) else None
        if cheaper is not None and cheaper.cost < board.cost:
            board = cheaper
        else:
            cheapen(board, end)
    return board.division()


def _least_cost(
    problem: Problem, classes: tuple[Kind, ...], horizon: float, budget: float
) -> Board | None:
    """Returns the cheapest division that ends by the horizon; None where none was found."""
    if math.isinf(horizon) and math.isinf(problem.closes):
        return _cheapest(problem, classes)
    boards, bound = [], 0.0
    for ease in (0.0, 0.005, 0.02):
        shares = pour(problem, classes, horizon * (1 - ease), budget)
        if shares is None:
            break
        bound = bound or cost_of(classes, shares)
        board = whole(problem, classes, shares)
        mend(board, horizon, budget)
        boards.append(board)
        if board.sound and board.end <= horizon * (1 + EASE):
            break
    if _few(problem):
        boards.append(fill(problem, horizon))
    for board in boards:
        if board.cost > bound * _AS_GOOD:
            cheapen(board, horizon)

    def fits(board: Board) -> bool:
        on_time = board.sound and board.end <= horizon * (1 + EASE)
        return on_time and board.cost <= budget * (1 + EASE)

    fitting = list(filter(fits, boards))
    best = min(fitting, key=lambda board: (board.cost, board.end), default=None)
    if best is not None and best.cost <= bound * _AS_GOOD:
        return best
    if exact.small(problem, classes):
        better = exact.least_cost(problem, classes, horizon, budget)
        if better is not None and fits(better) and (best is None or better.cost < best.cost):
            return better
    return best


def _soonest(problem: Problem, classes: tuple[Kind, ...], budget: float) -> Board:
    """Returns the division that ends first; one in the cheapest lanes must be within the budget."""
    boards = []
    end = pour_soonest(problem, classes, budget)
    shares = None if end is None else pour(problem, classes, end * (1 + 1e-6), budget)
    if shares is not None:
        boards.append(whole(problem, classes, shares))
    if _few(problem):
        boards.append(fill(problem, 0.0, "end"))
    for board in boards:
        mend(board, math.inf)
        if board.cost > budget:
            afford(board, cheapest_lanes(problem, classes), budget)
        if end is None or board.end > end * _AS_GOOD:
            hasten(board, budget)
    sound = [board for board in boards if board.sound and board.cost <= budget * (1 + EASE)]
    best = min(sound, key=lambda board: (board.end, board.cost), default=None)
    if best is None:
        best = _cheapest(problem, classes)
        hasten(best, budget)
    if end is not None and best.end <= end * _AS_GOOD:
        return best
    if exact.small(problem, classes):
        better = exact.least_end(problem, classes, budget, best.end)
        if better is not None and better.end < best.end:
            return better
    return best


def _cheapest(problem: Problem, classes: tuple[Kind, ...]) -> Board:
    """Returns every job in its cheapest lane, spread where lanes cost the same."""
    if _few(problem):
        return fill(problem, math.inf)
    return stack(problem, cheapest_lanes(problem, classes))
