"""The processes around a session: who they are, what they weigh, how they end. Linux only.

The child, its guard, its tools and what those start are one process group, led by the child, so
that one signal reaches them all. Some tools start groups of their own (PySpark's daemon does), so
the kernel's session counts as well; and some leave even that, so each carries a mark.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
MARK = "MILLRACE_SESSION"  # variable by which a process is known that left its session
_PAGE = os.sysconf("SC_PAGE_SIZE")
_GONE = (OSError, ValueError, IndexError)


def die_with(parent: int) -> None:
    """Makes the kernel kill this process when the thread that started it ends.

    `parent` is the process id of the expected parent; if it is gone already, ends at once.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def members(group: int) -> list[int]:
    """Returns the ids of the processes led by `group` that still run (a zombie does not)."""
    found = []
    for pid in _everything():
        with suppress(*_GONE):
            if os.getsid(pid) == group and _stat(pid)[0] not in "ZX":
                found.append(pid)
    return found


def marked(mark: str) -> list[int]:
    """Returns the ids of this user's processes that were started with the mark."""
    found, wanted = [], f"{MARK}={mark}".encode()
    for pid in _everything():
        with suppress(*_GONE):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def descendants(pid: int) -> list[int]:
    """Returns the process ids below a process: its children, theirs, and so on."""
    parents: dict[int, int] = {}
    for one in _everything():
        with suppress(*_GONE):
            parents[one] = int(_stat(one)[1])
    found: list[int] = []
    above = {pid}
    while above:
        above = {one for one, parent in parents.items() if parent in above}
        found.extend(above)
    return found


def resident(group: int) -> int:
    """Returns the bytes of memory the group has resident, shared pages counted for each."""
    total = 0
    for pid in members(group):
        with suppress(*_GONE):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total


def proportional(group: int) -> int:
    """Returns the bytes of memory the group holds, shared pages divided by their users (PSS)."""
    total = 0
    for pid in members(group):
        with suppress(*_GONE):
            for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if row.startswith("Pss:"):
                    total += int(row.split()[1]) * 1024
    return total


def memory_over(group: int, limit: int) -> int:
    """Returns the bytes the group holds when that is more than `limit`, else 0.

    Resident memory is cheap to read and never less than PSS, so PSS is read only above the limit.
    """
    if resident(group) <= limit:
        return 0
    held = proportional(group)
    return held if held > limit else 0


def send(group: int, number: int) -> None:
    """Sends the signal to every process led by `group`, if there is one."""
    with suppress(*_GONE):
        os.killpg(group, number)
    for pid in members(group):
        with suppress(*_GONE):
            if os.getpgid(pid) != group:
                os.kill(pid, number)


def sweep(group: int, mark: str, seconds: float) -> bool:
    """Kills what is left of a group and of what carries its mark; waits up to `seconds` until
    nothing runs. True when that is so."""
    send(group, signal.SIGKILL)
    for pid in marked(mark):
        with suppress(*_GONE):
            os.kill(pid, signal.SIGKILL)
    return emptied(group, seconds)


def emptied(group: int, seconds: float) -> bool:
    """Waits up to `seconds` until nothing of the group runs; True when that is so."""
    end = time.monotonic() + seconds
    while members(group):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _everything() -> list[int]:
    with os.scandir("/proc") as entries:
        return [int(entry.name) for entry in entries if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Returns the fields of /proc/PID/stat after the name, which may hold anything: state, parent,
    group, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
