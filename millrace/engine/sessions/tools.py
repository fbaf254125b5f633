"""External programs, started by stage kinds.

A tool belongs to the session that starts it: same process group, so that it ends with the session
on every path; killed by the kernel if the session is killed; the session's environment without
credentials; an argument list, never a shell.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from millrace.engine.errors import SessionLost, ToolMissing
from millrace.engine.sessions.bounded import Tail
from millrace.engine.sessions.environment import clean
from millrace.engine.sessions.group import descendants

STDOUT_LIMIT = 16 << 20  # bytes kept
STDERR_TAIL = 64 << 10
_TERM_GRACE_S = 2.0
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Completed:
    """How a program ended. `code` is negative for a signal. `stdout` holds the first bytes up to
    the limit (`cut` tells when there were more), `stderr` the last."""

    argv: tuple[str, ...]
    code: int
    raw: bytes
    stderr: str
    cut: bool

    @property
    def stdout(self) -> str:
        """What the program wrote, as text; bytes that are not UTF-8 become surrogates."""
        return _text(self.raw)

    @property
    def reason(self) -> str:
        """The last line the program wrote to stderr, or how it ended."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"{Path(self.argv[0]).name} ended with code {self.code}"


def locate(program: str, *, hint: str = "") -> str:
    """Returns the path of a program. Raises ToolMissing; `hint` says how to install it."""
    found = shutil.which(program)
    if found is None:
        name = Path(program).name
        raise ToolMissing(
            f"{name} is not installed", hint=hint or f"install {name}, or put it on PATH"
        )
    return found


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    hint: str = "",
) -> subprocess.Popen[bytes]:
    """Returns the started program. What it writes to stderr goes to the session's log by default.

    `stdin`, `stdout`, `stderr`, `pass_fds` as for subprocess.Popen; `environment` is added to the
    session's, less what only the session reads.
    Read every pipe you ask for, or the program blocks. Raises ToolMissing with `hint`.
    """
    program = locate(argv[0], hint=hint)
    setpriv = locate("setpriv", hint="install util-linux")
    tied = [setpriv, "--pdeathsig", "KILL", "--", program, *argv[1:]]
    started: queue.SimpleQueue[subprocess.Popen[bytes] | Exception] = queue.SimpleQueue()

    def keep() -> None:
        # The kernel ties a process to the thread that started it, so this thread stays.
        try:
            process = subprocess.Popen(
                tied,
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=tuple(pass_fds),
                env={**clean(os.environ), **_kept(), **(environment or {})},
            )
        except (OSError, ValueError) as error:  # no such folder; a null byte in an argument
            started.put(error)
            return
        started.put(process)
        process.wait()

    threading.Thread(target=keep, daemon=True, name=f"tool {Path(program).name}").start()
    process = started.get()
    if isinstance(process, Exception):
        raise process
    return process


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    stdin: bytes = b"",
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
    stdout_limit: int = STDOUT_LIMIT,
    hint: str = "",
) -> Completed:
    """Returns how the program ended, whatever its exit code.

    `timeout` in seconds. Raises ToolMissing when it is not installed, and SessionLost with code
    `tool_timeout` when it took longer; ends the program when the caller is interrupted.
    """
    process = spawn(
        argv,
        cwd=cwd,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        environment=environment,
        hint=hint,
    )
    head, tail = _Head(stdout_limit), Tail(STDERR_TAIL)
    workers = [
        threading.Thread(target=_drain, args=(process.stdout, head), daemon=True),
        threading.Thread(target=_drain, args=(process.stderr, tail), daemon=True),
        threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True),
    ]
    for worker in workers:
        worker.start()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        message = f"{Path(argv[0]).name} took longer than {timeout:g} s"
        raise SessionLost("tool_timeout", message) from None
    finally:
        stop(process)
        for worker in workers:
            worker.join(_TERM_GRACE_S)  # a grandchild may hold the pipe open
    return Completed(
        tuple(argv), process.returncode, head.content(), _text(tail.content()), head.cut
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a program that still runs, and what it has started: TERM, then KILL."""
    if process.poll() is None:
        below = descendants(process.pid)
        process.terminate()
        try:
            process.wait(_TERM_GRACE_S)
        except subprocess.TimeoutExpired:
            below = descendants(process.pid)
            process.kill()
            process.wait()
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class _Head:
    """The first `size` bytes of what was added; `cut` when there were more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = bytearray()
        self.cut = False

    def add(self, piece: bytes) -> None:
        room = self._size - len(self._bytes)
        self._bytes += piece[:room]
        self.cut = self.cut or len(piece) > room

    def content(self) -> bytes:
        return bytes(self._bytes)


def _drain(pipe: IO[bytes], into: _Head | Tail) -> None:
    with pipe:
        while piece := pipe.read1(_CHUNK):  # type: ignore[attr-defined]
            into.add(piece)


def _feed(pipe: IO[bytes] | None, data: bytes) -> None:
    if pipe is not None:
        with suppress(OSError), pipe:
            pipe.write(data)


def _kept() -> dict[str, str]:
    """What a session was given beside the clean environment."""
    names = ("TMPDIR", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {name: os.environ[name] for name in names if name in os.environ}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
