"""Where batches go, and what they wait for."""

from __future__ import annotations

from collections import Counter

import pytest

from millrace.engine.fleet.pools import GIB
from millrace.engine.labels import Label
from millrace.engine.placement.decision import all_local, all_on_demand, place
from millrace.engine.placement.model import Aim, Decision, Offer, Piece
from millrace.engine.stages import Needs
from tests.engine.placement.fleets import HOUR, cloud, fleet, group, pieces, pool


def where(decision: Decision) -> Counter[tuple[str, str]]:
    return Counter((placed.pool, placed.basis) for placed in decision.placed)


def test_without_a_deadline_everything_goes_where_it_costs_least():
    decision = place({"scale": group()}, pieces(20), fleet(pool(), cloud()), Aim())
    assert where(decision) == {("studio", "own"): 20}
    assert decision.cost == pytest.approx(20 * 60 * 0.36 / HOUR)
    assert decision.makespan == pytest.approx(20 * 60)
    assert not decision.late


def test_a_deadline_sends_what_the_cheapest_pool_cannot_do_in_time_elsewhere():
    decision = place({"scale": group()}, pieces(20), fleet(pool(), cloud()), Aim(deadline=1000))
    assert where(decision) == {("studio", "own"): 16, ("burst", "spot"): 4}
    assert decision.makespan <= 1000
    assert not decision.late


def test_a_restricted_group_waits_for_its_pool_by_name_when_only_that_may_see_it():
    decision = place(
        {"scale": group(label=Label.RESTRICTED)},
        pieces(3),
        fleet(pool(up=False, why_down="no sign of life for 3 min"), cloud()),
        Aim(),
    )
    assert decision.placed == ()
    assert decision.refused == {}
    assert set(decision.waiting) == {piece.key for piece in pieces(3)}
    assert set(decision.waiting.values()) == {"studio: no sign of life for 3 min"}


def test_a_group_that_no_pool_is_permitted_to_run_is_refused_with_every_reason():
    decision = place(
        {"scale": group(label=Label.RESTRICTED, needs=Needs(gpu="require", vram=32 * GIB))},
        pieces(3),
        fleet(pool(), cloud()),
        Aim(),
    )
    assert decision.placed == () and decision.waiting == {}
    rule, words = decision.refused["scale"]
    assert rule == "device"
    assert "studio: 24 GiB of VRAM, 32 GiB needed" in words
    assert "burst: may see internal data, this is restricted" in words


def test_a_piece_on_its_last_permitted_attempt_never_goes_to_spot():
    spot_only = cloud(offers=(Offer("spot", 1.0 / HOUR),))
    last = [Piece("a", "scale", 60.0, losses=3), Piece("b", "scale", 60.0, preemptions=3)]
    fresh = [Piece("c", "scale", 60.0, losses=2, preemptions=2)]
    decision = place({"scale": group()}, last + fresh, fleet(spot_only), Aim())
    assert [placed.key for placed in decision.placed] == ["c"]
    assert set(decision.waiting) == {"a", "b"}
    assert "last permitted attempt" in decision.waiting["a"]


def test_what_the_budget_does_not_cover_waits_for_money():
    decision = place({"scale": group()}, pieces(20), fleet(pool()), Aim(budget=0.06))
    assert len(decision.placed) == 10
    assert decision.cost <= 0.06 + 1e-9
    assert all("money" in words for words in decision.waiting.values())
    assert len(decision.waiting) == 10


def test_a_deadline_that_cannot_be_met_is_missed_by_as_little_as_possible_and_told():
    decision = place({"scale": group()}, pieces(20), fleet(pool(), cloud()), Aim(deadline=100))
    assert decision.late
    assert decision.makespan == pytest.approx(240, rel=0.01)


def test_all_on_demand_uses_own_machines_only_for_what_may_not_be_rented():
    groups = {"scale": group(), "secret": group("secret", label=Label.RESTRICTED)}
    work = pieces(4) + pieces(2, group_="secret")
    decision = all_on_demand(groups, work, fleet(pool(), cloud()), Aim())
    assert where(decision) == {("burst", "on_demand"): 4, ("studio", "own"): 2}


def test_all_local_leaves_out_what_is_rented():
    decision = all_local({"scale": group()}, pieces(4), fleet(pool(), cloud()), Aim())
    assert where(decision) == {("studio", "own"): 4}
