"""Watching a folder: files are taken once they have settled, each once, across restarts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from millrace.engine.runs import Runs
from millrace.engine.settings import settings
from millrace.engine.settling import Settling, written
from tests.engine.runs.conftest import PLUGINS, Workshop

PIPELINE = """
version: 1
name: inbox
label: internal
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""
A, B = (1, 10, 100), (2, 20, 200)


def test_a_file_settles_once_it_has_stayed_as_it_is() -> None:
    settling = Settling(5.0)
    assert settling.look({"/a": A}, 100.0).settled == {}
    assert settling.look({"/a": A}, 104.0).unsettled == (Path("/a"),)
    assert settling.look({"/a": A, "/b": B}, 105.0).settled == {"/a": A}
    changed = (9, 11, 100)
    assert settling.look({"/a": changed, "/b": B}, 110.0).settled == {"/b": B}
    assert settling.look({"/b": B}, 120.0).settled == {"/b": B}
    assert settling.look({"/a": changed}, 121.0).settled == {}


def test_what_an_earlier_run_has_seen_need_not_settle_again() -> None:
    settling = Settling(5.0)
    settling.take({"/a": A})
    sight = settling.look({"/a": A, "/b": B}, 0.0)
    assert (sight.settled, sight.unsettled) == ({"/a": A}, (Path("/b"),))


def test_a_file_that_is_open_for_writing_has_not_settled(tmp_path: Path) -> None:
    path, read = tmp_path / "a", tmp_path / "b"
    read.write_text("there")
    with path.open("w") as file, read.open() as _:
        file.write("half")
        assert written([str(path), str(read)]) == {str(path)}
        settling = Settling(0.0)
        assert settling.look({str(path): A, str(read): B}, 1.0).settled == {str(read): B}
    assert written([str(path)]) == set()


@pytest.fixture
def inbox(
    api: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Workshop:
    for name, value in api.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    monkeypatch.syspath_prepend(str(PLUGINS))
    (tmp_path / "p.yaml").write_text(PIPELINE)
    return Workshop(tmp_path)


def watcher(shop: Workshop, *options: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("millrace")), "watch", "p.yaml"]
    log = (shop.folder / "watch.log").open("ab")
    return subprocess.Popen(
        [*command, "--every", "0.2s", "--settle", "0.5s", *options],
        cwd=shop.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )  # fmt: skip


def until(true: Callable[[], bool], shop: Workshop, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, (shop.folder / "watch.log").read_text()
        time.sleep(0.2)


def ended(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def done_by_run() -> Mapping[str, list[str]]:
    runs = sorted(Runs(settings()).list(), key=lambda run: run.id)
    return {
        run.id: sorted(r.item for r in run.records() if r.event == "done" and r.stage == "one")
        for run in runs
    }


def over(runs: int) -> bool:
    found = Runs(settings()).list()
    return len(found) >= runs and all(
        any(r.event == "ended" for r in run.records()) for run in found
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_files_are_taken_as_they_come_each_once_and_a_restart_goes_on(inbox: Workshop) -> None:
    process = watcher(inbox)
    try:
        until(lambda: "nothing matches" in (inbox.folder / "watch.log").read_text(), inbox)
        assert Runs(settings()).list() == []
        half = (inbox.folder / "in" / "half.txt").open("w")
        half.write("half of it")
        half.flush()
        inbox.file("a.txt", "first")
        inbox.file("bad.txt", "!bad")
        until(lambda: over(1), inbox)
        assert set(inbox.out()) == {"a.txt"}
        half.write(", and the rest")
        half.close()
        until(lambda: over(2), inbox)
        assert inbox.out()["half.txt"] == b"half of it, and the rest"
        assert list(done_by_run().values()) == [["a.txt"], ["half.txt"]]
        time.sleep(1.5)
    finally:
        code = ended(process)
    assert code == 0
    assert len(Runs(settings()).list()) == 2
    process = watcher(inbox, "--once")  # nothing is new: no run, not even a first one
    assert process.wait(120) == 0
    assert len(Runs(settings()).list()) == 2
    inbox.file("b.txt", "second")
    (inbox.folder / "in" / "a.txt").unlink()
    process = watcher(inbox, "--once")
    assert process.wait(120) == 1  # one file is known to be bad
    assert [item for run in list(done_by_run().values())[2:] for item in run] == ["b.txt"]
