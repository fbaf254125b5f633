"""What goes wrong on the way: killed workers, stores out of reach, full disks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from millrace.engine.errors import StoreError
from millrace.engine.exchange import quarters
from millrace.engine.exchange.outpost import Courier, sweep, take
from millrace.engine.exchange.parcels import object_name
from millrace.engine.execution import execute
from millrace.engine.runs import Run
from tests.engine.exchange.workplace import Workplace
from tests.s3 import S3

REPOSITORY = Path(__file__).parents[3]
KILLABLE = Path(__file__).parent / "killable.py"
STEPS = (
    "object-synced",
    "object-renamed",
    "record-written",
    "record-renamed",
    "committed",
    "objects-shipped",
    "result-shipped",
    "segment-shipped",
)


def _work(near: Workplace, run: Run, name: str, *step: str) -> int:
    """Carries an assignment out in a process of its own; returns how it ended."""
    environment = os.environ | {
        "MILLRACE_HOME": str(near.worker.home),
        "MILLRACE_EXCHANGE": near.url,
        "MILLRACE_POOL": "burst",
    }
    path = f"{REPOSITORY}{os.pathsep}{os.environ['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, str(KILLABLE), run.id, name, *step],
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_point_has_half_written_nothing_and_lost_nothing(
    near: Workplace, step: str
) -> None:
    content = {name: os.urandom(1200) for name in ("a.txt", "b.txt")}
    for name, data in content.items():
        near.shop.file(name, data)
    run, order = near.drawn_up()
    depot = near.depot()
    depot.send(run, order)

    assert _work(near, run, order.id, step) == -9

    depot.collect(run, [order.id])
    told = near.events(run, order.id, "done")
    for one in told:  # what was told is there and good
        manifest = near.store.find(str(one["key"]))
        assert manifest is not None
        assert near.store.verify(manifest) == []
    assert {m.key for m in near.store.manifests()} == {one["key"] for one in told}
    if step != "segment-shipped":
        assert told == []

    assert _work(near, run, order.id) == 0  # the same assignment once more, on the same host
    near.depot().collect(run, [order.id])  # another conductor, even
    done = near.events(run, order.id, "done")
    assert sorted(str(one["item"]) for one in done) == ["a.txt", "b.txt"]
    for one in done:
        manifest = near.store.find(str(one["key"]))
        assert manifest is not None
        data = near.store.locate(manifest.output.digest).read_bytes()
        assert data == content[str(one["item"])]
    assert [n for n in near.leftovers() if not n.startswith("cache/")] == []


def test_what_a_killed_worker_left_is_swept_away_when_nobody_is_at_work_on_it(
    near: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    near.shop.file("a.txt", b"left behind")
    run, order = near.drawn_up()
    near.depot().send(run, order)
    far = take(run.id, order.id, near.worker)
    with quarters.held(far, order.id):
        monkeypatch.setattr(quarters, "_GRACE_SECONDS", 0.0)
        sweep(near.worker)
        assert quarters.inputs_folder(far, order.id).exists()
    monkeypatch.setattr(quarters, "_GRACE_SECONDS", 60.0)
    sweep(near.worker)  # just taken: about to begin
    assert quarters.inputs_folder(far, order.id).exists()
    monkeypatch.setattr(quarters, "_GRACE_SECONDS", 0.0)
    sweep(near.worker)
    assert [n for n in near.leftovers() if not n.startswith("cache/")] == []
    assert not far.folder.exists()


@pytest.mark.slow
def test_a_store_that_is_out_of_reach_for_thirty_seconds_costs_nothing_but_time(
    shop: object, s3: S3, tmp_path: Path
) -> None:
    far = Workplace(shop, s3.url(tmp_path.name), tmp_path)  # type: ignore[arg-type]
    content = {f"{n}.txt": os.urandom(900) for n in range(3)}
    for name, data in content.items():
        far.shop.file(name, data)
    run, order = far.drawn_up(pause=0.1)  # about a second each
    depot = far.depot()
    depot.send(run, order)

    here = far.worker
    taken = take(run.id, order.id, here)
    with Courier(taken, order.id, here):
        s3.pause()
        threading.Timer(30, s3.resume).start()
        began = time.monotonic()
        counts = execute(taken, order.id, here)
        worked = time.monotonic() - began
    assert counts.done == 3
    assert worked < 29  # work went on meanwhile
    assert time.monotonic() - began > 29
    depot.collect(run, [order.id])
    assert {str(e["item"]) for e in far.events(run, order.id, "done")} == set(content)


def test_while_the_store_is_away_the_conductor_is_told_soon_and_goes_on_later(
    shop: object, s3: S3, tmp_path: Path
) -> None:
    far = Workplace(shop, s3.url(tmp_path.name), tmp_path)  # type: ignore[arg-type]
    far.shop.file("a.txt", b"abc")
    run, order = far.drawn_up()
    depot = far.depot()
    depot.send(run, order)
    assert far.carry_out(run, order.id).done == 1
    away = replace(far, url="s3://gone-bucket/x").depot()
    with pytest.raises(StoreError, match="s3://gone-bucket/x"):
        away.collect(run, [order.id])
    assert far.told(run, order.id) == []
    depot.collect(run, [order.id])
    assert len(far.events(run, order.id, "done")) == 1


def test_results_that_cannot_be_shipped_end_the_assignment_in_words(near: Workplace) -> None:
    near.shop.file("a.txt", b"abc")
    run, order = near.drawn_up()
    depot = near.depot()
    depot.send(run, order)
    here = near.worker
    taken = take(run.id, order.id, here)
    blocked = near.folder / "exchange" / "results"
    blocked.write_text("a file where a folder should be")
    courier = Courier(taken, order.id, here, patience=1)
    with pytest.raises(StoreError, match="out of reach"), courier:
        assert execute(taken, order.id, here).done == 1
    blocked.unlink()
    depot.collect(run, [order.id])
    assert near.events(run, order.id, "done") == []
    assert [n for n in near.leftovers() if not n.startswith("cache/")] == []


@pytest.mark.parametrize("damage", [b"xyz", b"other bytes", None])
def test_an_input_that_arrives_damaged_is_lost_alone_and_sent_anew(
    near: Workplace, damage: bytes | None
) -> None:
    near.shop.file("a.txt", b"abc")
    near.shop.file("b.txt", b"good")
    run, order = near.drawn_up()
    depot = near.depot()
    depot.send(run, order)
    name = object_name(order.jobs[0].material.digests[0])
    if damage is None:
        near.place.delete(name)
    else:
        near.place.put(name, damage)
    assert near.carry_out(run, order.id).done == 1
    depot.collect(run, [order.id])
    (lost,) = near.events(run, order.id, "lost")
    assert lost["item"] == "a.txt"
    assert lost["code"] == ("missing_input" if damage is None else "damaged_input")
    again = order.model_copy(update={"id": "a0002", "jobs": order.jobs[:1]})
    again.save(run.assignments)
    depot.send(run, again)
    assert near.carry_out(run, "a0002").done == 1


class FullDisk:
    """A home for the worker on a disk of its own that is too small; where none can be mounted, the
    cache fails as on one."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._home = home
        home.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(home)]
        self.real = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        if not self.real:
            monkeypatch.setattr("millrace.engine.exchange.unpacking.Cache.obtain", self._fail)

    def close(self) -> None:
        if self.real:
            subprocess.run(["umount", "--lazy", str(self._home)], check=True)

    def _fail(self, *args: object) -> int:
        raise OSError(28, os.strerror(28))


def test_a_full_disk_at_the_worker_is_told_in_words_and_leaves_the_work_to_others(
    near: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3 << 20)
    near.shop.file("a.txt", content)
    run, order = near.drawn_up()
    depot = near.depot()
    depot.send(run, order)
    disk = FullDisk(near.worker.home, monkeypatch)
    try:
        with pytest.raises(StoreError, match="disk of this worker is full"):
            take(run.id, order.id, near.worker)
        assert near.leftovers() == []
    finally:
        disk.close()
    monkeypatch.undo()
    depot.collect(run, [order.id])
    assert near.told(run, order.id) == []
    monkeypatch.syspath_prepend(str(REPOSITORY / "tests" / "plugins" / "faults"))
