"""The entry processes of this host: a private folder and a lock for each, while it lives.

worker/<flow run>/       where it runs: empty, private, gone afterwards
worker/<flow run>.lock   held by the process itself, so that it ends with it, whatever ends it
worker/<flow run>.log    what it said on its way to a crash; gone after a good end

The lock outlives the worker that started the process: the kernel keeps it with the process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ATTEMPTS = 5  # whoever looks who is present holds a lock for a moment
_AGAIN_SECONDS = 0.05
_KEPT_SECONDS = 14 * 86400.0  # logs of crashes


@dataclass(frozen=True)
class Seat:
    """The place of one entry process. `lock` is an open file that the process must inherit."""

    folder: Path
    log: Path
    lock: int


class Attendance:
    """Who is at work on this host, by any worker of it."""

    def __init__(self, home: Path) -> None:
        self._root = home / "worker"

    def take(self, flow_run: str) -> Seat | None:
        """Returns a new, empty place for a flow run; None when a process of it is at work."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._locked(flow_run)
        if lock is None:
            return None
        folder = self._root / flow_run
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return Seat(folder, self._root / f"{flow_run}.log", lock)

    def leave(self, flow_run: str, *, well: bool) -> None:
        """Clears the place of a process that is over; its log stays unless it ended `well`."""
        shutil.rmtree(self._root / flow_run, ignore_errors=True)
        self._lock(flow_run).unlink(missing_ok=True)
        if well:
            (self._root / f"{flow_run}.log").unlink(missing_ok=True)

    def present(self) -> list[str]:
        """Returns the flow runs whose process lives on this host."""
        return [lock.stem for lock in sorted(self._root.glob("*.lock")) if _held(lock)]

    def tidy(self) -> None:
        """Clears the places of processes that are gone without their worker having seen it, and
        removes old logs."""
        for lock in sorted(self._root.glob("*.lock")):
            if not _held(lock):
                self.leave(lock.stem, well=False)
        for log in self._root.glob("*.log"):
            with suppress(OSError):
                if time.time() - log.stat().st_mtime > _KEPT_SECONDS:
                    log.unlink()

    def _locked(self, flow_run: str) -> int | None:
        path = self._lock(flow_run)
        for _ in range(_ATTEMPTS):
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_ino == path.stat().st_ino:  # nobody tidied it away meanwhile
                    return lock
            os.close(lock)
            time.sleep(_AGAIN_SECONDS)
        return None

    def _lock(self, flow_run: str) -> Path:
        return self._root / f"{flow_run}.lock"


def _held(path: Path) -> bool:
    with suppress(OSError):
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
    return False
