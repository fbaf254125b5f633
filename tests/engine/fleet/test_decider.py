"""What a conductor believes of an assignment whose store or pool is gone."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from millrace.engine.fleet.decider import Decider
from millrace.engine.fleet.due import Due
from millrace.engine.fleet.eye import Seen
from millrace.engine.fleet.out import Out
from millrace.engine.fleet.strikes import Strikes
from millrace.engine.forecasts import Forecaster
from millrace.engine.journal import Journal
from millrace.engine.pipeline import load
from millrace.engine.retries import Retries
from millrace.engine.settings import settings
from tests.engine.fleet.fleets import fleet

PIPELINE = """
version: 1
name: trial
inputs: {films: {files: "*.mp4"}}
stages: {smaller: {uses: video.encode, each: films}}
outputs: {films: {from: smaller, to: "out/{source.path}.mp4"}}
"""


@pytest.fixture
def decider(tmp_path: Path) -> Decider:
    """One of a fleet in which `burst` works from a bucket and `studio` from the home store."""
    return Decider(
        fleet(tmp_path),
        Journal(tmp_path / "journal", "conductor"),
        Forecaster(settings()),
        due=Due(load(PIPELINE), time.time()),
        money=lambda open_: None,
    )


def out(pool: str) -> Out:
    return Out(
        id="a0001",
        pool=pool,
        basis="own",
        price=0.0,
        stage="smaller",
        kind="video.encode",
        seconds=10.0,
        start=0.0,
        sent=0.0,
        keys=frozenset(),
        flow_run="f",
        state="RUNNING",
        began=1.0,
    )


@pytest.mark.parametrize("away", ["bucket", ""])
def test_what_has_ended_is_not_over_before_its_results_can_be_fetched(
    decider: Decider, away: str
) -> None:
    states = {"f": "COMPLETED"}
    assert decider.state(out("burst"), Seen(states=states, unreachable={away: "away"})) == "RUNNING"
    assert decider.state(out("studio"), Seen(states=states, unreachable={away: "away"})) == (
        "COMPLETED"
    )
    assert decider.state(out("burst"), Seen(states=states)) == "COMPLETED"
    assert decider.state(out("burst"), Seen(states=states, unreachable={"other": "away"})) == (
        "COMPLETED"
    )


def test_what_began_and_ended_while_its_store_was_away_is_not_done_again(decider: Decider) -> None:
    unseen = replace(out("burst"), began=None, state="SCHEDULED")
    away = Seen(states={"f": "COMPLETED"}, unreachable={"bucket": "away"})
    assert decider.state(unseen, away) == "SCHEDULED"
    assert decider.state(unseen, Seen(states={"f": "COMPLETED"})) == "COMPLETED"
    for never in ("CRASHED", "CANCELLED"):  # nothing to wait for: it is placed again at once
        assert decider.state(unseen, replace(away, states={"f": never})) == never


def test_an_adopted_assignment_of_a_pool_that_is_declared_no_more_stops_no_decision(
    decider: Decider,
) -> None:
    decision = decider.decide(
        [], [out("sold")], Seen(states={"f": "RUNNING"}), Retries(), Strikes()
    )
    assert decision.placed == ()
    assert decider.state(out("sold"), Seen(states={"f": "COMPLETED"})) == "COMPLETED"
    assert decider.free([out("sold")], 5.0)[0].keys() == {"studio", "gpus", "burst", "rented"}
    assert decider.dried_up("sold", "own", 5.0)
