"""Room on the disk: too little is told before any work, and none left ends a run cleanly.

The store lies on a disk of 24 MB of its own. Where a machine does not allow one to be mounted, the
same faults come through the engine's seams: what is free, and the points of a commit.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.engine import space
from millrace.engine.errors import StoreError
from millrace.engine.outcome import Outcome
from tests.engine.runs.conftest import PIPELINE, Workshop

MB = 1 << 20
WHOLE = PIPELINE.replace("each: files", f"each: files, with: {{cut: {100 * MB}}}")


class SmallDisk:
    """A disk of 24 MB for the store. `fill` takes all that is left, `clear` gives it back."""

    def __init__(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self._full = store, False
        store.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={24 * MB}", "none", str(store)]
        self.real = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        if not self.real:
            monkeypatch.setattr(space, "free", lambda path: 0 if self._full else 24 * MB)

    def fill(self) -> None:
        self._full = True
        if not self.real:
            return
        with (self.store / "filler").open("ab", buffering=0) as file:
            for size in (MB, 4096):
                while _has_room(file.fileno(), size):
                    continue

    def clear(self) -> None:
        self._full = False
        (self.store / "filler").unlink(missing_ok=True)

    def fail_when_full(self) -> None:
        """What a write would do, where the disk is not a real one."""
        if self._full and not self.real:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        if self.real:
            subprocess.run(["umount", "--lazy", str(self.store)], check=True)


def _has_room(handle: int, size: int) -> bool:
    try:
        return os.write(handle, bytes(size)) == size
    except OSError:
        return False


@pytest.fixture
def disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    small = SmallDisk(home / "store", monkeypatch)
    yield small
    small.close()


def test_an_item_that_cannot_fit_is_refused_before_any_work_and_the_others_go_on(
    shop: Workshop, disk: SmallDisk
) -> None:
    shop.file("big.txt", bytes(12 * MB))
    shop.file("a.txt", "small")
    shop.file("b.txt", "small too")

    plan = shop.plan(WHOLE)
    assert not plan.disk.enough
    outcome = shop.run(WHOLE)

    assert outcome.items == {"done": 2, "reused": 0, "failed": 1}
    (failure,) = outcome.failures
    assert (failure.item, failure.code) == ("big.txt", "disk_too_small")
    assert "12.6 MB" in failure.reason
    assert str(disk.store) in failure.hint
    assert {e["item"] for e in shop.events("cut")} == {"a.txt", "b.txt"}
    assert shop.out() == {"a.txt": b"small", "b.txt": b"small too"}


def test_a_disk_that_gets_full_ends_the_run_in_words_and_the_next_run_continues(
    shop: Workshop, disk: SmallDisk
) -> None:
    contents = {f"f{n}.txt": bytes([65 + n]) * 100_000 for n in range(8)}
    for name, content in contents.items():
        shop.file(name, content)
    commits = 0

    def step(name: str) -> None:
        nonlocal commits
        commits += name == "committed"
        if name == "committed" and commits == 2:
            disk.fill()
        if name == "object-synced":
            disk.fail_when_full()

    ended = _ended(shop, step)

    assert ended.exit_code == 1
    assert "Traceback" not in _words(ended)
    assert "full" in _words(ended)
    kept = {e["key"] for e in shop.events("done")}
    assert kept
    assert all(contents[name] == data for name, data in _delivered(shop).items())

    disk.clear()
    outcome = shop.run(WHOLE)
    assert outcome.state == "succeeded", outcome.failures
    assert kept <= {e["key"] for e in shop.events("reused")}
    assert outcome.items["reused"] >= len(kept)
    assert shop.out() == contents


def test_a_stage_that_finds_the_disk_full_fails_its_item_and_is_tried_by_the_next_run(
    shop: Workshop,
) -> None:
    shop.file("a.txt", "!full")
    shop.file("b.txt", "fine")
    first = shop.run()
    assert [(f.item, f.code) for f in first.failures] == [("a.txt", "disk_full")]
    assert "free some space" in first.failures[0].hint
    assert first.items["done"] == 1
    assert first.exit_code == 1
    shop.run()
    assert [(e["item"], e["code"], e["known"]) for e in shop.events("failed")] == [
        ("a.txt", "disk_full", False)
    ]


def test_a_full_disk_under_the_outputs_is_told_and_the_next_run_delivers_from_the_store(
    shop: Workshop, disk: SmallDisk, tmp_path: Path
) -> None:
    """The roles exchanged: the small disk takes the outputs, the store has room."""
    shop.file("a.txt", os.urandom(50_000))
    out = tmp_path / "out"
    out.symlink_to(disk.store / "out")
    (disk.store / "out").mkdir()
    home = tmp_path / "roomy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_HOME", str(home))
        disk.fill()
        if not disk.real:
            patch.setattr("millrace.engine.deliver.share", lambda a, b: disk.fail_when_full())
        first = shop.run(WHOLE)
        assert [(f.item, f.code) for f in first.failures] == [("a.txt", "disk_full")]
        assert "in the store" in first.failures[0].hint
        assert shop.out() == {}
        disk.clear()
        patch.undo()
        patch.setenv("MILLRACE_HOME", str(home))
        again = shop.run(WHOLE)
        assert again.items == {"done": 0, "reused": 1, "failed": 0}
        assert shop.out() == {"a.txt": (shop.folder / "in" / "a.txt").read_bytes()}


def _ended(shop: Workshop, step: object) -> Outcome | StoreError:
    try:
        return shop.run(WHOLE, on_step=step)  # type: ignore[arg-type]
    except StoreError as error:
        return error


def _words(ended: Outcome | StoreError) -> str:
    if isinstance(ended, StoreError):
        return str(ended)
    return " ".join(f"{f.code} {f.reason} {f.hint}" for f in ended.failures)


def _delivered(shop: Workshop) -> dict[str, bytes]:
    return shop.out() if (shop.folder / "out").exists() else {}
