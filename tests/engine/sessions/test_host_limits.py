"""Session hosts: what a call may take, and what counts as life."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.errors import SessionLost
from millrace.engine.hosts.devices import Device, inventory
from millrace.engine.hosts.leases import LeaseBook
from millrace.engine.sessions.host import Limits, SessionHost
from millrace.engine.stages import Needs, Result

pytestmark = pytest.mark.slow  # each starts programs or sessions of its own


@pytest.mark.parametrize("word", ["hang", "tool-hang"])
def test_a_session_without_progress_is_ended(bench: Any, word: str) -> None:
    host = bench.host(Limits(quiet_seconds=3.0))
    began = time.monotonic()

    finished, lost = bench.lost(host, bench.batch("a"), bench.batch("b", f"!{word}"))

    assert (finished, lost.code) == (["a"], "no_progress")
    assert time.monotonic() - began < 15


def test_output_that_grows_is_progress(bench: Any) -> None:
    host = bench.host(Limits(quiet_seconds=3.0))

    answers = bench.run(host, bench.batch("a", "!grow\n1234"))

    assert answers["a"].path.read_text() == "!grow\n1234"


def test_a_call_may_not_take_longer_than_its_wall_clock(bench: Any) -> None:
    host = bench.host(Limits(wall_seconds=1.0), pause=0.05)

    finished, lost = bench.lost(host, bench.batch("a", "x" * 50_000))

    assert (finished, lost.code) == ([], "timeout")


def test_a_file_that_hangs_its_measuring_is_given_up(bench: Any) -> None:
    with pytest.raises(SessionLost) as lost:
        bench.host(Limits(quiet_seconds=1.0)).measure(bench.item("a", "!measure-hang"))

    assert lost.value.code == "no_progress"


def test_a_session_that_outgrows_its_memory_is_ended(bench: Any) -> None:
    host = bench.host(Limits(memory=150 << 20))

    finished, lost = bench.lost(host, bench.batch("a"), bench.batch("b", "!eat"))

    assert (finished, lost.code) == (["a"], "memory")
    assert "150 MiB" in lost.message


def test_waiting_for_a_lease_is_life(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "devices.json"
    table.write_text('{"name": "small", "cores": 1, "memory": "1 GiB"}')
    monkeypatch.setenv("MILLRACE_DEVICES", str(table))
    host = SessionHost(
        "faults.bytes",
        {},
        lease_folder=bench.folder / "leases",
        needs=Needs(cores=1),
        device=Device(),
        log=bench.folder / "log",
        scratch=bench.folder / "scratch",
        limits=Limits(quiet_seconds=3.0, wall_seconds=4.0),
    )
    bench.hosts.append(host)
    lease = LeaseBook(bench.folder / "leases", inventory()).acquire(Needs(cores=1))
    threading.Timer(5.0, lease.release).start()
    began = time.monotonic()

    answers = bench.run(host, bench.batch("a"))

    assert isinstance(answers["a"], Result)
    assert time.monotonic() - began > 4.5
