"""Dividing all jobs over all lanes at once: the least cost by a deadline, or the soonest end."""

from __future__ import annotations

import math

from millrace.engine.placement.board import EASE, Division
from millrace.engine.placement.greedy import fill
from millrace.engine.placement.model import Aim
from millrace.engine.placement.problem import Problem


def divide(problem: Problem, aim: Aim) -> Division:
    """Returns the best division found; what the budget does not cover is left out."""
    horizon = math.inf if aim.deadline is None else aim.deadline
    found = soonest(problem) if aim.prefer == "fastest" else fill(problem, horizon).division()
    return within(problem, found, math.inf if aim.budget is None else aim.budget)


def soonest(problem: Problem) -> Division:
    """Returns the division that is done first, whatever it costs."""
    return fill(problem, 0.0, "end").division()


def within(problem: Problem, division: Division, budget: float) -> Division:
    """Returns the division with as many jobs as the budget covers, the cheapest first."""
    if division.cost <= budget * (1 + EASE):
        return division
    costs = [
        (problem.take(job, lane)[1], index)
        for index, (job, lane) in enumerate(zip(problem.jobs, division.choice, strict=True))
        if lane is not None
    ]
    choice: list[int | None] = [None] * len(problem.jobs)
    spent = 0.0
    for cost, index in sorted(costs):
        if spent + cost > budget * (1 + EASE):
            break
        spent += cost
        choice[index] = division.choice[index]
    return Division(tuple(choice), division.makespan, spent)
