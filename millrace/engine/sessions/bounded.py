"""Streams of unknown length, kept within bounds: the head and tail of a log, the tail of stderr."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from millrace.engine.sessions.environment import masked

LOG_HEAD = 4 << 20  # bytes
LOG_TAIL = 1 << 20
_CHUNK = 1 << 16


class Tail:
    """The last `size` bytes of what was added, give or take one piece. Counts all of it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self.total = 0

    def add(self, piece: bytes) -> None:
        """Appends a piece, dropping the oldest that are not needed."""
        self._pieces.append(piece)
        self._held += len(piece)
        self.total += len(piece)
        while self._held - len(self._pieces[0]) >= self._size:
            self._held -= len(self._pieces.popleft())

    def content(self) -> bytes:
        """Returns the last `size` bytes."""
        return b"".join(self._pieces)[-self._size :]


def copy_bounded(
    stream: IO[bytes],
    log: Path,
    head: int = LOG_HEAD,
    tail: int = LOG_TAIL,
    *,
    secret: Sequence[str] = (),
) -> None:
    """Appends the stream to `log` until it ends: the first `head` bytes as they come, and the last
    `tail` bytes at the end, with a line between that says how much was left out.

    Goes on reading when the log cannot be written: a full disk must not block who writes. What is
    `secret` is masked, also where two pieces meet.
    """
    written, rest = 0, Tail(tail)
    try:
        file: IO[bytes] | None = log.open("ab", buffering=0)
    except OSError:
        file = None
    with stream:
        for piece in _veiled(stream, secret):
            now = piece[: max(0, head - written)]
            written += len(now)
            file = _write(file, now)
            if later := piece[len(now) :]:
                rest.add(later)
    if rest.total:
        kept = rest.content()
        left_out = rest.total - len(kept)
        if left_out:
            file = _write(file, f"\n[{left_out} bytes left out]\n".encode())
        file = _write(file, kept)
    if file is not None:
        file.close()


def _veiled(stream: IO[bytes], secret: Sequence[str]) -> Iterator[bytes]:
    """Yields what comes from a stream; with secrets, whole lines where they are not too long."""
    held = b""
    while piece := stream.read1(_CHUNK):  # type: ignore[attr-defined]
        if not secret:
            yield piece
            continue
        held += piece
        end = len(held) if len(held) > _CHUNK else held.rfind(b"\n") + 1
        if end:
            yield masked(held[:end].decode(errors="surrogateescape"), secret).encode(
                errors="surrogateescape"
            )
            held = held[end:]
    if held:
        yield masked(held.decode(errors="surrogateescape"), secret).encode(errors="surrogateescape")


def _write(file: IO[bytes] | None, piece: bytes) -> IO[bytes] | None:
    try:
        if file is not None and piece:
            file.write(piece)
    except OSError:
        return None
    return file
