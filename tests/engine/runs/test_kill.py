"""kill -9 of the whole process tree, at every commit point of the store and at any other moment.

What must hold after each kill: under out/ every file is whole, as it was before, or absent; and the
runs that follow finish with the same bytes as a run that nobody disturbed, doing again at most the
batches that were in flight: no batch is ever recorded as done twice.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from millrace.engine.runs import Runs
from millrace.engine.settings import settings
from tests.engine.runs.conftest import PIPELINE, Workshop

KILLABLE = Path(__file__).parent / "killable.py"
STEPS = ("object-synced", "object-renamed", "record-written", "record-renamed", "committed")
FILES = {f"f{n}.txt": bytes([65 + n]) * (2500 + n) for n in range(4)}
CHAIN = PIPELINE.replace(
    "outputs:", "  two: {uses: faults.bytes, each: one, with: {cut: 1500}}\noutputs:"
).replace("from: one", "from: two")


def _start(shop: Workshop, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(KILLABLE), str(shop.folder), *arguments], start_new_session=True
    )


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kills a process and all it started, in other sessions too, none of them first asked."""
    root = psutil.Process(process.pid)
    family = [root, *root.children(recursive=True)]
    for member in family:
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def _visible(shop: Workshop) -> dict[str, bytes]:
    """What stands under final names; a hidden leftover of a killed delivery is no result."""
    if not (shop.folder / "out").exists():
        return {}
    return {name: data for name, data in shop.out().items() if not name.endswith(".part")}


def _whole_or_absent(shop: Workshop) -> bool:
    return all(FILES[name] == data for name, data in _visible(shop).items())


def _done_keys() -> list[list[str]]:
    """The keys that each run finished, in the order of the runs."""
    runs = reversed(Runs(settings()).list())
    return [[r.data["key"] for r in run.records() if r.event == "done"] for run in runs]


def _prepare(shop: Workshop) -> None:
    (shop.folder / "p.yaml").write_text(CHAIN)
    for name, content in FILES.items():
        shop.file(name, content)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_commit_point_the_next_run_ends_as_if_nothing_had_been(
    shop: Workshop, step: str
) -> None:
    _prepare(shop)
    for count in ("1", "4"):
        killed = _start(shop, step, count)
        assert killed.wait(60) == -signal.SIGKILL
        assert _whole_or_absent(shop)
    assert _start(shop).wait(60) == 0
    assert shop.out() == FILES
    assert not list(Runs(settings()).list()[0].scratch.glob("*"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_thirty_random_moments_nothing_is_half_written_or_done_twice(
    shop: Workshop,
) -> None:
    _prepare(shop)
    dice = random.Random(20261124)
    kills = 0
    for lot in range(100):
        # Other contents each time, so that there is always work to be killed in.
        files = {name: content[:-2] + b"%02d" % lot for name, content in FILES.items()}
        earlier = shop.out() if (shop.folder / "out").exists() else {}
        for name, content in files.items():
            shop.file(name, content)
        runs = len(_done_keys())
        for _ in range(3):
            process = _start(shop)
            time.sleep(dice.uniform(0.3, 2.0))
            if process.poll() is not None:  # a fast machine is done by then: other contents
                break
            _kill_tree(process)
            kills += 1
            for name, data in _visible(shop).items():
                assert data in (files[name], earlier.get(name)), f"{name} is half written"
        assert _start(shop).wait(120) == 0
        assert shop.out() == files
        done = [key for run in _done_keys()[runs:] for key in run]
        assert len(done) == len(set(done)), "a finished batch was done again"
        if kills >= 30:
            return
    pytest.fail(f"only {kills} runs were slow enough to be killed")


@pytest.mark.slow
def test_no_process_outlives_a_killed_run(shop: Workshop) -> None:
    (shop.folder / "p.yaml").write_text(
        CHAIN.replace("each: files", "each: files, with: {pause: 0.2}")
    )
    for name, content in FILES.items():
        shop.file(name, content)
    process = _start(shop)
    time.sleep(3)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, json.dumps([p.as_dict(["pid", "cmdline"]) for p in alive])
