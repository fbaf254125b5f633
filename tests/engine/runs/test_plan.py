"""Plans: the same every time, without a trace in the store, and what the run then does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from millrace.engine.plan import Plan, StagePlan
from millrace.engine.settings import settings
from tests.engine.runs.conftest import PIPELINE, Workshop

CHAIN = PIPELINE.replace(
    "outputs:", "  two: {uses: faults.bytes, each: one, with: {cut: 1500}}\noutputs:"
).replace("from: one", "from: two")
GATHER = PIPELINE.replace(
    "outputs:",
    "  all: {uses: faults.gather, all: one}\noutputs:\n  book: {from: all, to: out/book}",
).replace('  copies: {from: one, to: "out/{source.path}.txt"}\n', "")

MANY = """
import json, sys, time
from pathlib import Path
from millrace.engine.hosts.devices import inventory
from millrace.engine.pipeline import load
from millrace.engine.planning import make_plan
from millrace.engine.runs import Order
from millrace.engine.settings import settings

folder = Path(sys.argv[1])
order = Order(pipeline=load(folder / "p.yaml"), base=folder, source="p.yaml")
began = time.monotonic()
plan = make_plan(order, settings(), inventory())
print(json.dumps({
    "seconds": time.monotonic() - began,
    "peak": int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024,
    "items": plan.stages[0].items,
    "batches": plan.stages[0].batches,
}))
"""


def _tree() -> dict[str, bytes]:
    store = settings().store
    return {str(p): p.read_bytes() for p in store.rglob("*") if p.is_file()}


def _json(plan: Plan) -> str:
    """The plan without what other programs on this disk may change meanwhile."""
    return plan.model_dump_json(exclude={"disk": {"free"}})


def _stages(plan: Plan) -> dict[str, StagePlan]:
    return {stage.name: stage for stage in plan.stages}


def test_the_same_order_over_the_same_files_gives_the_same_plan(shop: Workshop) -> None:
    for n in range(6):
        shop.file(f"f{n}.txt", bytes(900 * n + 1))
    shop.file("bad.txt", "!bad")
    first = _json(shop.plan(CHAIN))
    assert _json(shop.plan(CHAIN)) == first
    assert json.loads(first)["stages"][0]["name"] == "one"


def test_a_plan_leaves_no_trace_in_the_store_or_among_the_outputs(shop: Workshop) -> None:
    shop.file("a.txt", bytes(5000))
    shop.plan(CHAIN)
    assert _tree() == {}
    shop.run(CHAIN)
    shop.file("b.txt", bytes(100))
    shop.file("bad.txt", "!bad")
    before, out = _tree(), shop.out()
    shop.plan(CHAIN)
    shop.plan(CHAIN, force=("one",))
    assert _tree() == before
    assert shop.out() == out


def test_a_plan_counts_what_is_reused_refused_and_left(shop: Workshop) -> None:
    for n in range(3):
        shop.file(f"f{n}.txt", bytes([n]) * 2500)
    shop.run()
    shop.file("new.txt", bytes(4200))
    shop.file("bad.txt", "!bad")
    shop.file("empty.txt", "")
    plan = shop.plan()
    (one,) = plan.stages
    assert (one.items, one.reused, one.refused, one.forecast) == (6, 3, 2, 0)
    assert (one.batches, one.batches_reused) == (14, 9)
    assert (one.units, one.units_left) == (3 * 2500 + 4200, 4200)
    assert {(r.item, r.code) for r in plan.refusals} == {
        ("bad.txt", "rotten"),
        ("empty.txt", "empty"),
    }
    assert plan.outputs == {"copies": 4}
    assert one.seconds > 0
    assert plan.seconds == one.seconds


def test_the_run_does_what_the_plan_said(shop: Workshop) -> None:
    for n in range(4):
        shop.file(f"f{n}.txt", bytes([n]) * (1100 * n + 7))
    shop.run(limit=2)
    shop.file("bad.txt", "!bad")
    (one,) = shop.plan().stages
    outcome = shop.run()
    done = one.items - one.reused - one.refused
    assert outcome.items == {"done": done, "reused": one.reused, "failed": one.refused}
    assert sum(e["batches"] for e in shop.events("cut")) == one.batches - one.batches_reused  # type: ignore[misc]
    assert sum(e["units"] for e in shop.events("cut")) == one.units_left  # type: ignore[misc]


def test_after_the_run_nothing_is_left_to_do_and_nothing_to_pay(shop: Workshop) -> None:
    shop.file("a.txt", bytes(5000))
    shop.run(CHAIN)
    plan = shop.plan(CHAIN)
    assert [(s.items, s.reused, s.units_left, s.seconds, s.bytes) for s in plan.stages] == [
        (1, 1, 0.0, 0.0, 0),
        (1, 1, 0.0, 0.0, 0),
    ]
    assert (plan.seconds, plan.cost) == (0.0, 0.0)


def test_later_stages_are_forecast_from_what_goes_into_the_first_and_marked_so(
    shop: Workshop,
) -> None:
    for n in range(3):
        shop.file(f"f{n}.txt", bytes([n]) * 4000)
    shop.file("bad.txt", "!bad")
    stages = _stages(shop.plan(CHAIN))
    assert (stages["one"].items, stages["one"].forecast, stages["one"].refused) == (4, 0, 1)
    assert (stages["two"].items, stages["two"].forecast, stages["two"].unknown) == (3, 3, 0)
    assert (stages["two"].batches, stages["two"].units) == (9, 12000)
    shop.run(CHAIN, only="one")
    two = _stages(shop.plan(CHAIN))["two"]
    assert (two.items, two.forecast, two.reused, two.batches) == (3, 0, 0, 9)


def test_what_a_gathering_stage_will_get_is_unknown_until_its_items_exist(shop: Workshop) -> None:
    for n in (1, 2, 10):
        shop.file(f"f{n}.txt", bytes([n]) * 50)
    gathered = _stages(shop.plan(GATHER))["all"]
    assert (gathered.items, gathered.unknown, gathered.batches) == (1, 1, 0)
    shop.run(GATHER, only="one")
    gathered = _stages(shop.plan(GATHER))["all"]
    assert (gathered.items, gathered.unknown, gathered.units) == (1, 0, 150)
    shop.run(GATHER)
    assert _stages(shop.plan(GATHER))["all"].reused == 1


def test_a_gathering_stage_is_refused_in_the_plan_when_an_item_is_known_to_be_missing(
    shop: Workshop,
) -> None:
    shop.file("a.txt", "fine")
    shop.file("bad.txt", "!bad")
    plan = shop.plan(GATHER)
    assert ("all", "incomplete") in {(r.stage, r.code) for r in plan.refusals}
    assert _stages(plan)["all"].refused == 1


def test_forcing_a_stage_plans_its_work_anew(shop: Workshop) -> None:
    shop.file("a.txt", bytes(2500))
    shop.run()
    (one,) = shop.plan(force=("one",)).stages
    assert (one.reused, one.units_left) == (0, 2500)


@pytest.mark.slow
def test_ten_thousand_measured_files_are_planned_in_seconds_and_little_memory(
    shop: Workshop,
) -> None:
    """The target is 10 s on an idle machine; twice that is allowed here for a busy one."""
    (shop.folder / "p.yaml").write_text(PIPELINE)
    for n in range(10_000):
        path = shop.file(f"f{n}.txt", f"number {n}")
        os.utime(path, (1_000_000_000, 1_000_000_000))
    _plan_many(shop.folder)
    figures = _plan_many(shop.folder)
    assert (figures["items"], figures["batches"]) == (10_000, 10_000)
    assert figures["seconds"] < 20, figures
    assert figures["peak"] < 500e6, figures


def _plan_many(folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(folder)],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    print(figures)
    return figures
