"""Real workers of a work pool on a real server: what they carry out, and how they end."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.fleet.observed import Card
from millrace.engine.halting import GRACE_SECONDS
from millrace.engine.journal import Record
from millrace.engine.labels import Label
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import settings

pytestmark = pytest.mark.slow

PIPELINE = """
version: 1
name: copy
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files, with: {pause: PAUSE, cut: 2000}}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""
QUICK, SLOW = PIPELINE.replace("PAUSE", "0"), PIPELINE.replace("PAUSE", "0.3")  # 6 s a batch


class Conducted(threading.Thread):
    """A run that is conducted beside the test."""

    def __init__(self, yard: Any, document: str) -> None:
        super().__init__(daemon=True)
        self._yard, self._document = yard, document
        self.state = ""
        self.start()

    def run(self) -> None:
        _, outcome = self._yard.conduct(self._document)
        self.state = outcome.state

    @property
    def records(self) -> list[Record]:
        runs: list[Run] = Runs(settings()).list()
        return runs[0].records() if runs else []

    def said(self, event: str) -> int:
        return sum(record.event == event for record in self.records)

    def reach(self, event: str) -> None:
        """Waits until something was said once."""
        self._yard.until(lambda: self.said(event) or not self.is_alive())
        assert self.said(event), self.records

    def over(self) -> str:
        self.join(120)
        return self.state


def _files(folder: Path, content: str) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "film.txt").write_text(content)


def test_a_worker_carries_out_assignments_and_leaves_nothing_behind(yard: Any) -> None:
    _files(yard.folder, "fine\n" * 400)
    yard.worker()
    _, outcome = yard.conduct(QUICK)
    assert outcome.state == "succeeded"
    assert (yard.folder / "out" / "film.txt").read_text() == "fine\n" * 400
    yard.until(lambda: not list((yard.home / "worker").iterdir()))


def test_a_worker_leaves_its_card_and_takes_only_what_its_basis_is_for(yard: Any) -> None:
    hopeless = {"run_id": "20260101-000000-aaaa", "assignment_id": "a0001"}
    steady, spot = yard.send(hopeless), yard.send(hopeless, queue="spot-normal")
    worker = yard.worker("--basis", "spot", MILLRACE_CLEARANCE="internal")
    assert yard.wait(spot)["message"] == "UsageError"  # there is no such run
    assert yard.state(steady)["type"] == "SCHEDULED"
    cards = yard.home / "store" / "workers" / yard.pool
    yard.until(lambda: list(cards.glob("*.json")))
    card = Card.model_validate_json(next(cards.glob("*.json")).read_bytes())
    assert (card.pool, card.basis, card.clearance) == (yard.pool, "spot", Label.INTERNAL)
    assert card.kinds["faults.bytes"] == 1
    worker.terminate()
    assert worker.wait(60) == 0
    assert not list(cards.glob("*.json"))
    assert yard.heard_of() == []  # so that its pool is known to be down at once

    assert yard.worker("--once").wait(60) == 0
    assert yard.state(steady)["message"] == "UsageError"


def test_a_killed_process_is_a_crashed_flow_run_within_seconds(yard: Any) -> None:
    _files(yard.folder, "fine\n" * 400)
    yard.worker()
    conducted = Conducted(yard, SLOW)
    conducted.reach("opened")
    (entry,) = yard.entries()
    os.kill(entry, signal.SIGKILL)
    killed = time.monotonic()
    assert yard.wait(yard.sent[0])["type"] == "CRASHED"
    assert time.monotonic() - killed < 40
    assert conducted.over() == "succeeded"  # by another process of the same worker
    assert (yard.folder / "out" / "film.txt").read_text() == "fine\n" * 400


def test_a_worker_that_is_told_to_end_lets_go_of_its_batch_and_another_does_it(yard: Any) -> None:
    _files(yard.folder, "fine\n" * 400)
    worker = yard.worker()
    conducted = Conducted(yard, SLOW)
    conducted.reach("progress")
    worker.terminate()
    asked = time.monotonic()
    assert worker.wait(60) == 0
    assert time.monotonic() - asked < GRACE_SECONDS + 10
    assert yard.entries() == []
    assert [r.data["code"] for r in conducted.records if r.event == "lost"] == ["preempted"]
    assert not conducted.said("done")
    yard.worker()
    assert conducted.over() == "succeeded"
    assert (yard.folder / "out" / "film.txt").read_text() == "fine\n" * 400


def test_a_killed_worker_leaves_its_process_at_work_and_none_does_it_twice(yard: Any) -> None:
    _files(yard.folder, "fine\n" * 400)
    worker = yard.worker()
    conducted = Conducted(yard, SLOW)
    conducted.reach("opened")
    worker.kill()
    worker.wait()
    yard.worker()
    assert conducted.over() == "succeeded"
    assert len(yard.sent) == 1
    assert conducted.said("opened") == conducted.said("done") == 1
    assert yard.wait(yard.sent[0])["type"] == "COMPLETED"


def test_a_cancelled_flow_run_ends_its_process(yard: Any) -> None:
    _files(yard.folder, "fine\n" * 400)
    worker = yard.worker()
    conducted = Conducted(yard, SLOW)
    conducted.reach("opened")
    Runs(settings()).list()[0].request_stop("a test")
    yard.ask(f"flow_runs/{yard.sent[0]}/set_state", {"state": {"type": "CANCELLING"}})
    assert yard.wait(yard.sent[0])["type"] in ("CANCELLED", "COMPLETED")
    yard.until(lambda: not yard.entries(), seconds=45)
    assert worker.poll() is None
    assert conducted.over() != "succeeded"


def test_an_idle_machine_is_switched_off_but_never_under_a_flow_run(yard: Any) -> None:
    _files(yard.folder, "fine\n" * 400)
    off = yard.folder / "off"
    conducted = Conducted(yard, SLOW)
    conducted.reach("assigned")
    worker = yard.worker("--idle-off", "0.05", MILLRACE_POWER_OFF=f"touch {off}")
    yard.until(lambda: off.exists())
    assert conducted.said("done") == 1  # 6 s of work against 3 s of idleness
    assert worker.wait(60) == 0
    assert conducted.over() == "succeeded"
