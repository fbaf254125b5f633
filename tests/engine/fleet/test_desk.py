"""Whole runs on a simulated fleet: where work goes, and what happens when the world changes."""

from __future__ import annotations

import time

import pytest

from millrace.engine.errors import NotPermitted
from millrace.engine.fleet.patience import Patience
from tests.engine.fleet.ground import Ground, Yard, fleet_text, when
from tests.engine.runs.conftest import PIPELINE, Workshop


def test_work_goes_to_the_cheapest_pool_that_is_permitted(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    for n in range(4):
        shop.file(f"{n}.txt")
    yard.declare(
        fleet_text(
            {"name": "dear", "price": 9.0},
            {"name": "cheap", "price": 1.0},
            {"name": "free-for-all", "price": 0.1, "clearance": "public"},
        )
    )
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "succeeded"
    assert {pool for pool, _, _ in ground.sent} == {"cheap"}
    assert shop.out().keys() == {f"{n}.txt" for n in range(4)}
    (closed,) = yard.events("closed")[:1]
    assert closed["state"] == "completed" and float(str(closed["cost"])) > 0
    rules = {
        pool["pool"]: pool["rule"]
        for placed in yard.events("placed")
        for group in placed["groups"]  # type: ignore[attr-defined]
        for pool in group["pools"]
    }
    assert rules["free-for-all"] == "clearance"


def test_no_permitted_pool_is_an_error_that_names_the_rule(shop: Workshop, yard: Yard) -> None:
    shop.file("a.txt")
    yard.declare(fleet_text({"name": "cloud", "clearance": "public", "where": "cloud"}))
    with pytest.raises(NotPermitted, match="clearance"):
        yard.conduct(yard.order(shop.order(PIPELINE)))


TWO = fleet_text({"name": "first", "price": 1.0}, {"name": "second", "price": 5.0})


def test_what_waits_in_a_pool_that_is_paused_is_moved_to_another(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("a.txt", b"a" * 500)
    yard.declare(TWO)
    # Paused between the decision and the start: the worst moment.
    assign = ground.assign
    ground.assign = lambda pool, *ids, **how: (  # type: ignore[method-assign]
        ground.paused.add("first") if pool == "first" else None,
        assign(pool, *ids, **how),
    )[1]
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "succeeded"
    assert [pool for pool, _, _ in ground.sent] == ["first", "second"]
    (moved,) = yard.events("moved")
    assert "paused" in str(moved["why"])


def test_a_crashed_assignment_is_placed_again_and_what_was_done_is_not_done_twice(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    for name in "abcd":
        shop.file(f"{name}.txt", name.encode() * 400)
    yard.declare(TWO)
    crashes = iter([True])

    def crash(pool: str, assignment: str) -> None:
        if next(crashes, False):
            raise SystemExit

    ground.before = crash
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "succeeded"
    assert [e["state"] for e in yard.events("closed")].count("crashed") == 1
    keys = [e["key"] for e in yard.events("done")]
    assert len(keys) == len(set(keys)) == 4


def test_a_restricted_stage_waits_when_no_local_pool_is_left(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("a.txt")
    yard.declare(
        fleet_text(
            {"name": "studio"},
            {"name": "burst", "where": "cloud", "clearance": "internal", "price": 0.1},
        )
    )
    ground.dead.add("studio")
    waited: list[int] = []

    def back() -> None:
        waited.append(len(ground.sent))
        ground.dead.discard("studio")

    run = yard.order(shop.order(PIPELINE.replace("internal", "restricted")))
    began = time.monotonic()
    thread = when(lambda: time.monotonic() - began > 4 and bool(yard.events("placed")), back)
    outcome = yard.conduct(run)
    thread.join()

    assert outcome.state == "succeeded"
    assert waited == [0]
    assert {pool for pool, _, _ in ground.sent} == {"studio"}


def test_a_preempted_batch_is_given_back_within_seconds_and_done_elsewhere(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("slow.txt", b"!sleep\n" + b"s" * 700)
    yard.declare(TWO)
    run = yard.order(shop.order(PIPELINE.replace("each: files}", "each: files, with: {pause: 2}}")))
    thread = when(lambda: bool(yard.events("opened")), lambda: ground.preempt("f1"))
    outcome = yard.conduct(run)
    thread.join()

    assert outcome.state == "succeeded"
    assert [e["code"] for e in yard.events("lost")] == ["preempted"]
    assert len(ground.sent) == 2


def test_a_worker_of_another_version_hands_back_what_it_did_not_plan(
    shop: Workshop, yard: Yard, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    from millrace.engine import fitness

    shop.file("a.txt")
    yard.declare(TWO)
    truth = fitness.unfit

    def other(assignment, device):  # type: ignore[no-untyped-def]
        if assignment.pool == "first":
            assignment = assignment.model_copy(update={"version": 99})
        return truth(assignment, device)

    monkeypatch.setattr("millrace.engine.execution.unfit", other)
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "succeeded"
    assert {e["code"] for e in yard.events("lost")} == {"other_version"}
    assert ground.sent[-1][0] == "second"


def test_a_pool_that_may_not_read_the_data_says_so_and_gets_no_more_of_it(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    from dataclasses import replace

    from millrace.engine.labels import Label

    shop.file("a.txt")
    yard.declare(TWO)
    ground.hosts["first"] = replace(ground.home, clearance=Label.PUBLIC)
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "succeeded"
    assert {pool for pool, _, _ in ground.sent[1:]} == {"second"}


def test_the_same_bytes_under_two_names_are_worked_on_once(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    for name in ("a", "b", "c"):
        shop.file(f"{name}.txt", b"same" * 100)
    yard.declare(TWO)
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "succeeded"
    assert len(shop.out()) == 3
    assert len(yard.events("done")) == 1


def test_a_run_on_one_pool_uses_no_other(shop: Workshop, yard: Yard, ground: Ground) -> None:
    shop.file("a.txt")
    yard.declare(TWO)
    assert yard.conduct(yard.order(shop.order(), on="second")).state == "succeeded"
    assert {pool for pool, _, _ in ground.sent} == {"second"}


def test_a_budget_that_is_used_up_stops_new_work_and_says_what_is_left_undone(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    for name in "abc":
        shop.file(f"{name}.txt", name.encode() * 900)
    # A session alone is predicted at a second, and a batch of 900 bytes costs more than the rest.
    yard.declare(fleet_text({"name": "dear", "price": 36_000.0}))
    text = PIPELINE + "goal: {budget: 0.01 EUR}\n"
    outcome = yard.conduct(yard.order(shop.order(text)))

    assert outcome.state in ("partial", "failed")
    assert {failure.code for failure in outcome.failures} == {"budget"}
    assert "budget" in outcome.failures[0].reason


def test_a_forced_batch_that_was_moved_is_made_anew_and_not_taken_from_before(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("a.txt", b"a" * 500)
    yard.declare(TWO)
    assert yard.conduct(yard.order(shop.order())).state == "succeeded"
    crashes = iter([True])

    def crash(pool: str, assignment: str) -> None:
        if next(crashes, False):
            raise SystemExit

    ground.before = crash
    assert yard.conduct(yard.order(shop.order(force=("one",)))).items["done"] == 1
    assert len(yard.events("done")) == 1


def test_where_no_spot_machine_comes_the_pools_other_machines_are_asked(
    shop: Workshop, yard: Yard, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.file("a.txt", b"a" * 500)
    text = fleet_text({"name": "cloud", "where": "cloud"}).rstrip()
    text += "\n      spot: {amount: 0.1, currency: EUR, source: a test, date: 2026-11-01, "
    yard.declare(text + "interruptions_per_hour: 0.01}\n")
    assign, states = ground.assign, ground.states
    ignored: list[str] = []

    def nobody(pool: str, queue: str, *ids: str, **how: str) -> str:
        if queue.startswith("spot-"):
            ignored.append(queue)
            return "nobody"
        return assign(pool, queue, *ids, **how)

    monkeypatch.setattr(ground, "assign", nobody)
    monkeypatch.setattr(ground, "cancel", lambda flow_run, **how: None)
    monkeypatch.setattr(
        ground,
        "states",
        lambda ids: states(ids) | ({"nobody": "SCHEDULED"} if "nobody" in ids else {}),
    )
    yard.patience = Patience(start=1.0)
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "succeeded"
    assert ignored and {queue for _, queue, _ in ground.sent} == {"on_demand-normal"}


def test_that_a_run_will_be_late_is_told_while_it_runs_and_once(
    shop: Workshop, yard: Yard, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        "millrace.engine.fleet.alerting.tell",
        lambda alerts, kind, run, counts: told.append(kind) or (),
    )
    for name in "abc":
        shop.file(f"{name}.txt", name.encode() * 400)
    yard.declare(TWO)
    text = PIPELINE.replace("each: files}", "each: files, with: {pause: 1.5}}")
    assert yard.conduct(yard.order(shop.order(text + "goal: {within: 1s}\n"))).state == "succeeded"
    assert told == ["late"]
    assert [e["kind"] for e in yard.events("alerted")] == ["late"]
