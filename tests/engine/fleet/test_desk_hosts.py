"""A pool of two machines, of which one does everything wrong."""

from __future__ import annotations

import platform
import threading
from importlib.metadata import version

import pytest

from millrace.engine.assignments import Assignment
from millrace.engine.errors import ItemError
from millrace.engine.exchange.cards import write_card
from millrace.engine.execution import _Execution
from millrace.engine.fleet.observed import Card, Observed, Worker
from millrace.engine.labels import Label
from millrace.engine.runs import Runs
from millrace.engine.settings import settings
from tests.engine.fleet.ground import Ground, Yard, fleet_text
from tests.engine.runs.conftest import PIPELINE, Workshop

CHAIN = PIPELINE.replace("outputs:", "  two: {uses: faults.bytes, each: one}\noutputs:").replace(
    "from: one", "from: two"
)


def _card(host: str) -> Card:
    return Card(
        pool="farm",
        worker=f"w-{host}",
        host=host,
        millrace=version("millrace"),
        kinds={"faults.bytes": 1},
        tools=(),
        cores=2,
        memory=4 << 30,
        clearance=Label.RESTRICTED,
    )


def test_a_host_that_fails_what_another_of_its_pool_can_do_gets_no_more_of_it(
    shop: Workshop, yard: Yard, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        shop.file(f"{name}.txt", name.encode() * 400)
    yard.declare(fleet_text({"name": "farm"}))
    here, seen, returned = threading.local(), set[str](), set[str]()
    commit = _Execution._commit
    monkeypatch.setattr(platform, "node", lambda: getattr(here, "host", "conductor"))
    for host in ("bad", "good"):
        write_card(settings().store, _card(host))

    def worst_first(pool: str, assignment: str) -> None:
        """The bad host takes all that it has not had, and once what it is told to hand back."""
        run = Runs(ground.home).get(yard.runs[-1].id)
        order = Assignment.read(run.assignments, assignment)
        keys = {job.key for job in order.jobs}
        told = bool(order.avoid) and not keys & returned
        here.host = "bad" if told or not keys & seen else "good"
        seen.update(keys)
        returned.update(keys if told else ())

    def spoil(self, job, result):  # type: ignore[no-untyped-def]
        if platform.node() == "bad":
            self._fail(job, ItemError("odd", "its memory is broken"))
        else:
            commit(self, job, result)

    ground.before = worst_first
    monkeypatch.setattr(_Execution, "_commit", spoil)
    monkeypatch.setattr(
        ground,
        "observe",
        lambda pools: {
            pool: Observed(pool, workers=(Worker("w-bad", 1.0), Worker("w-good", 1.0)))
            for pool in pools
        },
    )
    outcome = yard.conduct(yard.order(shop.order(CHAIN)))

    assert outcome.state == "succeeded"
    lost = [(e["stage"], e["code"], e["key"]) for e in yard.events("lost")]
    odd = [key for stage, code, key in lost if code == "odd"]
    assert len(odd) >= 3
    assert len(set(odd)) == len(odd)  # each failed there once and was done elsewhere
    assert "avoided_host" in {code for _, code, _ in lost}
