"""A folder of small files, each alive as long as the process that made it.

Every file is locked (flock) by its maker. The kernel drops the lock when the process ends, however
it ends, so a file whose lock can be had belongs to nobody and is removed. One more lock, the
folder's, is held for the milliseconds in which somebody reads or changes the files.

The folder has to be on a local file system: on NFS, the lock of a dead client can outlive it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from millrace.engine.errors import StoreError

FOLDER_LOCK = "book"
PATIENCE_S = 60.0  # the folder is held for milliseconds; longer means a stopped process


class LockFolder:
    """Files that end with their process. Only `drop` may be used outside `locked()`."""

    def __init__(self, folder: Path, *, patience: float = PATIENCE_S) -> None:
        self._folder, self._patience = folder, patience
        self._files: set[int] = set()
        self._opening = threading.Lock()
        with _trouble(folder):
            folder.mkdir(parents=True, exist_ok=True)
        # A forked child shares its parent's locks until it closes its copies of the descriptors.
        os.register_at_fork(
            before=self._opening.acquire,
            after_in_parent=self._opening.release,
            after_in_child=self._forget,
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other process (and thread) out. Raises StoreError when one stays inside."""
        with _trouble(self._folder):
            file = self._open(FOLDER_LOCK, os.O_RDWR | os.O_CREAT)
        try:
            with _trouble(self._folder):
                self._enter(file)
            yield
        finally:
            self._close(file)

    def create(self, name: str, data: dict[str, Any]) -> int:
        """Makes a file that lives until its descriptor, which is returned, is closed."""
        with _trouble(self._folder):
            file = self._open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _write(file, data)
            except BaseException:
                self.drop(file, name)
                raise
        return file

    def rewrite(self, file: int, name: str, data: dict[str, Any], new_name: str) -> None:
        """Gives a file of this process other content and another name.

        Killed in between, it leaves a file that nobody has locked, which nobody reads.
        """
        with _trouble(self._folder):
            _write(file, data)
            (self._folder / name).rename(self._folder / new_name)

    def alive(self) -> list[str]:
        """Returns the names of the files whose processes live, sorted; removes the others."""
        with _trouble(self._folder):
            names = sorted(path.name for path in self._folder.iterdir())
            return [name for name in names if name != FOLDER_LOCK and not self._swept(name)]

    def read(self, name: str) -> dict[str, Any] | None:
        """Returns the content of a file that was alive, or None when its owner dropped it since.

        Raises StoreError for a file that is none of ours.
        """
        path = self._folder / name
        with _trouble(self._folder), suppress(ValueError):
            try:
                data = json.loads(path.read_bytes())
            except FileNotFoundError:
                return None
            if isinstance(data, dict):
                return data
        raise StoreError(
            f"{path} is locked by a running program but says nothing that can be read",
            hint="end that program; only Millrace may write in this folder",
        )

    def drop(self, file: int, *names: str) -> None:
        """Closes this process's copy of a descriptor; removes the file unless a child holds it.

        Does nothing for a descriptor dropped before, or inherited over a fork.
        """
        if file not in self._files:
            return
        self._close(file)
        for name in names:
            with suppress(OSError):
                self._swept(name)

    def _swept(self, name: str) -> bool:
        path = self._folder / name
        try:
            if _is_locked(path):
                return False
            path.unlink()
        except FileNotFoundError:
            pass
        return True

    def _enter(self, file: int) -> None:
        deadline = time.monotonic() + self._patience
        pause = 0.001
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Not a blocking flock: in a thread nothing could interrupt it.
                time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - only spreads the load
                pause = min(pause * 2, 0.02)
            else:
                return
        raise StoreError(
            f"some process has kept {self._folder / FOLDER_LOCK} locked for {self._patience:g} s",
            hint="is a Millrace stopped (Ctrl-Z)? Continue it with `fg`, or end it",
        )

    def _open(self, name: str, flags: int) -> int:
        with self._opening:  # no fork between opening and remembering
            file = os.open(self._folder / name, flags | os.O_CLOEXEC, 0o600)
            self._files.add(file)
        return file

    def _close(self, file: int) -> None:
        with self._opening:
            if file in self._files:
                self._files.discard(file)
                os.close(file)

    def _forget(self) -> None:
        for file in self._files:
            os.close(file)
        self._files.clear()
        self._opening.release()


@contextmanager
def _trouble(folder: Path) -> Iterator[None]:
    """Turns what the file system refuses into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        no_locks = error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
        where = "file locks do not work in" if no_locks else "cannot keep leases in"
        raise StoreError(
            f"{where} {folder}: {error.strerror or error}",
            hint="point MILLRACE_HOME at a folder on a local disk that you may write",
        ) from error


def _is_locked(path: Path) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Shared, so that two who look at once do not take each other for the owner.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _write(file: int, data: dict[str, Any]) -> None:
    text = json.dumps(data).encode()
    os.ftruncate(file, 0)
    if os.pwrite(file, text, 0) < len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
