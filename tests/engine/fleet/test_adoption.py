"""What the next conductor takes over, from the journal and the assignments of the one before."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.fleet.adoption import adoptable
from millrace.engine.fleet.out import Out
from millrace.engine.journal import Record
from millrace.engine.runs import Run
from tests.engine.fleet.ground import Ground, Yard, fleet_text
from tests.engine.runs.conftest import Workshop

NOW = 1000.0  # of the monotonic clock


@pytest.fixture
def run(shop: Workshop, yard: Yard, ground: Ground) -> Run:
    """A run with one assignment, a0001, of which only the order is of interest here."""
    shop.file("a.txt", b"a" * 300)
    yard.declare(fleet_text({"name": "first"}))
    made = yard.order(shop.order())
    yard.conduct(made)
    return made


def _adopted(run: Run, *records: tuple[str, float, dict[str, Any]]) -> list[Out]:
    """Returns what is adopted after these records: event, seconds ago, data."""
    wall = time.time()
    told = [
        Record(event, wall - ago, "one", data={"assignment": "a0001", **data})
        for event, ago, data in records
    ]
    return adoptable(run, told, NOW)[0]


ASSIGNED = ("assigned", 60.0, {"price": 3600.0, "seconds": 30.0})
SENT = ("sent", 50.0, {"flow_run": "f1"})


def test_what_was_sent_and_has_begun_is_adopted_with_the_time_it_has_held_its_slot(
    run: Run,
) -> None:
    (out,) = _adopted(run, ASSIGNED, SENT, ("begun", 40.0, {}))
    assert (out.flow_run, out.price, len(out.keys)) == ("f1", 1.0, 1)
    assert out.held(NOW) == pytest.approx(40, abs=5)


@pytest.mark.parametrize(("ago", "held"), [(40.0, 40.0), (3640.0, 50.0), (-3560.0, 0.0)])
def test_a_workers_word_of_when_it_began_counts_within_what_is_sure(
    run: Run, ago: float, held: float
) -> None:
    (out,) = _adopted(run, ASSIGNED, SENT, ("opened", ago, {}))
    assert out.held(NOW) == pytest.approx(held, abs=5)


def test_what_was_perhaps_never_sent_is_adopted_without_a_flow_run(run: Run) -> None:
    (out,) = _adopted(run, ASSIGNED)
    assert out.flow_run == "" and out.keys and not out.revoked


def test_what_was_being_taken_back_is_only_watched_until_it_is_over(run: Run) -> None:
    (out,) = _adopted(run, ASSIGNED, SENT, ("moved", 10.0, {"why": "paused"}))
    assert out.revoked == "paused" and not out.keys


def test_what_is_closed_or_has_no_order_is_not_adopted(run: Run) -> None:
    assert _adopted(run, ASSIGNED, SENT, ("closed", 5.0, {})) == []
    (Path(run.assignments) / "a0001.json").unlink()
    assert _adopted(run, ASSIGNED, SENT) == []


def test_answered_jobs_of_an_adopted_assignment_are_not_expected_again(run: Run) -> None:
    order = json.loads((run.assignments / "a0001.json").read_text())
    key = order["jobs"][0]["key"]
    (out,) = _adopted(run, ASSIGNED, SENT, ("done", 5.0, {"key": key}))
    assert not out.keys
