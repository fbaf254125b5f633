"""Leases hold against processes that compete, die, fork and stop: all with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millrace.engine.errors import NotPermitted
from millrace.engine.hosts.devices import Device, Host
from millrace.engine.hosts.leases import LeaseBook
from millrace.engine.hosts.nvml import Gpu
from millrace.engine.stages import Needs

GIB = 1 << 30
GPUS = tuple(Gpu(uuid=f"GPU-{n}", name="RTX 4090", vram=24 * GIB) for n in range(2))
HOST = Host(cores=128, memory=256 * GIB, gpus=GPUS)
WHOLE = Needs(gpu="require")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "leases"


@pytest.fixture
def book(folder: Path) -> LeaseBook:
    return LeaseBook(folder, HOST)


Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts a Python program that has `book`; its first line of output tells that it is ready."""
    programs: list[subprocess.Popen[str]] = []
    preface = (
        "import os, subprocess, sys, time; from pathlib import Path\n"
        "from millrace.engine.hosts.devices import Host; from millrace.engine.stages import Needs\n"
        "from millrace.engine.hosts.leases import LeaseBook\n"
        f"host = Host.model_validate_json({HOST.model_dump_json()!r})\n"
        f"book = LeaseBook(Path({str(folder)!r}), host)\n"
    )

    def begin(body: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", preface + body]
        pipe = subprocess.PIPE
        programs.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        return programs[-1]

    yield begin
    for program in programs:
        program.kill()
        program.communicate()


def said(program: subprocess.Popen[str]) -> str:
    assert program.stdout
    return program.stdout.readline().strip()


HOLD = (
    "lease = book.acquire(Needs(gpu='require'))\n"
    "print(lease.device.uuid, flush=True); time.sleep(60)"
)


def test_a_lease_tells_its_device_and_confines_a_tool_to_it(book: LeaseBook) -> None:
    with book.acquire(Needs(gpu="require", vram=4 * GIB, cores=3, memory=GIB)) as lease:
        assert lease.device == Device(
            kind="cuda", name="RTX 4090", uuid="GPU-0", vram=4 * GIB, cores=3, memory=GIB
        )
        assert lease.environment()["CUDA_VISIBLE_DEVICES"] == "GPU-0"
        assert lease.environment()["OMP_NUM_THREADS"] == "3"
        (held,) = book.held()
        assert (held.pid, held.device, held.vram, held.cores) == (os.getpid(), "GPU-0", 4 * GIB, 3)
    assert book.held() == []


def test_a_lease_of_the_cpu_hides_every_gpu(book: LeaseBook) -> None:
    with book.acquire(Needs(cores=2)) as lease:
        assert lease.device.kind == "cpu"
        assert lease.environment()["CUDA_VISIBLE_DEVICES"] == ""


def test_cores_are_never_leased_twice_and_a_request_beyond_the_host_is_capped(
    book: LeaseBook,
) -> None:
    with book.acquire(Needs(cores=100)), pytest.raises(NotPermitted, match="29 cores"):
        book.acquire(Needs(cores=29), timeout=0)
    with book.acquire(Needs(cores=1000)) as lease:
        assert lease.device.cores == 128
        with pytest.raises(NotPermitted):
            book.acquire(Needs(cores=1), timeout=0)


def test_stated_memory_is_never_leased_twice(book: LeaseBook) -> None:
    with book.acquire(Needs(memory=200 * GIB)), pytest.raises(NotPermitted):
        book.acquire(Needs(memory=57 * GIB), timeout=0)


def test_a_request_that_this_host_can_never_grant_does_not_wait(book: LeaseBook) -> None:
    with pytest.raises(NotPermitted, match="gpu: require"):
        book.acquire(Needs(gpu="require", vram=25 * GIB))
    with pytest.raises(NotPermitted, match="memory"):
        book.acquire(Needs(memory=257 * GIB))
    with pytest.raises(NotPermitted, match="no H100"):
        book.acquire(Needs(gpu="require"), like=Device(kind="cuda", name="H100"))


def test_a_preferred_gpu_that_is_taken_is_waited_for(book: LeaseBook) -> None:
    with book.acquire(WHOLE), book.acquire(WHOLE):
        with pytest.raises(NotPermitted, match="a whole GPU free within"):
            book.acquire(Needs(gpu="prefer"), timeout=0.1)
        with book.acquire(Needs(gpu="prefer"), like=Device(), timeout=0) as lease:
            assert lease.device.kind == "cpu"


def test_waiting_ends_as_soon_as_a_lease_is_released(book: LeaseBook) -> None:
    first, second = book.acquire(WHOLE), book.acquire(WHOLE)
    waits: list[float] = []
    timer = threading.Timer(0.3, first.release)
    timer.start()
    with book.acquire(WHOLE, timeout=20, on_wait=lambda: waits.append(time.monotonic())) as third:
        assert third.device.uuid == first.device.uuid
    assert waits
    timer.join()
    second.release()


def test_what_on_wait_raises_ends_the_wait_and_leaves_nothing(
    book: LeaseBook, folder: Path
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with book.acquire(Needs(cores=128)):
        with pytest.raises(KeyboardInterrupt):
            book.acquire(Needs(cores=1), on_wait=stop)
        assert len(book.held()) == 1
    assert [path.name for path in folder.iterdir()] == ["book"]


def test_a_lease_ends_with_its_process_even_killed(book: LeaseBook, start: Start) -> None:
    holders = [start(HOLD) for _ in GPUS]
    assert sorted(said(holder) for holder in holders) == ["GPU-0", "GPU-1"]
    with pytest.raises(NotPermitted, match="a whole GPU"):
        book.acquire(WHOLE, timeout=0)
    holders[0].kill()
    holders[0].wait()
    book.acquire(WHOLE, timeout=0).release()


def test_a_waiting_request_ends_with_its_process_even_killed(book: LeaseBook, start: Start) -> None:
    with book.acquire(Needs(cores=100)):
        queued = start("book.acquire(Needs(cores=128), on_wait=lambda: print('waits', flush=True))")
        assert said(queued) == "waits"
        with pytest.raises(NotPermitted):
            book.acquire(Needs(cores=1), timeout=0)  # it does not pass the earlier one
        queued.kill()
        queued.wait()
        book.acquire(Needs(cores=1), timeout=0).release()


def test_a_child_that_was_given_the_lease_keeps_it_when_its_parent_dies(
    book: LeaseBook, start: Start
) -> None:
    parent = start(
        "lease = book.acquire(Needs(cores=128))\n"
        "child = subprocess.Popen(['sleep', '60'], pass_fds=(lease.fileno(),), "
        "stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    child = int(said(parent))
    parent.kill()
    parent.wait()
    try:
        with pytest.raises(NotPermitted):
            book.acquire(Needs(cores=1), timeout=0)
    finally:
        os.kill(child, signal.SIGKILL)
    book.acquire(Needs(cores=128), timeout=20).release()


def test_other_children_do_not_keep_a_lease(book: LeaseBook) -> None:
    lease = book.acquire(Needs(cores=128))
    started = subprocess.Popen(["sleep", "60"])
    forked = os.fork()
    if forked == 0:
        time.sleep(60)
        os._exit(0)
    try:
        with pytest.raises(NotPermitted):
            book.acquire(Needs(cores=1), timeout=0)
        lease.release()
        book.acquire(Needs(cores=128), timeout=20).release()
    finally:
        started.kill()
        started.wait()
        os.kill(forked, signal.SIGKILL)
        os.waitpid(forked, 0)


def test_a_forked_child_cannot_release_its_parents_lease(book: LeaseBook, folder: Path) -> None:
    lease = book.acquire(Needs(cores=128))
    forked = os.fork()
    if forked == 0:
        file = os.open(folder / "mine", os.O_CREAT | os.O_RDWR)  # may get the lease's number
        lease.release()
        os._exit(0 if os.fstat(file) else 1)
    assert os.waitpid(forked, 0)[1] == 0
    assert len(book.held()) == 1
    lease.release()


def test_a_stopped_holder_keeps_its_lease(book: LeaseBook, start: Start) -> None:
    holder = start("lease = book.acquire(Needs(cores=128)); print(1, flush=True); time.sleep(60)")
    said(holder)
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(NotPermitted):
        book.acquire(Needs(cores=1), timeout=0)


KILLED_AT_A_LINE = """
count, last = 0, int(sys.argv[1]) if len(sys.argv) > 1 else 0
def trace(frame, event, argument):
    global count
    watched = ("engine/hosts/leases.py", "engine/hosts/lockfiles.py")
    if not frame.f_code.co_filename.endswith(watched):
        return None
    if event == "line":
        count += 1
        if count == last:
            os.kill(os.getpid(), 9)
    return trace
for last in range(1, 10_000):
    child = os.fork()
    if child == 0:
        count = 0
        sys.settrace(trace)
        book.acquire(Needs(gpu="require", cores=128)).release()
        sys.settrace(None)
        os._exit(7)
    _, status = os.waitpid(child, 0)
    book.acquire(Needs(gpu="require", cores=128), timeout=5).release()
    if os.WIFEXITED(status):
        print(last, os.WEXITSTATUS(status), flush=True)
        break
"""


@pytest.mark.slow
def test_a_process_killed_at_any_line_of_the_book_wedges_nobody(
    book: LeaseBook, start: Start, folder: Path
) -> None:
    """One process for every line of acquire and release, killed there; the next gets it all."""
    lines, status = map(int, said(start(KILLED_AT_A_LINE)).split())
    assert status == 7
    assert lines > 80
    assert book.held() == []
    assert [path.name for path in folder.iterdir()] == ["book"]


def test_a_whole_gpu_is_got_in_the_face_of_a_stream_of_small_requests(
    book: LeaseBook, start: Start
) -> None:
    stream = (
        "print(1, flush=True)\n"
        "while True:\n"
        "    with book.acquire(Needs(gpu='require', vram=8 << 30)): time.sleep(0.05)\n"
    )
    for program in [start(stream) for _ in range(7)]:
        said(program)
    for _ in range(3):
        with book.acquire(WHOLE, timeout=30) as lease:
            assert lease.device.vram == 24 * GIB
