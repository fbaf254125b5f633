"""Batches and pools that do harm, on a simulated fleet: what is tried again, and where."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from millrace.engine.assignments import Assignment
from millrace.engine.errors import Relieved, StoreError
from millrace.engine.fleet.patience import Patience
from millrace.engine.journal import Journal
from millrace.engine.reporting import liveness
from millrace.engine.runs import Runs
from tests.engine.fleet.ground import Ground, Yard, fleet_text, when
from tests.engine.runs.conftest import PIPELINE, Workshop

pytestmark = pytest.mark.slow

TWO = fleet_text({"name": "first", "price": 1.0}, {"name": "second", "price": 5.0})
SLOW = PIPELINE.replace("each: files}", "each: files, with: {pause: 0.4}}")


def _jobs(ground: Ground, run: str, assignment: str) -> list[str]:
    order = Assignment.read(Runs(ground.home).get(run).assignments, assignment)
    return [job.material.name for job in order.jobs]


def _ending_processes(ground: Ground, name: str) -> Callable[..., None]:
    """Returns what ends the whole process of every assignment that has a file of this name."""

    def crash(pool: str, assignment: str) -> None:
        run = Runs(ground.home).list()[0].id
        if any(name in job for job in _jobs(ground, run, assignment)):
            raise SystemExit

    return crash


def test_a_batch_that_always_ends_the_whole_process_fails_alone(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    for n in range(12):
        shop.file(f"{n:02}.txt", f"{n}".encode() * 200)
    shop.file("06-poison.txt", b"p" * 300)
    yard.declare(TWO)
    ground.before = _ending_processes(ground, "poison")
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "partial"
    assert len(shop.out()) == 12
    (failed,) = outcome.failures
    assert "poison" in failed.item
    assert failed.code == "crashed_assignment"
    assert "machine was lost 4 times" in failed.reason
    assert len(ground.sent) <= 3 + 13  # at last each goes alone


def test_a_batch_that_always_kills_its_session_fails_alone_after_two_tries(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    for n in range(5):
        shop.file(f"{n}.txt", f"{n}".encode() * 200)
    shop.file("2-poison.txt", "!kill-self\n" + "p" * 300)
    yard.declare(TWO)
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "partial"
    assert len(shop.out()) == 5
    (failed,) = outcome.failures
    assert "poison" in failed.item and "session died 2 times" in failed.reason
    tried = [e for e in yard.events("lost") if e["in_hand"]]
    assert len(tried) == 2


class Clumsy(Ground):
    """A fleet whose first pool can do nothing, and says so."""

    def _work(self, flow_run: str, pool: str, run: str, assignment: str) -> None:
        if pool != "first":
            return super()._work(flow_run, pool, run, assignment)
        mine = Runs(self.home).get(run)
        order = Assignment.read(mine.assignments, assignment)
        journal = Journal(mine.journal, assignment)
        told: dict[str, Any] = {"code": "disk_full", "message": "the disk is full", "hint": ""}
        for job in order.jobs:
            told |= {"assignment": assignment, "key": job.key, "in_hand": True, "fault": "stage"}
            journal.write("lost", order.stage, job.material.name, **told)
        journal.close()
        self._states[flow_run] = "COMPLETED"
        return None


def test_a_pool_that_fails_what_others_can_do_is_avoided_for_a_while(
    shop: Workshop, yard: Yard
) -> None:
    for n in range(20):
        shop.file(f"{n}.txt", f"{n}".encode() * 200)
    yard.ground = Clumsy()
    yard.declare(TWO)
    outcome = yard.conduct(yard.order(shop.order()), target=0.0001)

    assert outcome.state == "succeeded"
    # One batch an assignment. Three that go wrong there raise the doubt, until others have shown
    # whose fault it is.
    wrong = [pool for pool, _, _ in yard.ground.sent].count("first")
    assert 3 <= wrong <= 6
    last = yard.events("placed")[-1]
    rules = {p["pool"]: p["rule"] for g in last["groups"] for p in g["pools"]}  # type: ignore
    assert rules["first"] == "avoided"


def test_a_conductor_that_was_replaced_stops_by_itself_and_leaves_everything_alone(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("slow.txt", b"s" * 900)
    yard.declare(TWO)
    run = yard.order(shop.order(SLOW))
    replaced = when(lambda: bool(yard.events("progress")), lambda: run.begin_epoch())
    with pytest.raises(Relieved):
        yard.conduct(run)
    replaced.join()
    assert not yard.events("ended") and not yard.events("stop")
    assert liveness.state(run) == "lost"
    assert ground.cancelled == []

    assert yard.conduct(run).state == "succeeded"  # the work that was out was not lost
    keys = [e["key"] for e in yard.events("done")]
    assert len(keys) == len(set(keys)) == 1
    assert len(ground.sent) == 1


def test_what_was_written_down_and_perhaps_never_sent_is_sent_once(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("a.txt", b"a" * 300)
    yard.declare(TWO)
    run = yard.order(shop.order())
    assert yard.conduct(run).state == "succeeded"
    # The conductor died between writing the assignment down and hearing that it was sent.
    lines = (run.journal / "conductor.jsonl").read_text().splitlines()
    cut = next(n for n, line in enumerate(lines) if json.loads(line)["event"] == "sent")
    (run.journal / "conductor.jsonl").write_text("\n".join(lines[:cut]) + "\n")
    (run.journal / "a0001.jsonl").unlink()
    for manifest in (ground.home.store / "manifests").rglob("*.json"):
        manifest.unlink()

    assert yard.conduct(run).state == "succeeded"
    assert [assignment for _, _, assignment in ground.sent] == ["a0001", "a0001"]
    assert [e["state"] for e in yard.events("closed")] == ["completed"]


def test_what_is_far_behind_with_the_deadline_near_is_moved(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("slow.txt", b"s" * 900)
    yard.declare(TWO)
    yard.patience = Patience(behind=1.0, slack=1.0)
    text = SLOW.replace("pause: 0.4", "pause: 0.1") + "goal: {within: 6s}\n"
    stuck = threading.Event()
    ground.before = lambda pool, assignment: stuck.wait(60) if pool == "first" else None
    run = yard.order(shop.order(text))
    over = when(lambda: bool(yard.events("done")), stuck.set)
    outcome = yard.conduct(run)
    over.join()

    assert outcome.state == "succeeded"
    (moved,) = yard.events("moved")
    assert "slower than predicted" in str(moved["why"])
    assert [pool for pool, _, _ in ground.sent] == ["first", "second"]


def test_what_nothing_is_heard_of_is_taken_back_and_its_late_answer_harms_nobody(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("a.txt", b"a" * 300)
    yard.declare(TWO)
    yard.patience = Patience(silence=12.0)  # workers give a sign every 10 s
    hung = threading.Event()
    ground.before = lambda pool, assignment: hung.wait(60) if pool == "first" else None
    run = yard.order(shop.order())
    # Its worker hangs with it: no heartbeats either, by the time it is noticed.
    dead = when(lambda: bool(yard.events("moved")), lambda: ground.dead.add("first"))
    late = when(lambda: bool(yard.events("done")), hung.set)
    outcome = yard.conduct(run)
    late.join()
    dead.join()

    assert outcome.state == "succeeded"
    (moved,) = yard.events("moved")
    assert "nothing was heard" in str(moved["why"])
    assert shop.out() == {"a.txt": b"a" * 300}


@pytest.mark.parametrize("hours", [-1, 1])
def test_no_decision_depends_on_the_clock_of_a_worker(
    shop: Workshop, yard: Yard, ground: Ground, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The worker's records bear its own time; the conductor's all bear the conductor's."""
    for name in "abc":
        shop.file(f"{name}.txt", name.encode() * 900)
    yard.declare(TWO)
    write = Journal.write

    def skewed(self: Journal, event: str, stage: str = "", item: str = "", **data: Any) -> None:
        if not threading.current_thread().name.startswith("worker"):
            return write(self, event, stage, item, **data)
        import time

        true = time.time
        with monkeypatch.context() as patch:
            patch.setattr("millrace.engine.journal.time", _Clock(true() + hours * 3600))
            return write(self, event, stage, item, **data)

    monkeypatch.setattr(Journal, "write", skewed)
    run = yard.order(shop.order(SLOW + "goal: {within: 30m}\n"))
    replaced = when(lambda: bool(yard.events("progress")), lambda: run.begin_epoch())
    with pytest.raises(Relieved):
        yard.conduct(run)
    replaced.join()
    outcome = yard.conduct(run)

    assert outcome.state == "succeeded"
    assert not yard.events("moved")
    closed = yard.events("closed")
    assert len(closed) == len(ground.sent)
    assert all(0 <= float(str(each["held"])) < 600 for each in closed)


