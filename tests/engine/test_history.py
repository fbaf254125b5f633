"""What a run took goes into the ledger once, with pool, basis and price, losses included."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from millrace.engine.cost import local_price
from millrace.engine.expansion import Node, nodes
from millrace.engine.history import History
from millrace.engine.journal import Record
from millrace.engine.ledger import Ledger, Row
from millrace.engine.pipeline import load
from millrace.engine.settings import settings

PIPELINE = """
version: 1
name: copy
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""
PLUGINS = Path(__file__).parents[1] / "plugins" / "faults"


@pytest.fixture
def stages(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Node]:
    monkeypatch.syspath_prepend(str(PLUGINS))
    return nodes(load(PIPELINE, base=tmp_path))


def record(event: str, at: float, **data: object) -> Record:
    return Record(event, at, "one", "a secret name.txt", {"assignment": "a1", **data})


SPELL = [
    record(
        "assigned",
        0.0,
        pool="burst",
        basis="spot",
        price=36.0,
        currency="USD",
        seconds=1.0,
        cost=1.0,
    ),
    record("opened", 5.0, seconds=5.0, device="NVIDIA L4", host="w1"),
    record("done", 25.0, key="k", seconds=20.0, load=40.0, device="NVIDIA L4", bytes=9),
    record("failed", 28.0, key="f", seconds=3.0, message="a secret name.txt is bad"),
    record("failed", 28.0, key="g", seconds=3.0, known=True),
    record("lost", 30.0, key="l", seconds=2.0),
    record("closed", 50.0, pool="burst", state="completed", held=40.0, cost=0.4),
]


def history(stages: dict[str, Node]) -> History:
    return History("r1", stages, local_price(0.36), settings())


def rows() -> list[Row]:
    return Ledger(settings().ledger).rows()


def test_every_second_of_a_slot_is_entered_with_its_price(stages: dict[str, Node]) -> None:
    taken = history(stages)
    for one in SPELL:
        taken.take(one)
    assert taken.enter() == 5
    found = rows()
    assert {row.state: row.seconds for row in found} == {
        "opened": 5.0,
        "done": 20.0,
        "failed": 3.0,
        "lost": 2.0,
        "idle": 10.0,
    }
    assert sum(row.cost for row in found) == pytest.approx(0.4)
    assert {(r.pool, r.basis, r.price, r.currency, r.run, r.assignment) for r in found} == {
        ("burst", "spot", 36.0, "USD", "r1", "a1")
    }
    assert {row.host for row in found} == {"w1"}
    assert "secret" not in repr([dataclasses.astuple(row) for row in found])


def test_the_rest_of_a_preempted_assignment_was_lost(stages: dict[str, Node]) -> None:
    taken = history(stages)
    for one in SPELL[:2]:
        taken.take(one)
    taken.take(record("closed", 50.0, state="preempted", held=40.0, cost=0.4))
    taken.enter()
    assert [(row.state, row.seconds) for row in rows()] == [("opened", 5.0), ("lost", 35.0)]


def test_the_next_conductor_enters_what_the_last_did_not(stages: dict[str, Node]) -> None:
    first = history(stages)
    for one in SPELL[:3]:
        first.take(one)
    first.enter()
    second = history(stages)
    second.resume(SPELL[:6])
    second.take(SPELL[6])
    assert second.enter() == 3
    assert sum(row.cost for row in rows()) == pytest.approx(0.4)


def test_rows_are_entered_together_or_once_the_first_has_waited(
    stages: dict[str, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = history(stages)
    taken.take(SPELL[0])
    monkeypatch.setattr("millrace.engine.history._SECONDS", 0.0)
    assert not taken.due  # however long it is: there is nothing yet
    monkeypatch.setattr("millrace.engine.history._SECONDS", 1e9)
    taken.take(SPELL[1])
    assert not taken.due
    for _ in range(200):
        taken.take(SPELL[2])
    assert taken.due
    assert taken.enter() == 201
    taken.take(SPELL[2])
    assert not taken.due
    monkeypatch.setattr("millrace.engine.history._SECONDS", 0.0)
    assert taken.due


def test_work_here_is_entered_at_the_price_of_this_machine(stages: dict[str, Node]) -> None:
    taken = history(stages)
    taken.take(record("assigned", 0.0, device="CPU", host="me", seconds=1.0))
    taken.take(record("done", 9.0, key="k", seconds=10.0, load=1.0, device="CPU"))
    taken.enter()
    (row,) = rows()
    assert (row.pool, row.basis, row.price, row.host) == ("here", "own", 0.36, "me")
    assert row.cost == pytest.approx(0.001)


def test_impossible_figures_of_a_worker_are_left_out(stages: dict[str, Node]) -> None:
    taken = history(stages)
    taken.take(SPELL[0])
    taken.take(record("done", 9.0, key="k", seconds=float("nan"), load=1.0))
    taken.take(record("done", 9.0, key="k", seconds=-5.0, load=1.0))
    taken.take(SPELL[1])
    assert taken.enter() == 1
