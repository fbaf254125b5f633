"""A word that must not be found, and looking for it everywhere, in every form it may have.

Compressed or encrypted forms are not found.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

_SAMPLE_SECONDS = 0.02
_LOOK_SECONDS = 0.2
_PIECE = 1 << 24
_HUGE = 1 << 28  # nothing of ours is as large


def forms(word: str) -> tuple[bytes, ...]:
    """Returns the bytes of a word of letters and digits in UTF-8 (so also percent-encoded and in
    JSON), UTF-16, hexadecimal, and inside any Base64."""
    raw = word.encode()
    found = [raw, word.encode("utf-16-le"), word.encode("utf-16-be"), raw.hex().encode()]
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw + bytes(-(before + len(raw)) % 3))
        found.append(text[4 : len(text) - 4])  # what stands beside it changes the rest
    return tuple(found)


def digests(content: bytes) -> tuple[bytes, ...]:
    """Returns the SHA-256 of some bytes, as hexadecimal, as Base64, and as it is."""
    raw = hashlib.sha256(content).digest()
    return raw, raw.hex().encode(), base64.b64encode(raw)[:-1]


def found(where: Iterable[Path], words: Iterable[bytes]) -> list[str]:
    """Returns the files below some folders whose name or content has any of the words in it."""
    wanted = [word.lower() for word in words]
    return sorted(str(path) for path in _files(where) if _has(path, wanted))


def _files(where: Iterable[Path]) -> Iterator[Path]:
    for root in where:
        yield root
        for folder, folders, files in os.walk(root):  # which minds nothing that vanishes
            yield from (Path(folder, name) for name in (*folders, *files))


def _has(path: Path, words: list[bytes]) -> bool:
    if any(word in path.name.encode().lower() for word in words):
        return True
    with suppress(OSError):
        if path.is_symlink():
            return any(word in str(path.readlink()).encode().lower() for word in words)
        if path.is_file() and path.stat().st_size < _HUGE:
            with path.open("rb") as file:
                before = b""
                while piece := file.read(_PIECE):
                    text = (before + piece).lower()
                    if any(word in text for word in words):
                        return True
                    before = text[-200:]
    return False


class Arguments(threading.Thread):
    """While entered, notes the arguments of every process of this machine. `seen` has them all."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self.seen: set[bytes] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Looks until it is over."""
        while not self._over.wait(_SAMPLE_SECONDS):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_bytes())


class Watch(threading.Thread):
    """While entered, looks through a folder again and again for words, in names and in bytes.

    `seen` are the words that were ever there, `looks` is how often it looked.
    """

    def __init__(self, folder: Path, words: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._folder, self._words = folder, list(words)
        self._over = threading.Event()
        self.seen: set[bytes] = set()
        self.looks = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Looks until it is over."""
        while not self._over.wait(_LOOK_SECONDS):
            for path in _files([self._folder]):
                self.seen |= {word for word in self._words if _has(path, [word.lower()])}
            self.looks += 1
