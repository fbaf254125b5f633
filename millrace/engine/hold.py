"""The hold of a conductor on its run: a lock that ends with its process, and a sign of life.

The kernel ends the lock with the process, however that ends. A process that is merely stopped, or
whose host has lost the store, keeps it: so a conductor also touches the lock while it works, and
one that is silent can be told from one that is there.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from millrace.engine.files import write_atomically

SILENCE = 90.0
"""Seconds after which a conductor on the fleet that gave no sign of life may be replaced."""

_POLL_SECONDS = 0.2


def held(lock: Path) -> bool:
    """True while a process holds the lock."""
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def beat(lock: Path) -> None:
    """Gives the holder's sign of life."""
    with suppress(OSError):
        os.utime(lock)


def silent(lock: Path) -> float:
    """Returns the seconds since the holder gave a sign of life, by the clock of the lock's disk."""
    try:
        with tempfile.TemporaryFile(dir=lock.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
    except OSError:  # whoever only looks on may not write here
        now = time.time()
    try:
        return max(0.0, now - lock.stat().st_mtime)
    except OSError:
        return 0.0


def take(lock: Path, *, replace: bool) -> int:
    """Waits for the lock; returns the open file that holds it.

    With `replace`, a holder that is silent is not waited for: its lock is put aside.
    """
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_ino == lock.stat().st_ino:  # nobody put it aside meanwhile
                os.utime(lock)
                return handle
        except BlockingIOError:
            if replace and silent(lock) > SILENCE:
                _put_aside(lock)
        except FileNotFoundError:
            pass
        os.close(handle)
        time.sleep(_POLL_SECONDS)


def _put_aside(lock: Path) -> None:
    """Puts a fresh lock in the place of one whose holder is silent."""
    folder = os.open(lock.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # else the next one would put the fresh one aside
        if silent(lock) > SILENCE:
            write_atomically(lock, b"")
    finally:
        os.close(folder)
