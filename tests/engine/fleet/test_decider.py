"""What a conductor believes of an assignment while its pool's store cannot be read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from millrace.engine.fleet.decider import Decider
from millrace.engine.fleet.eye import Seen
from millrace.engine.fleet.out import Out
from millrace.engine.forecasts import Forecaster
from millrace.engine.journal import Journal
from millrace.engine.pipeline import load
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
        load(PIPELINE),
        fleet(tmp_path),
        Journal(tmp_path / "journal", "conductor"),
        Forecaster(settings()),
        started=time.time(),
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
