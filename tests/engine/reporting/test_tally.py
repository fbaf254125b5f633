"""A run's journal adds up to the same figures for the terminal, the report and Prefect."""

from __future__ import annotations

import time

import pytest

from millrace.engine.journal import Record
from millrace.engine.reporting.tally import Tally


def record(
    event: str, stage: str = "", item: str = "", at: float = 100.0, **data: object
) -> Record:
    return Record(event, at, stage, item, data)


def finished_item(item: str, at: float, units: float = 10.0) -> list[Record]:
    return [
        record("measured", "a", item, at, units=units, load=units, notes=[]),
        record("cut", "a", item, at, batches=1, units=units, why="first time"),
        record(
            "done", "a", item, at + 1, key=item, units=units, seconds=1.0, bytes=5, device="CPU"
        ),
        record("finished", "a", item, at + 1, status="done"),
    ]


def test_an_item_counts_once_by_the_worst_that_happened_to_it() -> None:
    tally = Tally(
        [
            *finished_item("good", 100),
            record("finished", "b", "good", status="reused"),
            record("finished", "a", "stored", status="reused"),
            record("finished", "a", "lost", status="done"),
            record("failed", "b", "lost", key="k", code="truncated", message="it is short"),
        ]
    )
    assert tally.items == {"done": 1, "reused": 1, "failed": 1}


def test_joining_the_parts_of_an_item_does_not_count_their_units_twice() -> None:
    tally = Tally(
        [
            record("measured", "a", "x", units=20, load=20, notes=[]),
            record("cut", "a", "x", batches=2, units=20),
            record("done", "a", "x", key="p1", units=10, seconds=1.0),
            record("done", "a", "x", key="p2", units=10, seconds=1.0),
            record("progress", "a", "x", key="join", units=12),
            record("done", "a", "x", key="join", units=20, seconds=0.5, join=True),
        ]
    )
    stage = tally.stage("a")
    assert (stage.units_done, stage.batches_done, stage.seconds) == (20, 2, 2.5)


def test_progress_of_a_batch_counts_and_is_taken_back_when_its_session_is_lost() -> None:
    tally = Tally([record("measured", "a", "x", units=10, load=10, notes=[])])
    tally.add(record("progress", "a", "x", key="k", units=6))
    assert tally.stage("a").units_done == 6
    tally.add(record("lost", "a", "x", key="k", code="crashed", message="gone", in_hand=True))
    assert tally.stage("a").units_done == 0


def test_speed_leaves_out_what_was_reused_and_eta_uses_it() -> None:
    tally = Tally(
        [
            record("expected", "a", items=4),
            record("measured", "a", "s", units=100, load=100, notes=[]),
            record("reused", "a", "s", key="s", units=100, seconds=9.0),
            record("finished", "a", "s", status="reused"),
            record("measured", "a", "x", units=100, load=100, notes=[]),
            record("done", "a", "x", 110, key="x", units=100, seconds=10.0),
        ]
    )
    stage = tally.stage("a")
    assert stage.rate(110) == pytest.approx(10.0)
    assert stage.total() == pytest.approx(400)  # two of four are measured
    assert stage.eta(110) == pytest.approx(20.0)


def test_speed_is_that_of_the_last_minute() -> None:
    tally = Tally([record("measured", "a", "x", at=0.5, units=1e6, load=1, notes=[])])
    for second in range(1, 201):
        done = min(second, 100) + max(0, second - 100) * 10
        tally.add(record("progress", "a", "x", at=float(second), key="k", units=float(done)))
    assert tally.stage("a").rate(200) == pytest.approx(10.0)
    assert len(tally.stage("a").recent) < 70


def test_speed_falls_back_to_the_mean_when_nothing_was_reported_for_a_minute() -> None:
    tally = Tally([record("measured", "a", "x", at=0.5, units=100, load=1, notes=[])])
    tally.add(record("progress", "a", "x", at=10.5, key="k", units=20))
    assert tally.stage("a").rate(100.5) == pytest.approx(0.2)


def test_items_that_failed_before_are_not_waited_for_in_later_stages() -> None:
    tally = Tally(
        [
            record("expected", "a", items=2),
            record("expected", "b", items=2),
            record("failed", "a", "x", key="", code="empty", message="x is empty"),
            record("finished", "a", "y", status="done"),
            record("finished", "b", "y", status="done"),
        ]
    )
    assert tally.absent("b") == 1
    assert tally.stage("b").fraction(tally.absent("b")) == 1.0
    assert tally.fraction == 1.0


def test_a_failure_is_told_once_with_its_code_and_hint() -> None:
    again = record("failed", "a", "x", key="k", code="empty", message="x is empty", hint="fill it")
    tally = Tally([again, again])
    (failed,) = tally.failures.values()
    assert (failed.code, failed.reason, failed.hint) == ("empty", "x is empty", "fill it")
    assert tally.stage("a").failed == 1


def test_a_file_that_could_not_be_delivered_is_a_failure_of_its_item() -> None:
    tally = Tally(
        [
            *finished_item("x", 100),
            record("undelivered", "a", "x", output="o", path="/o", code="exists", message="taken"),
        ]
    )
    assert tally.items == {"done": 0, "reused": 0, "failed": 1}


def test_unknown_events_count_for_nothing() -> None:
    tally = Tally([record("missing", "a", "x"), record("no_such_event", "a", "x")])
    assert tally.items == {"done": 0, "reused": 0, "failed": 0}


def test_the_state_tells_running_interrupted_and_ended_apart() -> None:
    tally = Tally(finished_item("x", 100))
    assert tally.state == "running"
    tally.add(record("ended", state="partial", interrupted=True, seconds=3.5))
    assert (tally.state, tally.seconds) == ("interrupted", 3.5)


def test_ten_thousand_items_add_up_in_two_seconds() -> None:
    records = [r for n in range(10_000) for r in finished_item(f"item {n}", 100 + n * 0.01)]
    began = time.process_time()
    tally = Tally([record("expected", "a", items=10_000), *records])
    for _ in range(20):
        assert tally.stage("a").eta(300.0) is not None
        assert tally.fraction == 1.0
    assert tally.items["done"] == 10_000
    assert time.process_time() - began < 2.0
