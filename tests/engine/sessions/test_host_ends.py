"""Session hosts: however a session ends, nothing of it is left and what was finished is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.errors import SessionLost
from millrace.engine.sessions.group import members
from millrace.engine.sessions.host import SessionHost
from millrace.engine.stages import Result

pytestmark = pytest.mark.slow  # each starts programs or sessions of its own

PARENT = """
import sys
from pathlib import Path
from millrace.engine.hosts.devices import Device
from millrace.engine.sessions.host import Limits, SessionHost
from millrace.engine.stages import Batch, Needs, Outline, Span, Staged

folder = Path(sys.argv[1])
item = Staged(name="a", path=folder / "in" / "a")
outline = Outline(media_type="text/plain", size=1)
host = SessionHost(
    "faults.bytes", {}, lease_folder=folder / "leases", needs=Needs(), device=Device(),
    log=folder / "log", scratch=folder / "scratch", limits=Limits(),
)
for event in host.run(
    [Batch(key="a", item=item, outline=outline, span=Span(stop=1), whole=True)], folder / "out"
):
    pass
"""


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Waits for the condition; False when it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def family(folder: Path) -> list[int]:
    """Returns the ids of session, tool and grandchild, once they are written down."""
    assert until((folder / "in" / "family").exists)
    return [int(word) for word in (folder / "in" / "family").read_text().split()]


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def in_background(host: SessionHost, batch: Any, out: Path) -> tuple[threading.Thread, list[str]]:
    codes: list[str] = []

    def work() -> None:
        try:
            list(host.run([batch], out))
        except SessionLost as lost:
            codes.append(lost.code)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, codes


@pytest.mark.parametrize(("word", "name"), [("segfault", "SIGSEGV"), ("kill-self", "SIGKILL")])
def test_a_session_that_dies_is_lost_after_what_it_finished(
    bench: Any, word: str, name: str
) -> None:
    batches = [bench.batch("a"), bench.batch("b", f"!{word}"), bench.batch("c")]

    finished, lost = bench.lost(bench.host(), *batches)

    assert finished == ["a"]
    assert lost.code == "crashed"
    assert name in lost.message


def test_a_lost_host_stays_lost(bench: Any) -> None:
    host = bench.host()
    bench.lost(host, bench.batch("a", "!kill-self"))

    with pytest.raises(SessionLost, match="SIGKILL"):
        list(host.run([bench.batch("b")], bench.folder / "out"))


def test_a_line_that_is_no_event_ends_the_session(bench: Any) -> None:
    _, lost = bench.lost(bench.host(), bench.batch("a", "!garbage"))

    assert lost.code == "protocol"


def test_a_command_that_the_child_does_not_know_ends_the_session(bench: Any) -> None:
    host = bench.host()
    host._setup = host._setup.model_copy(update={"do": "of another version"})

    _, lost = bench.lost(host, bench.batch("a"))

    assert lost.code == "crashed"
    assert "of another version" in bench.log


def test_a_session_that_cannot_be_started_is_lost(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    _, lost = bench.lost(bench.host(), bench.batch("a"))

    assert "cannot be started" in lost.message


def test_a_kind_that_reports_progress_stops_when_asked_and_cleans_up(bench: Any) -> None:
    host = bench.host(pause=0.02)
    thread, codes = in_background(host, bench.batch("a", "x" * 100_000), bench.folder / "out")
    assert until(lambda: (bench.folder / "out" / "a.txt").exists())
    group = host.pid
    began = time.monotonic()

    host.cancel()
    thread.join()

    assert codes == ["cancelled"]
    assert time.monotonic() - began < 3
    assert members(group) == []
    assert "session closed" in bench.log


def test_a_deaf_kind_its_tool_and_the_tools_child_are_gone_within_five_seconds(bench: Any) -> None:
    host = bench.host()
    thread, codes = in_background(host, bench.batch("a", "!deaf"), bench.folder / "out")
    pids = family(bench.folder)
    began = time.monotonic()

    host.cancel()
    thread.join()

    assert codes == ["cancelled"]
    assert time.monotonic() - began < 5
    assert [pid for pid in pids if runs(pid)] == []


def test_a_cancel_before_the_first_call_is_kept(bench: Any) -> None:
    host = bench.host()
    host.cancel()

    with pytest.raises(SessionLost, match="cancelled"):
        list(host.run([bench.batch("a")], bench.folder / "out"))


def test_events_nobody_reads_any_more_end_the_session(bench: Any) -> None:
    host = bench.host(pause=0.05)
    events = host.run([bench.batch("a", "x" * 50_000)], bench.folder / "out")
    next(events)
    group = host.pid

    events.close()

    assert until(lambda: members(group) == [])


def test_the_session_outlives_the_thread_that_made_it(bench: Any) -> None:
    host = bench.host()
    thread = threading.Thread(target=lambda: bench.run(host, bench.batch("a")))
    thread.start()
    thread.join()
    time.sleep(0.2)

    answers = bench.run(host, bench.batch("b"))

    assert isinstance(answers["b"], Result)


def test_kill_9_of_the_child_takes_its_tools_along(bench: Any) -> None:
    host = bench.host()
    thread, codes = in_background(host, bench.batch("a", "!tool-and-hang"), bench.folder / "out")
    session, tool, grandchild = family(bench.folder)

    os.kill(session, signal.SIGKILL)
    thread.join()

    assert codes == ["crashed"]
    assert not runs(tool)
    assert not runs(grandchild)


def test_tools_that_left_the_group_or_the_session_end_with_it_too(bench: Any) -> None:
    host = bench.host()
    bench.run(host, bench.batch("a", "!strays"))
    strays = [int(word) for word in (bench.folder / "in" / "strays").read_text().split()]
    alive = [pid for pid in strays if runs(pid)]

    host.close()

    assert alive == strays
    assert until(lambda: not any(map(runs, strays)), 3)


@pytest.mark.parametrize("also", ["parent alone", "parent and session", "stopped session"])
def test_kill_9_of_the_parent_leaves_nothing(bench: Any, also: str) -> None:
    bench.item("a", "!tool-and-hang")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(bench.folder)])
    pids = family(bench.folder)
    group = os.getpgid(pids[0])
    if also == "stopped session":
        os.kill(pids[0], signal.SIGSTOP)  # as one that hangs in a library: it handles nothing

    os.kill(parent.pid, signal.SIGKILL)
    if also == "parent and session":
        os.kill(pids[0], signal.SIGKILL)
    parent.wait()

    assert until(lambda: not any(map(runs, pids)), 3)
    assert until(lambda: members(group) == [], 3)


def test_the_kernel_itself_ends_a_tool_whose_session_and_guard_are_gone(bench: Any) -> None:
    bench.item("a", "!tool-and-hang")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(bench.folder)])
    session, tool, grandchild = family(bench.folder)
    guards = set(members(session)) - {session, tool, grandchild}

    for pid in (*guards, parent.pid, session):
        os.kill(pid, signal.SIGKILL)
    parent.wait()

    assert len(guards) == 1
    assert until(lambda: not runs(tool), 3)
    os.kill(grandchild, signal.SIGKILL)  # nobody is left to do it
