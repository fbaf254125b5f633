"""How many cores and how much memory the kernel lets this process use (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_UNLIMITED = 1 << 60  # version 1 writes "no limit" as a number near 2**63


def cores(root: Path = Path("/")) -> int:
    """Returns the cores this process may use: its affinity, or its groups' quota where smaller.

    A quota of 2.5 cores counts as 2; less than one core counts as 1.
    """
    found = len(os.sched_getaffinity(0))
    quotas = [_quota(folder) for folder in _folders(root, "cpu")]
    return max(1, min([found, *(int(q) for q in quotas if q is not None)]))


def memory(root: Path = Path("/")) -> int:
    """Returns the bytes of memory this process may use: the host's, or its groups' limit."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [_limit(folder) for folder in _folders(root, "memory")]
    return min([physical, *(n for n in limits if n is not None)])


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yields the folders of this process's groups, from its own up to the top.

    In a container the path that /proc names may lie outside what is mounted; the folders that are
    there hold the container's own limits.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if controllers else "")
        folder = top / path.lstrip("/")
        while True:
            if folder.is_dir():
                yield folder
            if folder == top or top not in folder.parents:
                break
            folder = folder.parent


def _quota(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return None  # "max" in version 2, -1 in version 1, or no such file
    return int(quota) / int(period)


def _limit(folder: Path) -> int | None:
    text = _text(folder / "memory.max").strip()
    text = text or _text(folder / "memory.limit_in_bytes").strip()
    return int(text) if text.isdigit() and int(text) < _UNLIMITED else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
