"""A running program: its pipes, its last words, and its certain end."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from millrace.engine.sessions.tools import spawn

_KEPT_LINES = 100
_LINE_CHARS = 400
_PIPE_BYTES = 1 << 20

# Said while a raw-frame pipe is probed, before the pixel format that we declare is applied.
_NOISE = re.compile(r"Invalid pixel format|Last message repeated|deprecated pixel format")
_PREFIX = re.compile(r"^(?:\[[^\]]* @ 0x[0-9a-f]+\] )*(?:\[(?P<level>[a-z]+)\] )?(?P<text>.*)$")


class Tool:
    """A running program, its standard output a pipe; a context manager that leaves none behind.

    The program joins the caller's process group and dies with the caller. What it
    says on standard error is kept within bounds. `extra` is a second pipe (`os.pipe()`), whose
    writing end the command line names by its number.
    """

    def __init__(
        self, args: Sequence[str], *, feed: bool = False, extra: tuple[int, int] | None = None
    ) -> None:
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._paths = tuple(arg for arg in args if arg.startswith("file:"))
        self._extra = os.fdopen(extra[0], "rb") if extra else None
        self._process = spawn(
            args,
            cwd=Path.cwd(),
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            environment={"LC_ALL": "C", "AV_LOG_FORCE_NOCOLOR": "1"},
            pass_fds=(extra[1],) if extra else (),
        )
        if extra:
            os.close(extra[1])
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # the user's share of pipe memory may be used up
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe into the program (`feed=True` only)."""
        return _open(self._process.stdin)

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe out of the program."""
        return _open(self._process.stdout)

    @property
    def extra(self) -> IO[bytes]:
        """The second pipe out of the program."""
        return _open(self._extra)

    def read(self) -> bytes:
        """Returns all of standard output."""
        return self.stdout.read()

    def finish(self) -> int:
        """Waits for the end and returns the exit status; 0 is good."""
        code = self._process.wait()
        self._listener.join()
        return code

    def words(self, *, least: Literal["warning", "error"] = "error") -> tuple[str, ...]:
        """Returns what the program has complained about, its last lines, no paths in them."""
        kept = []
        for line in tuple(self._said):
            match = _PREFIX.match(line)
            level, text = (match["level"], match["text"]) if match else ("", line)
            if (least == "warning" or level != "warning") and not _NOISE.search(line):
                kept.append(self._unnamed(text))
        return tuple(kept)

    def reason(self) -> str:
        """Returns the program's last words on one line, or its exit status if it said nothing."""
        said = self.words() or self.words(least="warning")
        return "; ".join(said[-3:]) if said else f"exit status {self._process.poll()}"

    def close(self) -> None:
        """Ends the program if it still runs and closes every pipe."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr, self._extra):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was still to be written
                    pipe.close()

    def __enter__(self) -> Tool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unnamed(self, text: str) -> str:
        for path in self._paths:
            text = text.replace(f"{path}: ", "").replace(path, "the file")
        return text

    def _listen(self) -> None:
        rest, pipe = b"", _open(self._process.stderr)
        while chunk := os.read(pipe.fileno(), 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._said.append(line[:_LINE_CHARS].decode(errors="replace"))
            rest = rest[:_LINE_CHARS]
        if rest:
            self._said.append(rest.decode(errors="replace"))


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the program was started without this pipe")
    return pipe
