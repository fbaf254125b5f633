"""The limits of a session's calls: wall clock, no progress, memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from pydantic import BaseModel, ConfigDict, Field

from millrace.engine.errors import SessionLost
from millrace.engine.sessions import group
from millrace.engine.sessions.child import Child

_POLL_S = 1.0


class Limits(BaseModel):
    """What one call of a session may take before it is ended.

    `wall_seconds`: from the moment the lease is held (None: no limit). `quiet_seconds`: without an
    event and without a byte more in the output or scratch folder. `memory`: bytes of the whole
    process group (PSS), 0 for no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall_seconds: float | None = Field(default=None, gt=0)
    quiet_seconds: float = Field(default=600.0, gt=0)
    memory: int = Field(default=0, ge=0)


class Watch:
    """Ends the child when a call outgrows its limits. A context manager around the call."""

    def __init__(self, child: Child, limits: Limits, kind: str, folders: Sequence[Path]) -> None:
        self._child, self._limits, self._kind, self._folders = child, limits, kind, folders
        self._over = threading.Event()
        self._began = self._grew = time.monotonic()
        self._weight = weight(folders)
        shortest = min(limits.quiet_seconds, limits.wall_seconds or limits.quiet_seconds)
        self._poll = min(_POLL_S, max(0.05, shortest / 4))
        self._thread = threading.Thread(target=self._watch, daemon=True, name="session-watch")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._poll):
            reason = self._broken()
            if reason is not None:
                self._child.end(reason)
                return

    def _broken(self) -> SessionLost | None:
        now, limits = time.monotonic(), self._limits
        if self._child.waiting:
            self._began = now  # waiting for a device is no work
        if limits.wall_seconds is not None and now - self._began > limits.wall_seconds:
            message = f"{self._kind} took longer than {limits.wall_seconds:g} s"
            return SessionLost("timeout", message)
        if self._quiet_for(now) > limits.quiet_seconds:
            message = f"{self._kind} made no progress for {limits.quiet_seconds:g} s"
            return SessionLost("no_progress", message)
        if limits.memory and (held := group.memory_over(self._child.pid, limits.memory)):
            message = f"{self._kind} used {held >> 20} MiB, more than {limits.memory >> 20} MiB"
            return SessionLost("memory", message, hint="give the stage more memory, or fewer jobs")
        return None

    def _quiet_for(self, now: float) -> float:
        quiet = now - max(self._child.heard, self._grew)
        if quiet < self._limits.quiet_seconds / 2:
            return quiet
        heavier = weight(self._folders)  # only when it matters: a folder may hold many frames
        if heavier != self._weight:
            self._weight, self._grew = heavier, now
            return 0.0
        return quiet


def weight(folders: Sequence[Path]) -> tuple[int, int]:
    """Returns how many files lie under the folders, and how many bytes they have in sum."""
    count = size = 0
    todo = [str(folder) for folder in folders]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        count += 1
                        size += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # it was removed meanwhile
    return count, size
