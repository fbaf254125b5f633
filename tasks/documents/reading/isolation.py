"""Reads documents in a child process (`child`), and watches it.

pdfium and picture decoders crash, hang and eat memory on files made to do so. What that costs is
one page: the child is ended, the page's trouble says why, and a new child goes on with the next.

The child is told by JSON lines, and answers each with a JSON line that may announce a number of
bytes to follow. Nothing it says is believed beyond that.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.engine.errors import BadInput, ToolMissing
from millrace.engine.sessions import tools
from millrace.tasks.documents import page_json
from millrace.tasks.documents.pages import Page, Trouble
from millrace.tasks.documents.reading.params import ReadParams

OPEN_SECONDS = 30.0
_CRASHES = 5  # of one document, after which its other pages are not tried
_LONGEST_LINE = 1 << 20
_RECYCLE = 400  # pages read, after which a child is replaced between documents


@dataclass(frozen=True)
class Source:
    """A document to open. `name` is for messages alone."""

    path: Path
    media_type: str
    name: str
    passwords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A page as JSON (see `page_json.dump_page`), and what is known of it without parsing that."""

    number: int
    body: bytes
    origin: str
    words: int
    trouble: Trouble | None = None


class Gone(Exception):
    """The child ended, or was ended. `code`: `crashed`, `timeout`, `memory`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Reader:
    """Reads documents in a child that is started when it is needed. A context manager."""

    def __init__(self, params: ReadParams, folder: Path) -> None:
        """`folder` is the child's working folder."""
        self._params, self._folder = params, folder
        self._child: _Child | None = None
        self._read = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def survey(self, source: Source) -> list[list[float]]:
        """Returns what `Opened.survey` does. Raises BadInput."""
        try:
            child = self._ready()
            child.say({"do": "survey", **_told(source)})
            head, _ = child.hear(OPEN_SECONDS)
        except Gone as gone:
            self.close()
            raise BadInput(
                "damaged",
                f"{source.name} brings down what opens it ({gone.code})",
                hint="repair it (`qpdf in.pdf out.pdf`), or print it to a PDF",
            ) from None
        _raise(head)
        return [[float(n) for n in page] for page in head["pages"]]

    def read(self, source: Source, first: int, last: int) -> Iterator[Answer]:
        """Yields the pages from `first` to `last`, each read or in trouble.

        Raises BadInput where the document cannot be opened at all, ToolMissing.
        """
        number, crashes = first, 0
        while number <= last:
            if crashes >= _CRASHES:
                yield _failed(
                    number, "crashed", "not tried: other pages of it brought the reader down"
                )
                number += 1
                continue
            try:
                for answer in self._pages(source, number, last):
                    yield answer
                    number = answer.number + 1
            except Gone as gone:
                self.close()
                crashes += 1
                yield _failed(number, gone.code, _WHY[gone.code])
                number += 1
        if self._read >= _RECYCLE:
            self.close()

    def close(self) -> None:
        """Ends the child."""
        child, self._child, self._read = self._child, None, 0
        if child is not None:
            child.close()

    def _pages(self, source: Source, first: int, last: int) -> Iterator[Answer]:
        child = self._ready()
        params = self._params.model_dump(mode="json")
        child.say({"do": "read", **_told(source), "params": params, "first": first, "last": last})
        patience = self._params.page_seconds + OPEN_SECONDS
        for number in range(first, last + 1):
            head, body = child.hear(patience)
            patience = float(self._params.page_seconds)
            _raise(head)
            self._read += 1
            trouble = Trouble(*head["trouble"]) if head["trouble"] else None
            yield Answer(number, body, str(head["origin"]), int(head["words"]), trouble)

    def _ready(self) -> _Child:
        if self._child is None:
            self._child = _Child(self._folder)
        return self._child


_WHY = {
    "crashed": "it brought the reader down",
    "timeout": "it took too long",
    "memory": "it took too much memory",
}


def _told(source: Source) -> dict[str, Any]:
    return {
        "path": str(source.path.absolute()),
        "media_type": source.media_type,
        "name": source.name,
        "passwords": source.passwords,
    }


def _failed(number: int, code: str, message: str) -> Answer:
    trouble = Trouble(code, f"page {number}: {message}")
    page = Page(number, 0.0, 0.0, 72.0, "none", trouble=trouble)
    return Answer(number, page_json.dump_page(page), "none", 0, trouble)


def _raise(head: dict[str, Any]) -> None:
    if "refused" in head:
        because, code, message, hint = map(str, head["refused"])
        raise (
            ToolMissing(message, hint=hint)
            if because == "tool"
            else BadInput(code, message, hint=hint)
        )


class _Child:
    """The child, seen from its parent."""

    def __init__(self, folder: Path) -> None:
        self._process = tools.spawn(
            [sys.executable, "-P", "-m", "millrace.tasks.documents.reading.child"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._rest = b""

    def say(self, command: dict[str, Any]) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101
        try:
            pipe.write(json.dumps(command).encode() + b"\n")
            pipe.flush()
        except OSError:
            raise Gone("crashed") from None

    def hear(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Returns the next answer and its bytes. Raises Gone."""
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            if len(self._rest) > _LONGEST_LINE:
                raise Gone("crashed")
            self._rest += self._more(until)
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            head = json.loads(line)
            size = int(head.get("bytes", 0))
        except (ValueError, TypeError, AttributeError):
            raise Gone("crashed") from None
        chunks, held = [self._rest], len(self._rest)
        while held < size:
            chunks.append(self._more(until))
            held += len(chunks[-1])
        whole = b"".join(chunks)
        self._rest = whole[size:]
        return head, whole[:size]

    def close(self) -> None:
        tools.stop(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _more(self, until: float) -> bytes:
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise Gone("timeout")
        if not (chunk := os.read(pipe.fileno(), 1 << 20)):
            raise Gone("crashed")
        return chunk
