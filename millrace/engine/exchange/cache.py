"""A cache of fetched inputs on a worker's host, by digest, shared by all its workers.

    <folder>/ab/abcd…   the bytes; the time stamp is that of the last use
    <folder>/tmp/       what is being fetched
    <folder>/locks/     one fetch of a digest at a time

A file in use has a second name in the run's folder, so that nothing can take it away: the kernel
keeps the bytes until the last name is gone, and eviction passes over what has two.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from millrace.engine.errors import ItemError
from millrace.engine.files import digest_file

_LEFT_SECONDS = 3600.0  # without a byte more

Fetch = Callable[[Path], bool]
"""Writes the bytes to a path; False when they are not to be had."""


class Cache:
    """Holds at most `limit` bytes. What does not fit beside what is in use is not kept. Safe for
    many processes at once."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        for name in ("tmp", "locks"):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def obtain(self, digest: str, size: int, target: Path, fetch: Fetch) -> int:
        """Puts the bytes of `digest` at `target`, from the cache or by `fetch`.

        Returns how many bytes were fetched. Raises ItemError `missing_input` or `damaged_input`
        when they are not to be had or not what they should be; OSError when the disk is full.
        """
        entry = self._folder / digest[:2] / digest
        with self._alone(digest):
            if _take(entry, size, target):
                return 0
            if not self._make_room(size):
                fetch_whole(digest, size, target, fetch)
                return size
            part = self._folder / "tmp" / uuid.uuid4().hex
            fetch_whole(digest, size, part, fetch)
            _name(part, target)  # before others see it: then it is in use from the first moment
            entry.parent.mkdir(exist_ok=True)
            part.replace(entry)
            self._make_room(0)  # others may have found the same room
            return size

    def _make_room(self, size: int) -> bool:
        """Removes what was used longest ago and is not in use until `size` bytes fit.

        Returns False when they do not: everything else is in use.
        """
        with self._alone("eviction"):
            self._clear_leftovers()
            found = sorted(self._entries(), key=lambda e: e[1].st_mtime_ns)
            filled = sum(stat.st_size for _, stat in found) + size
            for path, stat in found if size <= self._limit else ():
                if filled > self._limit and stat.st_nlink == 1:
                    path.unlink(missing_ok=True)
                    filled -= stat.st_size
            return filled <= self._limit

    def _clear_leftovers(self) -> None:
        """Removes what a killed worker was fetching."""
        for path in (self._folder / "tmp").iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                    path.unlink()

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            with suppress(FileNotFoundError):
                yield path, path.stat()

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        path = self._folder / "locks" / name
        handle = _locked(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is held: whoever waits looks again
            os.close(handle)


def fetch_whole(digest: str, size: int, target: Path, fetch: Fetch) -> None:
    """Fetches bytes to a path that is there afterwards only if they are what they should be.

    Raises ItemError `missing_input` or `damaged_input`.
    """
    try:
        if not fetch(target):
            raise ItemError("missing_input", f"{digest[:12]} is not in the store")
        if target.stat().st_size != size or digest_file(target)[0] != digest:
            raise ItemError("damaged_input", f"{digest[:12]} arrived damaged")
        target.chmod(0o444)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _take(entry: Path, size: int, target: Path) -> bool:
    """Gives the cached bytes a second name; False when they are not there."""
    try:
        if entry.stat().st_size != size:
            entry.unlink()
            return False
        _name(entry, target)
        os.utime(entry)
    except FileNotFoundError:
        return target.exists()
    return True


def _name(entry: Path, target: Path) -> None:
    """Gives a file a second name; a copy where that cannot be, which is in nobody's way."""
    try:
        os.link(entry, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system
        shutil.copyfile(entry, target)
        target.chmod(0o444)


def _locked(path: Path) -> int:
    """Returns a handle that holds the lock of a file that may be removed at any time."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)
