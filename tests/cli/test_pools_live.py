"""The fleet as a person sees it: judged by heartbeats, in 80 columns, with nothing made up."""

from __future__ import annotations

import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from millrace.cli import pools_live
from millrace.cli.pools_live import Seen, page
from millrace.engine.exchange.cards import write_card
from millrace.engine.fleet.observed import Card, Observed, Worker
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.labels import Label
from millrace.engine.ledger import Ledger, Row
from millrace.engine.settings import settings


@pytest.fixture(autouse=True)
def no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket of the fleet that ships is out of reach."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")


@pytest.fixture
def fleet(repository: Path) -> Fleet:
    """The fleet that ships."""
    return load_fleet(repository / "deployments" / "pools.yaml")


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Observed]:
    """What the Prefect server says, in place of one."""
    told: dict[str, Observed] = {}
    monkeypatch.setattr(pools_live, "observe", lambda names: {n: told[n] for n in names})
    return told


def card(pool: str, worker: str, **more: object) -> Card:
    """A worker's card."""
    facts = {"host": "h", "millrace": "0.1.0", "kinds": {}, "tools": (), "cores": 8}
    facts |= {"memory": 1 << 34, "clearance": Label.INTERNAL}
    return Card.model_validate(facts | {"pool": pool, "worker": worker} | more)


def shown(seen: list[Seen], fleet: Fleet) -> str:
    """Returns what stands on a terminal of 80 columns."""
    out = StringIO()
    Console(file=out, width=80).print(page(seen, fleet))
    return out.getvalue()


def test_a_pool_is_as_healthy_as_its_youngest_heartbeat_whatever_prefect_says(
    fleet: Fleet,
) -> None:
    pool = fleet.pools["studio"]
    young, old = Worker("a", 89.0), Worker("b", 91.0)
    ready = Observed("studio", status="ready")
    assert Seen(pool, replace(ready, workers=(young, old))).health == "up"
    assert Seen(pool, replace(ready, workers=(old,))).health == "silent"
    assert Seen(pool, ready).health == "no worker"
    assert Seen(pool, replace(ready, workers=(young,), paused=True)).health == "paused"
    assert Seen(pool, Observed("studio", exists=False)).health == "not deployed"


def test_machines_that_come_and_go_are_not_called_silent_when_they_are_gone(fleet: Fleet) -> None:
    gone = Observed("burst", workers=(Worker("a", 1000.0),))
    assert Seen(fleet.pools["burst"], gone).health == "asleep"
    assert Seen(fleet.pools["burst"], Observed("burst")).health == "asleep"


def test_everything_stands_in_eighty_columns(fleet: Fleet, observed: dict[str, Observed]) -> None:
    here = settings()
    name = "workstation-under-the-desk-" + "12345"
    workers = (Worker(name, 3.0), Worker("dead", 4000.0))
    for each in fleet.pools:
        observed[each] = Observed(each)
    observed["studio"] = Observed("studio", workers=workers, running=1, pending=1234, late=3)
    observed["box"] = Observed("box", exists=False)
    write_card(here.store, card("studio", name, gpus=("NVIDIA GeForce RTX 4090",), basis="own"))
    rows = [
        Row(time.time(), "video.upscale", 1, "NVIDIA L4", 10.0, pool="studio", units=240.0),
        Row(time.time(), "video.upscale", 1, "NVIDIA L4", 10.0, pool="studio", units=240.0),
        Row(time.time(), "video.upscale", 1, "L4", 10.0, pool="studio", units=9.0, state="failed"),
    ]
    Ledger(here.ledger).record(rows)

    seen = pools_live.look(fleet, here)
    text = shown(seen, fleet)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "studio up 1 1/1 1,234 3 0.507 EUR/h own" in flat
    assert "burst asleep 0 0/4 0 0 1.26 EUR/h spot" in flat
    assert "4090" in flat
    assert "video.upscale studio 24 frames/s 2" in flat
    assert "`millrace deploy` makes the pools that are not deployed" in flat


def test_a_card_counts_only_under_its_own_pool_and_in_that_pools_store(
    fleet: Fleet, observed: dict[str, Observed]
) -> None:
    here = settings()
    for each in fleet.pools:
        observed[each] = Observed(each, workers=(Worker("w", 1.0),))
    write_card(here.store, card("burst", "w"))  # burst works through the bucket, not through home
    write_card(here.store, card("box", "w"))
    seen = {each.pool.name: each.observed.workers[0].card for each in pools_live.look(fleet, here)}
    assert seen["burst"] is None
    assert seen["box"] is not None
