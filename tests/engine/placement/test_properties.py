"""What holds for every fleet, whatever is down, secret, dear or late."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.engine.labels import permits
from millrace.engine.placement.decision import all_on_demand, place
from millrace.engine.placement.model import Aim, Decision, Piece
from tests.engine.placement.made import Question, wide

few = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
fewer = settings(few, max_examples=10)
many = settings(few, max_examples=30)

NEAR = 1.02
dice = st.randoms(use_true_random=False, note_method_calls=False)
aims = st.builds(
    Aim,
    st.sampled_from(["cheapest", "fastest"]),
    st.none() | st.floats(1, 20_000),
    st.none() | st.floats(0, 5),
)


def by_key(pieces: list[Piece]) -> dict[str, Piece]:
    return {piece.key: piece for piece in pieces}


def placed(decision: Decision) -> set[str]:
    return {piece.key for piece in decision.placed}


def check_clearance(question: Question, aim: Aim) -> None:
    groups, pieces, snapshot = question
    pools = {pool.name: pool for pool in snapshot.pools}
    work = by_key(pieces)
    for decision in (place(*question, aim), all_on_demand(*question, aim)):
        for found in decision.placed:
            label, pool = groups[work[found.key].group].label, pools[found.pool]
            assert permits(pool.clearance, label)
            assert permits(pool.store_clearance, label)
            assert pool.up and pool.reachable
            assert pool.device == "cuda" or groups[work[found.key].group].device == "cpu"


def check_once(question: Question, aim: Aim) -> None:
    groups, pieces, snapshot = question
    decision = place(*question, aim)
    refused = {piece.key for piece in pieces if piece.group in decision.refused}
    assert len(decision.placed) == len(placed(decision))
    assert len(decision.placed) + len(decision.waiting) + len(refused) == len(pieces)
    assert placed(decision) | set(decision.waiting) | refused == set(by_key(pieces))
    names = sorted(pool.name for pool in snapshot.pools)
    assert set(decision.verdicts) == set(groups)
    for verdicts in decision.verdicts.values():
        assert [verdict.pool for verdict in verdicts] == names
        assert all(verdict.reason for verdict in verdicts if verdict.rule)
    counted = sum(verdict.chosen for found in decision.verdicts.values() for verdict in found)
    assert counted == len(decision.placed)
    assert decision.cost == pytest.approx(sum(piece.cost for piece in decision.placed))
    if aim.budget is not None:
        assert decision.cost <= aim.budget * (1 + 1e-6)


def check_order(question: Question, aim: Aim, shuffle: random.Random) -> None:
    groups, pieces, snapshot = question
    mixed, pools, keys = list(pieces), list(snapshot.pools), list(groups)
    for things in (mixed, pools, keys):
        shuffle.shuffle(things)
    again = place(
        {key: groups[key] for key in keys},
        mixed,
        dataclasses.replace(snapshot, pools=tuple(pools)),
        aim,
    )
    assert again == place(*question, aim)


def check_spot(question: Question, aim: Aim) -> None:
    _, pieces, snapshot = question
    work = by_key(pieces)
    on_spot = [found for found in place(*question, aim).placed if found.basis == "spot"]
    for found in on_spot:
        assert work[found.key].losses < snapshot.retries
        assert work[found.key].preemptions < snapshot.retries


def check_on_demand(question: Question, share: float) -> None:
    """With a deadline between half of and four times what all-on-demand takes."""
    soonest = all_on_demand(*question, Aim("fastest"))
    aim = Aim(deadline=soonest.makespan * share)
    rented, decision = all_on_demand(*question, aim), place(*question, aim)
    if not rented.late and placed(rented) == placed(decision):
        assert not decision.late
        assert decision.cost <= rented.cost * (1 + 1e-6)


def without(question: Question, pool: int) -> Question:
    groups, pieces, snapshot = question
    kept = [p for i, p in enumerate(snapshot.pools) if i != pool % len(snapshot.pools)]
    return groups, pieces, dataclasses.replace(snapshot, pools=tuple(kept))


def only_firm(question: Question) -> Question:
    """The fleet without pools that offer nothing but spot: what can be promised then only grows."""
    groups, pieces, snapshot = question
    kept = tuple(p for p in snapshot.pools if any(o.basis != "spot" for o in p.offers))
    return groups, pieces, dataclasses.replace(snapshot, pools=kept)


def firm_end(question: Question) -> float:
    groups, pieces, snapshot = question
    pools = tuple(
        dataclasses.replace(p, cold=True, offers=tuple(o for o in p.offers if o.basis != "spot"))
        for p in snapshot.pools
    )
    return place(
        groups, pieces, dataclasses.replace(snapshot, pools=pools), Aim("fastest")
    ).makespan


def check_more_pools(question: Question, share: float, fastest: bool, pool: int) -> None:
    question = only_firm(question)
    if len(question[2].pools) < 2:
        return
    fewer = without(question, pool)
    deadline = None if fastest else firm_end(fewer) * share * 1.03
    aim = Aim("fastest" if fastest else "cheapest", deadline)
    before, after = place(*fewer, aim), place(*question, aim)
    assert placed(before) <= placed(after)
    if placed(before) == placed(after) and before.placed:
        no_worse(before, after, aim)


def check_more_budget(question: Question, first: float, more: float, fastest: bool) -> None:
    prefer = "fastest" if fastest else "cheapest"
    least = place(*question, Aim()).cost
    less, plenty = Aim(prefer, None, least * first), Aim(prefer, None, least * first * more)
    before, after = place(*question, less), place(*question, plenty)
    assert len(placed(before)) <= len(placed(after))
    if placed(before) == placed(after) and before.placed:
        no_worse(before, after, less)


def no_worse(before: Decision, after: Decision, aim: Aim) -> None:
    assert not after.late or before.late
    if after.late == before.late:
        value = "makespan" if aim.prefer == "fastest" or after.late else "cost"
        assert getattr(after, value) <= getattr(before, value) * NEAR


@few
@given(dice, aims)
def test_nothing_is_ever_placed_above_a_clearance(random_, aim):
    check_clearance(wide(random_), aim)


@few
@given(dice, aims)
def test_every_piece_is_placed_or_waits_or_is_refused_once_and_every_pool_has_a_verdict(
    random_, aim
):
    check_once(wide(random_), aim)


@few
@given(dice, aims, dice)
def test_the_order_of_what_is_given_changes_nothing(random_, aim, shuffle):
    check_order(wide(random_), aim, shuffle)


@few
@given(dice, aims)
def test_no_last_attempt_is_on_spot(random_, aim):
    check_spot(wide(random_), aim)


@fewer
@given(dice, st.floats(0.5, 4))
def test_a_deadline_all_on_demand_meets_is_met_and_for_no_more(random_, share):
    check_on_demand(wide(random_, faults=False), share)


@fewer
@given(dice, st.floats(1, 4), st.booleans(), st.integers(0, 5))
def test_one_pool_more_never_makes_it_worse(random_, share, fastest, pool):
    check_more_pools(wide(random_, faults=False), share, fastest, pool)


@fewer
@given(dice, st.floats(0.3, 2), st.floats(1, 2), st.booleans())
def test_more_money_never_makes_it_worse(random_, first, more, fastest):
    check_more_budget(wide(random_, faults=False), first, more, fastest)


@pytest.mark.slow
@many
@given(dice, aims, dice)
def test_many_fleets_with_every_sort_of_trouble_keep_every_rule(random_, aim, shuffle):
    question = wide(random_)
    check_clearance(question, aim)
    check_once(question, aim)
    check_order(question, aim, shuffle)
    check_spot(question, aim)


@pytest.mark.slow
@many
@given(dice, st.floats(0.5, 4), st.floats(1, 4), st.booleans(), st.integers(0, 5))
def test_many_fleets_get_no_worse_by_more_offers_pools_or_money(
    random_, share, more, fastest, pool
):
    question = wide(random_, batches=20, faults=False)
    check_on_demand(question, share)
    check_more_pools(question, more, fastest, pool)
    check_more_budget(question, min(share, 2), min(more, 2), fastest)
