"""A run learns from its own batches: what the ledger said wrongly is put right while it runs."""

from __future__ import annotations

import json
import time

import pytest

from millrace.engine import stages
from millrace.engine.ledger import Ledger, Row
from millrace.engine.settings import settings
from tests.engine.fleet.ground import Yard, fleet_text
from tests.engine.fleet.instant import Instant
from tests.engine.fleet.test_told import why
from tests.engine.runs.conftest import PIPELINE, Workshop

TARGET = 10.0
CUT = 1000


@pytest.fixture
def learning(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Instant:
    """Pools that take no time, under a conductor that looks at its ledger all the time."""
    monkeypatch.setattr("millrace.engine.history._SECONDS", 0.0)
    monkeypatch.setattr("millrace.engine.fleet.groups._REFRESH_SECONDS", 0.0)
    monkeypatch.setattr("millrace.engine.fleet.desk._REST_SECONDS", 0.05)
    monkeypatch.setattr("millrace.engine.fleet.desk._REST", 0.0)
    ground = Instant()
    yard.ground = ground
    return ground


def old_rows(load_per_second: float) -> None:
    """Enters what an earlier run is said to have taken in the pool."""
    hour_ago = time.time() - 3600
    facts = {"kind": "faults.bytes", "version": 1, "device": "CPU", "pool": "a", "load": CUT}
    Ledger(settings().ledger).record(
        Row(at=hour_ago + n, seconds=CUT / load_per_second, units=CUT, **facts)  # type: ignore[arg-type]
        for n in range(40)
    )


@pytest.mark.parametrize(
    ("takes", "batches", "right"), [(5.0, 60, 2), (0.1, 400, 100)], ids=["slower", "quicker"]
)
@pytest.mark.parametrize("known", ["prior", "ledger"])
def test_assignments_come_to_their_target_within_the_run_that_finds_the_prediction_wrong(
    shop: Workshop,
    yard: Yard,
    learning: Instant,
    monkeypatch: pytest.MonkeyPatch,
    takes: float,
    batches: int,
    right: int,
    known: str,
) -> None:
    """Foreseen is a second a batch, ten of them an assignment; each takes `takes` seconds."""
    monkeypatch.setattr(stages.load("faults.bytes"), "prior", CUT / 1.0)
    if known == "ledger":
        old_rows(CUT / 1.0)
    learning.seconds = lambda load: takes * load / CUT  # type: ignore[method-assign]
    shop.file("a.txt", b"x" * CUT * batches)
    yard.declare(fleet_text({"name": "a"}))
    run = yard.order(shop.order(PIPELINE))
    assert yard.conduct(run, target=TARGET).state == "succeeded"

    sent = [int(str(e["keys"])) for e in yard.events("assigned")][:-1]  # the last is the join
    assert sent[0] in (9, 10)  # with its part of the session's start
    settled = sent[-4:-1] if right < 10 else [max(sent)]
    assert all(abs(keys - right) <= max(1, right // 5) for keys in settled), sent
    assert sum(sent) == batches

    told = [row for row in json.loads(why(run.id, "one", "--json")) if row["what"] == "placed"]
    speeds = [row["detail"]["groups"][0]["pools"][0]["speed"] for row in told]
    assert (speeds[0], speeds[-1]) == (known, "ledger")
    assert "(by the ledger)" in why(run.id, "one")
