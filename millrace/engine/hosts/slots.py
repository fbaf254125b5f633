"""The slots of a host: how many assignments of a pool may work on it at a time.

An assignment may be sent ahead of its turn, so that its process has started and its inputs have
come by the time the one before it is done. It then waits here. The kernel gives a slot back when
its holder's process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.engine.errors import StoreError

_POLL_SECONDS = 0.1


@contextmanager
def slot(
    folder: Path, count: int, *, waiting: Callable[[float], None], given_up: Callable[[], bool]
) -> Iterator[bool]:
    """Holds one of `count` slots whose locks lie in `folder`; yields False when given up before.

    While all are taken, `waiting(seconds)` is called again and again with how long it has been.
    Raises StoreError when the folder cannot be written.
    """
    began = time.monotonic()
    handle = None
    try:
        while handle is None and not given_up():
            handle = _take(folder, count)
            if handle is None:
                waiting(time.monotonic() - began)
                time.sleep(_POLL_SECONDS)
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _take(folder: Path, count: int) -> int | None:
    """Returns the open lock of a slot that was free, None when all are taken."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            handle = os.open(
                folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            return handle
    except OSError as error:
        raise StoreError(f"the slots in {folder} cannot be used: {error.strerror}") from error
    return None
