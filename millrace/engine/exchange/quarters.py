"""Where an assignment lives on a worker's host while it lasts, and how it leaves no trace.

<store>/runs/<run>/assignments/<assignment>.json   as in the conductor's store, and so are
<store>/runs/<run>/journal/, logs/, scratch/       the rest
<store>/runs/<run>/inputs/<assignment>/<sha256>    what it reads
<store>/runs/<run>/locks/<assignment>.lock         held while it is at work
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from millrace.engine.assignments import Assignment
from millrace.engine.errors import UsageError
from millrace.engine.exchange.leavings import discard
from millrace.engine.runs import Run
from millrace.engine.settings import Settings
from millrace.engine.store import Store

_GRACE_SECONDS = 60.0  # between fetching an assignment and beginning it
_FOLDERS = ("inputs", "assignments", "journal", "logs", "revoked", "scratch")


def inputs_folder(run: Run, assignment: str) -> Path:
    """Returns where the inputs of an assignment lie while it lasts."""
    return run.folder / "inputs" / assignment


@contextmanager
def held(run: Run, assignment: str) -> Iterator[None]:
    """Holds an assignment that is at work on this host. The kernel ends the hold with the process.

    Raises UsageError when it is held already.
    """
    path = _lock(run, assignment)
    with _door(run):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{run.id}/{assignment} is at work on this host already") from None
        os.utime(path)
        yield
        with suppress(FileNotFoundError):
            os.utime(path)
    finally:
        os.close(handle)


def leave(run: Run, assignment: str, settings: Settings) -> None:
    """Removes everything of an assignment from this host but inputs that may stay in the cache."""
    with suppress(OSError, ValidationError):
        keys = {j.key for j in Assignment.read(run.assignments, assignment).jobs}
        keys |= {p for j in Assignment.read(run.assignments, assignment).jobs for p in j.parts}
        discard(Store(settings.store), keys)
    shutil.rmtree(inputs_folder(run, assignment), ignore_errors=True)
    shutil.rmtree(run.scratch / assignment, ignore_errors=True)
    for path in (
        run.assignments / f"{assignment}.json",
        run.journal / f"{assignment}.jsonl",
        run.log(assignment),
        run.folder / "revoked" / assignment,
        _lock(run, assignment),
    ):
        path.unlink(missing_ok=True)
    with suppress(OSError), _door(run):
        (run.folder / "locks").rmdir()  # not while another assignment of the run is at work here
        for name in _FOLDERS:
            if (run.folder / name).exists():
                (run.folder / name).rmdir()
        (run.folder / "stop").unlink(missing_ok=True)
        run.folder.rmdir()


def sweep(settings: Settings) -> None:
    """Removes what assignments have left whose worker was killed; what resists, the next time.

    For a host with a store of its own only: in the conductor's, all this is the run's record.
    """
    for lock in (settings.store / "runs").glob("*/locks/*.lock"):
        run = Run(lock.parent.parent.name, lock.parent.parent)
        with suppress(UsageError, OSError):
            if time.time() - lock.stat().st_mtime < _GRACE_SECONDS:
                continue
            with held(run, lock.stem):
                leave(run, lock.stem, settings)


@contextmanager
def _door(run: Run) -> Iterator[None]:
    """Lets one at a time move in or out: no folder goes while another is being moved into."""
    place = run.folder.parent.parent / "lock-quarters"
    place.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _lock(run: Run, assignment: str) -> Path:
    return run.folder / "locks" / f"{assignment}.lock"
