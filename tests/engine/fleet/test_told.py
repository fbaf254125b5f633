"""What a real run on a fleet leaves in its journal is enough to tell where its work went and why,
and the plan of the same order said so before."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from millrace.cli.app import build
from millrace.engine.fleet.plan_fleet import make_fleet_plan
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.hosts.devices import inventory
from millrace.engine.settings import settings
from tests.engine.fleet.ground import Ground, Yard, fleet_text
from tests.engine.runs.conftest import Workshop


def why(run: str, *words: str) -> str:
    reply = CliRunner().invoke(build(), ["why", run, *words], catch_exceptions=False)
    assert reply.exit_code == 0, reply.output
    return reply.output


def test_a_move_is_told_with_the_decisions_before_and_after_it(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("a.txt", b"a" * 500)
    path = yard.declare(
        fleet_text(
            {"name": "first", "price": 1.0},
            {"name": "second", "price": 5.0},
            {"name": "open", "price": 0.1, "clearance": "public"},
        )
    )
    plan = make_fleet_plan(shop.order(), settings(), inventory(), load_fleet(path), None)
    assert [v.pool for g in plan.groups for v in g.pools if v.chosen] == ["first"]

    assign = ground.assign
    ground.assign = lambda pool, *ids, **how: (  # type: ignore[method-assign]
        ground.paused.add("first") if pool == "first" else None,
        assign(pool, *ids, **how),
    )[1]
    run = yard.order(shop.order())
    assert yard.conduct(run).state == "succeeded"

    rows = json.loads(why(run.id, "one", "--json"))
    story = [row for row in rows if row["what"] in ("placed", "sent", "moved")]
    assert [row["what"] for row in story] == ["placed", "sent", "moved", "placed", "sent"]
    before, after = (
        row["detail"]["groups"][0]["pools"] for row in story if row["what"] == "placed"
    )
    assert {v["pool"]: v["rule"] for v in before} == {
        "first": "",
        "second": "price",
        "open": "clearance",
    }
    assert {v["pool"]: v["rule"] for v in after} == {
        "first": "health",
        "second": "",
        "open": "clearance",
    }
    text = why(run.id)
    assert "placed: 1 batch to first" in text
    assert "first: down, paused" in text
    assert "sent: a0002 to second (on demand): 1 batch" in text
    assert "a.txt" not in json.dumps([row["detail"] for row in story])
