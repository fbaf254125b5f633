"""The command why for runs on a fleet: each placement with what it was decided on, moves too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.cli.app import build
from millrace.engine.fleet.decisions import decision_record
from millrace.engine.fleet.pools import GIB
from millrace.engine.journal import Journal
from millrace.engine.labels import Label
from millrace.engine.pipeline import load
from millrace.engine.placement.decision import place
from millrace.engine.placement.model import (
    Aim,
    Group,
    Offer,
    Piece,
    PoolState,
    Snapshot,
    Speed,
)
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import settings
from millrace.engine.stages import Needs
from tests.engine.runs.conftest import PIPELINE, PLUGINS

SECRET = "the-merger-plan.txt"
STUDIO = PoolState(
    name="studio",
    where="local",
    clearance=Label.RESTRICTED,
    store="home",
    store_clearance=Label.RESTRICTED,
    offers=(Offer("own", 0.36 / 3600),),
    device="cpu",
    device_name="cpu",
    vram=0,
    cores=8,
    memory=64 * GIB,
    slots=2,
    free=2,
)
DOWN = PoolState(
    **{
        **{name: getattr(STUDIO, name) for name in PoolState.__dataclass_fields__},
        "name": "attic",
        "up": False,
        "why_down": "no worker has been heard of for 140 s",
    }
)
CLOUD = PoolState(
    **{
        **{name: getattr(STUDIO, name) for name in PoolState.__dataclass_fields__},
        "name": "burst",
        "where": "cloud",
        "clearance": Label.PUBLIC,
        "store": "bucket",
        "store_clearance": Label.PUBLIC,
        "offers": (Offer("on_demand", 3.6 / 3600),),
    }
)


def group(name: str, stage: str, label: Label) -> Group:
    speeds = {pool.name: Speed(1.0, 0.0) for pool in (STUDIO, DOWN, CLOUD)}
    return Group(name, "faults.bytes", 1, label, Needs(), "cpu", speeds)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.syspath_prepend(str(PLUGINS))
    text = PIPELINE.replace("outputs:", "  two: {uses: faults.bytes, each: one}\noutputs:")
    order = Order(pipeline=load(text, base=tmp_path), base=tmp_path, source="p.yaml")
    made = Runs(settings()).create(order)
    groups = {
        "one/internal/1": group("one/internal/1", "one", Label.INTERNAL),
        "two/public/2": group("two/public/2", "two", Label.PUBLIC),
    }
    pieces = [Piece(f"k{n}", "one/internal/1", 60.0) for n in range(3)]
    pieces += [Piece("k9", "two/public/2", 60.0)]
    state = Snapshot((STUDIO, DOWN, CLOUD), at=1_790_000_000.0)
    decision = place(groups, pieces, state, Aim())
    journal = Journal(made.journal, "conductor")
    journal.write("placed", **decision_record(decision, state, groups))
    sent = {"assignment": "a0001", "pool": "studio", "basis": "own"}
    money = {"price": 0.36, "currency": "EUR", "seconds": 180.0, "cost": 0.018}
    journal.write("assigned", "one", keys=3, device="CPU", host="studio", **sent, **money)
    journal.write("moved", "one", why="no sign of life for 95 s", **sent)
    journal.write("closed", "one", state="revoked", held=95.0, cost=0.0095, **sent)
    journal.write("done", "one", SECRET, key="k" * 64, why="first time", units=3, load=3)
    journal.close()
    return made


def why(*words: str) -> str:
    reply = CliRunner().invoke(build(), ["why", *words], catch_exceptions=False)
    assert reply.exit_code == 0, reply.output
    return reply.output


def test_why_tells_each_decision_with_every_pool_s_verdict_and_how_the_fleet_was_then(
    run: Run,
) -> None:
    lines = [" ".join(line.split()) for line in why(run.id, "one").splitlines()]
    assert lines[0] == f"one {SECRET} [{'k' * 12}] run: first time"
    told = "\n".join(lines)
    assert "one placed: 3 batches to studio" in told
    assert "one, internal, for processors" in lines
    assert any(
        line.startswith("studio: takes 3 batches; own at 0.36 EUR an hour; all of it there: ")
        for line in lines
    )
    assert "attic: no, health: no worker has been heard of for 140 s" in lines
    assert "burst: no, clearance: may see public data, this is internal" in lines
    assert "attic: down, no worker has been heard of for 140 s" in lines
    assert "studio: 2 of 2 slots free, cpu, cleared for restricted, 0.36 EUR own" in lines


def test_why_tells_what_was_sent_where_what_was_moved_and_how_it_ended(run: Run) -> None:
    told = " ".join(why("last").split())
    for words in (
        "one sent: a0001 to studio (own): 3 batches, about 3 min 0 s, 0.018 EUR",
        "one moved: a0001 from studio (own): no sign of life for 95 s",
        "one closed: a0001 in studio (own): revoked after 1 min 35 s",
    ):
        assert words in told


def test_why_of_one_stage_is_silent_on_the_others(run: Run) -> None:
    rows = json.loads(why(run.id, "two", "--json"))
    assert [row["what"] for row in rows] == ["placed"]
    assert [g["stage"] for g in rows[0]["detail"]["groups"]] == ["two"]
    assert "studio" in {v["pool"] for v in rows[0]["detail"]["groups"][0]["pools"]}


def test_why_as_json_holds_the_snapshot_and_all_figures(run: Run) -> None:
    rows = json.loads(why(run.id, "--json"))
    assert [row["what"] for row in rows] == ["run", "placed", "sent", "moved", "closed"]
    placed, closed = rows[1], rows[4]
    pools = placed["detail"]["snapshot"]["pools"]
    assert {pool["pool"]: pool["up"] for pool in pools} == {
        "studio": True,
        "attic": False,
        "burst": True,
    }
    assert placed["stage"] == "one, two"
    assert (closed["detail"]["state"], closed["detail"]["cost"]) == ("revoked", 0.0095)


def test_a_decision_is_written_down_without_keys_or_names_of_files(run: Run) -> None:
    (placed,) = [r for r in run.records() if r.event == "placed"]
    text = json.dumps(placed.data)
    assert SECRET not in text
    assert not any(f'"k{n}"' in text for n in (0, 1, 2, 9))


def test_a_run_on_this_host_alone_is_told_as_before(run: Run) -> None:
    order = run.order()
    here = Runs(settings()).create(order)
    journal = Journal(here.journal, "conductor")
    journal.write("assigned", "one", assignment="a0001", keys=1, device="CPU", host="desk")
    journal.write("done", "one", "a.txt", key="f" * 64, why="first time", units=3, load=3)
    journal.close()
    assert [row["what"] for row in json.loads(why(here.id, "--json"))] == ["run"]
