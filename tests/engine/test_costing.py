"""What a run cost: estimate against actual, with nothing left out and nothing silently free."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.cost import local_price
from millrace.engine.costing import account, share
from millrace.engine.journal import Record
from millrace.engine.spells import Spell

LOCAL = local_price(3.6)  # 0.001 EUR a second


def record(event: str, at: float, assignment: str = "a1", **data: object) -> Record:
    return Record(event, at, "one", "item", {"assignment": assignment, **data})


def assigned(name: str = "a1", at: float = 0.0, **more: object) -> Record:
    usual = {"pool": "burst", "basis": "spot", "price": 36.0, "currency": "EUR"}
    return record("assigned", at, name, **(usual | {"seconds": 80.0, "cost": 0.8} | more))


def closed(held: float, cost: float, name: str = "a1", state: str = "completed") -> Record:
    return record("closed", 1000.0, name, state=state, held=held, cost=cost)


def test_work_opening_and_idle_time_make_up_the_bill() -> None:
    records = [
        assigned(),
        record("opened", 10.0, seconds=10.0, device="NVIDIA L4"),
        record("done", 90.0, key="k", seconds=60.0, bytes=7),
        closed(100.0, 1.0),
    ]
    found = account("r", records, LOCAL)
    (line,) = found.lines
    assert {state: part.seconds for state, part in line.parts.items()} == {
        "done": 60.0,
        "opened": 10.0,
        "idle": 30.0,
    }
    assert (line.stage, line.pool, line.basis, line.devices) == (
        "one",
        "burst",
        "spot",
        ("NVIDIA L4",),
    )
    assert line.parts["done"].cost == pytest.approx(0.6)
    assert (line.estimated, line.cost, line.bytes) == (0.8, 1.0, 7)
    assert found.actual[0].amount == pytest.approx(1.0)


def test_failed_and_preempted_attempts_are_in_the_total() -> None:
    records = [
        assigned("a1"),
        record("done", 20.0, "a1", key="k", seconds=20.0),
        record("failed", 25.0, "a1", key="f", seconds=5.0),
        closed(40.0, 0.4, "a1", "preempted"),
        assigned("a2", basis="on_demand", price=72.0),
        record("lost", 30.0, "a2", key="l", seconds=10.0),
        closed(10.0, 0.2, "a2"),
    ]
    found = account("r", records, LOCAL)
    assert found.actual[0].amount == pytest.approx(0.6)
    assert found.parts["lost"][0].amount == pytest.approx(0.15 + 0.2)
    assert found.parts["failed"][0].amount == pytest.approx(0.05)
    assert [line.ends for line in found.lines] == [{"preempted": 1}, {"completed": 1}]


def test_what_is_still_out_counts_as_far_as_it_is_known() -> None:
    records = [assigned(), record("opened", 10.0, seconds=1.0), record("alive", 60.0)]
    found = account("r", records, LOCAL)
    assert found.out == 1
    assert found.actual[0].amount == pytest.approx(50 * 0.01)


def test_currencies_are_told_apart() -> None:
    records = [
        assigned("a1"),
        closed(1.0, 2.0, "a1"),
        assigned("a2", currency="USD"),
        closed(1.0, 3.0, "a2"),
    ]
    found = account("r", records, LOCAL)
    assert [(m.amount, m.currency) for m in found.actual] == [(2.0, "EUR"), (3.0, "USD")]


def test_here_the_machine_is_paid_while_it_is_held() -> None:
    records = [
        record("assigned", 0.0, "a1", device="CPU", host="me", seconds=50.0),
        record("opened", 10.0, "a1", seconds=10.0),
        record("done", 100.0, "a1", key="k", seconds=80.0),
    ]
    found = account("r", records, LOCAL)
    (line,) = found.lines
    assert line.cost == pytest.approx(0.1)
    assert line.estimated == pytest.approx(0.05)
    assert line.parts["idle"].seconds == pytest.approx(10)
    assert line.basis == "own"


def test_assignments_side_by_side_share_the_machine() -> None:
    records = [
        record("assigned", 0.0, "a1", seconds=1.0),
        record("assigned", 0.0, "a2", seconds=1.0),
        record("done", 50.0, "a1", key="k", seconds=50.0),
        record("done", 100.0, "a2", key="l", seconds=100.0),
    ]
    assert account("r", records, LOCAL).actual[0].amount == pytest.approx(0.1)


def test_a_conductor_that_begins_anew_loses_no_earlier_cost() -> None:
    first = [record("assigned", 0.0), record("done", 10.0, key="k", seconds=10.0)]
    again = [record("assigned", 20.0), record("done", 30.0, key="l", seconds=10.0)]
    found = account("r", [*first, *again], LOCAL)
    assert found.lines[0].assignments == 2
    assert found.actual[0].amount == pytest.approx(0.02)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", ["held", "cost"])
def test_a_bill_that_cannot_be_is_refused(name: str, wrong: float) -> None:
    bill: dict[str, object] = {"held": 1.0, "cost": 1.0}
    bill[name] = wrong
    with pytest.raises(ValueError, match="cannot be"):
        account(
            "r",
            [
                assigned(),
                Record(
                    "closed", 1.0, "one", data={"assignment": "a1", "state": "completed", **bill}
                ),
            ],
            LOCAL,
        )


def test_a_pool_without_a_price_is_not_free() -> None:
    records = [
        record("assigned", 0.0, pool="burst", seconds=1.0),
        record("done", 5.0, key="k", seconds=5.0),
    ]
    with pytest.raises(ValueError, match="no price"):
        account("r", records, LOCAL)


spans = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 50)), min_size=1, max_size=15)


@given(spans)
def test_the_shares_of_a_machine_add_up_to_the_time_it_was_held(
    found: Sequence[tuple[int, int]],
) -> None:
    held = {second for start, length in found for second in range(start, start + length)}
    spells = [
        Spell(f"a{n}", "one", began=float(start), last=float(start + length))
        for n, (start, length) in enumerate(found)
    ]
    assert sum(share(spells, 2.0).values()) == pytest.approx(2.0 * len(held))
