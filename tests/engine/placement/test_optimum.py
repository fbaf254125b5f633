"""Small questions, beside the exact optimum that another formulation finds."""

from __future__ import annotations

import math
import random

import pytest

from millrace.engine.placement.decision import place
from millrace.engine.placement.model import Aim
from tests.engine.placement.made import small
from tests.engine.placement.optimum import least_cost, least_end, optimum, ways

NEAR = 1.02


def check_cheapest(seed: int) -> None:
    """Asks for the least cost by a deadline somewhere between the soonest end and plenty."""
    groups, pieces, snapshot = small(seed, spot=False)
    found = ways(groups, pieces, snapshot)
    soonest = least_end(found, len(pieces), snapshot, math.inf)
    aim = Aim(deadline=soonest * random.Random(seed).uniform(1.0, 2.5) * (1 + 1e-6))
    decision = place(groups, pieces, snapshot, aim)
    best = optimum(groups, pieces, snapshot, aim)
    assert len(decision.placed) == len(pieces)
    if decision.late:
        assert decision.makespan <= soonest * NEAR
    else:
        assert decision.cost <= best * NEAR
        assert decision.cost >= best * 0.998


def check_fastest(seed: int) -> None:
    """Asks for the soonest end within a budget somewhere between the least cost and plenty."""
    groups, pieces, snapshot = small(seed)
    found = ways(groups, pieces, snapshot)
    least = least_cost(found, len(pieces), snapshot, math.inf)
    aim = Aim("fastest", budget=least * random.Random(seed).uniform(1.0, 2.5) * (1 + 1e-6))
    decision = place(groups, pieces, snapshot, aim)
    assert len(decision.placed) == len(pieces)
    assert aim.budget is not None and decision.cost <= aim.budget * (1 + 1e-6)
    best = optimum(groups, pieces, snapshot, aim)
    assert best * 0.998 <= decision.makespan <= best * NEAR


@pytest.mark.parametrize("seed", range(6))
def test_the_least_cost_by_a_deadline_is_within_two_percent_of_the_optimum(seed):
    check_cheapest(seed)


@pytest.mark.parametrize("seed", range(6))
def test_the_soonest_end_within_a_budget_is_within_two_percent_of_the_optimum(seed):
    check_fastest(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", [100, 110])
def test_many_small_questions_are_within_two_percent_of_the_optimum(first):
    for seed in range(first, first + 8):
        check_cheapest(seed)
        check_fastest(seed)
