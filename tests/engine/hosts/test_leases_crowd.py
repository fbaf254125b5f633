"""A hundred processes share two simulated GPUs of 24 GiB; an independent monitor adds up what
they say they hold. Some are killed while they hold a lease, some while they wait for one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from millrace.engine.errors import NotPermitted
from millrace.engine.hosts.devices import Host
from millrace.engine.hosts.leases import LeaseBook
from millrace.engine.hosts.nvml import Gpu
from millrace.engine.stages import Needs

GIB = 1 << 30
GPUS = tuple(Gpu(uuid=f"GPU-{n}", name="RTX 4090", vram=24 * GIB) for n in range(2))
HOST = Host(cores=128, memory=256 * GIB, gpus=GPUS)

CROWD = """
import os, random, sys, time
from pathlib import Path
from millrace.engine.hosts.devices import Host
from millrace.engine.hosts.leases import LeaseBook
from millrace.engine.stages import Needs
folder, host, log, TOGETHER = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] == "together"
book = LeaseBook(Path(folder), Host.model_validate_json(host))
log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def work(n):
    chance = random.Random(n)
    vram = (480 << 20) if TOGETHER else chance.choice([0, *range(1, 13)]) << 30
    cores = 1 if TOGETHER else chance.randint(1, 32)
    with book.acquire(Needs(gpu="require", vram=vram, cores=cores)) as lease:
        device = lease.device
        line = f"+ {os.getpid()} {device.uuid} {device.vram} {device.cores}\\n"
        os.write(log, line.encode())
        time.sleep(120 if TOGETHER else chance.uniform(0.05, 0.3))
        os.write(log, f"- {os.getpid()}\\n".encode())
children = []
for n in range(100):
    child = os.fork()
    if child == 0:
        work(n)
        os._exit(0)
    children.append(child)
print(*children, flush=True)
for child in children:
    os.waitpid(child, 0)
print("all gone", flush=True)
"""


Gather = Callable[[str], "tuple[subprocess.Popen[str], list[int]]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "leases"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def gather(folder: Path, log: Path) -> Iterator[Gather]:
    """Starts the hundred; returns the program that waits for them and their process ids."""
    programs: list[subprocess.Popen[str]] = []

    def begin(how: str) -> tuple[subprocess.Popen[str], list[int]]:
        script = [sys.executable, "-c", CROWD, str(folder), HOST.model_dump_json(), str(log), how]
        program = subprocess.Popen(
            script, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        programs.append(program)
        assert program.stdout
        return program, [int(pid) for pid in program.stdout.readline().split()]

    yield begin
    for program in programs:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def holding(lines: list[str], ignored: set[int]) -> dict[int, tuple[str, int, int]]:
    """Returns who holds what after these lines, and checks at every line that it is not too much.

    Holders write after they have got a lease and before they give it up, so what the lines say is
    held at one time was really held at that time.
    """
    held: dict[int, tuple[str, int, int]] = {}
    for line in lines:
        sign, pid, *rest = line.split()
        if sign == "-":
            held.pop(int(pid), None)
        elif int(pid) not in ignored:
            held[int(pid)] = (rest[0], int(rest[1]), int(rest[2]))
        for gpu in GPUS:
            assert sum(vram for uuid, vram, _ in held.values() if uuid == gpu.uuid) <= gpu.vram
        assert sum(cores for _, _, cores in held.values()) <= HOST.cores
    return held


def grown(log: Path, count: int) -> list[str]:
    """Returns the lines of a growing log once there are at least `count` of them."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.02)
    raise AssertionError(f"the log has not grown to {count} lines")


@pytest.mark.slow
def test_a_hundred_leases_held_at_once_do_not_oversubscribe_and_survive_deaths(
    folder: Path, log: Path, gather: Gather
) -> None:
    program, pids = gather("together")
    held = holding(grown(log, 100), set())
    book = LeaseBook(folder, HOST)
    assert sorted(held) == sorted(pids)
    assert sorted(lease.pid for lease in book.held()) == sorted(pids)
    with pytest.raises(NotPermitted):
        book.acquire(Needs(gpu="require", vram=2 * GIB), timeout=0)
    for pid in [pid for pid, (uuid, _, _) in held.items() if uuid == "GPU-0"][:20]:
        os.kill(pid, signal.SIGKILL)
    with book.acquire(Needs(gpu="require", vram=9 * GIB), timeout=20) as lease:
        assert lease.device.uuid == "GPU-0"
        assert len(book.held()) == 81
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    assert eventually(lambda: book.held() == [])


@pytest.mark.slow
def test_a_hundred_processes_that_compete_never_oversubscribe_though_many_are_killed(
    folder: Path, log: Path, gather: Gather
) -> None:
    program, pids = gather("in turn")
    killed_early = set(pids[::10])
    for pid in killed_early:
        with suppress(ProcessLookupError):  # the quickest may be done
            os.kill(pid, signal.SIGKILL)  # most wait; should one hold a lease, it is not counted
    killed_holding: set[int] = set()
    while len(killed_holding) < 15:
        for pid in holding(grown(log, 1 + 2 * len(killed_holding)), killed_early):
            if pid not in killed_holding and len(killed_holding) < 15:
                with log.open("a") as file:
                    file.write(f"- {pid}\n")  # the monitor counts it no more, then it dies
                with suppress(ProcessLookupError):  # it was done before we came
                    os.kill(pid, signal.SIGKILL)
                    killed_holding.add(pid)
    assert program.communicate()[0].strip() == "all gone"
    lines = log.read_text().splitlines()
    assert holding(lines, killed_early) == {}
    assert {int(line.split()[1]) for line in lines if line[0] == "-"} | killed_early == set(pids)
    assert LeaseBook(folder, HOST).held() == []


def test_threads_of_one_process_compete_like_processes(folder: Path) -> None:
    book = LeaseBook(folder, HOST)
    most, now, guard = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal most, now
        with book.acquire(Needs(cores=64)):
            with guard:
                now += 1
                most = max(most, now)
            time.sleep(0.01)
            with guard:
                now -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 2
    assert book.held() == []


def eventually(true: Callable[[], bool]) -> bool:
    """True when it becomes true within 20 seconds (a killed process takes a moment to be gone)."""
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()