class _Clock:
    def __init__(self, now: float) -> None:
        self._now = now

    def time(self) -> float:
        return self._now


def test_work_goes_elsewhere_while_the_disk_of_a_pools_machine_is_full(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    for n in range(3):
        shop.file(f"{n}.txt", f"{n}".encode() * 200)
    yard.declare(TWO)

    def full(pool: str, assignment: str) -> None:
        if pool == "first":
            raise StoreError("the store cannot be written: No space left on device")

    ground.before = full
    outcome = yard.conduct(yard.order(shop.order()))

    assert outcome.state == "succeeded"
    assert [pool for pool, _, _ in ground.sent][:2] == ["first", "second"]
    assert len(shop.out()) == 3


def test_a_run_that_is_cancelled_lets_go_of_everything_and_closes_what_it_cost(
    shop: Workshop, yard: Yard, ground: Ground
) -> None:
    shop.file("slow.txt", b"s" * 900)
    yard.declare(TWO)
    run = yard.order(shop.order(SLOW))
    asked = when(lambda: bool(yard.events("progress")), lambda: run.request_stop("a test"))
    outcome = yard.conduct(run)
    asked.join()

    assert outcome.interrupted
    assert liveness.state(run) == "interrupted"
    assert len(yard.events("closed")) == len(yard.events("assigned")) == 1
    assert not shop.out()
