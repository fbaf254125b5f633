"""One child process of a session host: starting it, hearing it, ending it with all its tools.

The child is started by a thread that lives as long as the child does, because the kernel ties the
child to the *thread* that started it, not to the process.
"""

from __future__ import annotations

import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ValidationError

from millrace.engine.errors import SessionLost
from millrace.engine.sessions import group, wire
from millrace.engine.sessions.bounded import copy_bounded

ASK_GRACE_S = 0.5  # between asking the kind to stop and TERM
TERM_GRACE_S = 3.0  # between TERM and KILL
_EMPTY_S = 2.0  # for the kernel to take down what KILL was sent to


class Child:
    """A running child. Thread-safe. `lost` says why it ended, once it has."""

    def __init__(
        self,
        *,
        log: Path,
        scratch: Path,
        environment: Mapping[str, str],
        secret: Sequence[str] = (),
    ) -> None:
        self._log, self._scratch, self._secret = log, scratch, tuple(secret)
        self._mark = secrets.token_hex(8)
        self._environment = {**environment, group.MARK: self._mark}
        self._said: queue.SimpleQueue[wire.Said | None] = queue.SimpleQueue()
        self._started: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes]
        self._signals = threading.Lock()
        self._reaped = False
        self._ending = False
        self._gone = threading.Event()
        self.lost: SessionLost | None = None
        self.heard = time.monotonic()
        self.waiting = False
        threading.Thread(target=self._keep, daemon=True, name="session-keeper").start()
        error = self._started.get()
        if error is not None:
            raise SessionLost("crashed", f"a session cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """The process id of the child, which is its process group's too."""
        return self._process.pid

    def say(self, message: BaseModel) -> None:
        """Sends a command. What a child that is gone misses, `hear` reports."""
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101
        with suppress(OSError, ValueError):
            pipe.write(wire.line(message))
            pipe.flush()

    def hear(self) -> wire.Said:
        """Returns the next event. Raises SessionLost when there will be no more."""
        said = self._said.get()
        if said is None:
            self._said.put(None)
            raise self.lost or SessionLost("crashed", "the session is over")
        return said

    def end(self, reason: SessionLost, *, ask: bool = False) -> None:
        """Begins to end the whole group: asks first if told to, then TERM, then KILL. Returns at
        once; only the first reason counts."""
        with self._signals:
            if self._ending or self._reaped:
                return
            self._ending, self.lost = True, reason
        threading.Thread(target=self._end, args=(ask,), daemon=True, name="session-end").start()

    def retire(self) -> None:
        """Tells an idle child to close its session and go."""
        self.say(wire.End())

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until nothing of the group runs; True when that is so."""
        return self._gone.wait(seconds)

    # -- threads

    def _keep(self) -> None:
        try:
            process, readers = self._launch()
        except (OSError, RuntimeError, ValueError) as error:  # no more files, threads, processes
            self._started.put(error)
            return
        self._started.put(None)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # not reaped: keeps the number
        with suppress(OSError):
            group.sweep(process.pid, self._mark, _EMPTY_S)
        with self._signals:
            self._reaped = True
            process.wait()
        for reader in readers:
            reader.join(_EMPTY_S)
        if self.lost is None:
            self.lost = SessionLost("crashed", _ended(process.returncode))
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        self._gone.set()
        self._said.put(None)

    def _launch(self) -> tuple[subprocess.Popen[bytes], list[threading.Thread]]:
        read, write = os.pipe()
        events = os.fdopen(read, "rb")
        try:
            command = [sys.executable, "-P", "-u", "-m", "millrace.engine.sessions.session"]
            self._process = subprocess.Popen(
                [*command, str(write), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._scratch,
                env=self._environment,
                pass_fds=(write,),
                start_new_session=True,
            )
        except BaseException:
            events.close()
            raise
        finally:
            os.close(write)
        readers = [
            threading.Thread(target=self._hear_all, args=(events,), daemon=True),
            threading.Thread(
                target=copy_bounded,
                args=(self._process.stdout, self._log),
                kwargs={"secret": self._secret},
                daemon=True,
            ),
        ]
        for reader in readers:
            reader.start()
        return self._process, readers

    def _hear_all(self, pipe: IO[bytes]) -> None:
        with pipe:
            while row := pipe.readline(wire.LONGEST_LINE):
                try:
                    said = wire.SAID.validate_json(row)
                except ValidationError:
                    message = "the session sent what is no event; its log may say more"
                    self.end(SessionLost("protocol", message))
                    return
                self.heard = time.monotonic()
                self.waiting = isinstance(said, wire.Waiting)
                self._said.put(said)

    def _end(self, ask: bool) -> None:
        if ask:  # from a thread of its own: a child that hangs reads nothing
            threading.Thread(target=self.say, args=(wire.Cancel(),), daemon=True).start()
            if self._gone.wait(ASK_GRACE_S):
                return
        self._signal(signal.SIGTERM)
        if not self._gone.wait(TERM_GRACE_S):
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with self._signals:
            if not self._reaped:
                group.send(self._process.pid, number)


def _ended(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"the session was ended by {signal.Signals(-code).name}; its log may say more"
    return f"the session ended with code {code}; its log may say more"
