"""What is wrong with a document, with its place and in words for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from millrace.engine.errors import DocumentError
from millrace.engine.reporting.words import safe

Where = tuple[str | int, ...]
"""Keys and indices from the top of a document down to a value: ("stages", "proxy", "with")."""


@dataclass(frozen=True)
class Place:
    """A stretch of one line of a file. `line` and `column` count from 1; `text` is the line."""

    file: str
    line: int
    column: int
    length: int
    text: str

    def hidden(self) -> Place:
        """Returns the place with its stretch of the line made unreadable."""
        start, stop = self.column - 1, self.column - 1 + self.length
        return replace(self, text=f"{self.text[:start]}{'•' * self.length}{self.text[stop:]}")


@dataclass(frozen=True)
class Finding:
    """Something wrong (or doubtful) at a value, before its place in a file is known.

    `at_key` points to the key and not to its value; `offset` and `length` narrow the place to a
    part of a text value. What is `secret` is not shown.
    """

    where: Where
    message: str
    at_key: bool = False
    offset: int = 0
    length: int = 0
    secret: bool = False


@dataclass(frozen=True)
class Problem:
    """A finding with its place: `file:line:col: message`, the line and a caret."""

    message: str
    where: Where = ()
    place: Place | None = None

    def __str__(self) -> str:
        """Returns the lines a person sees."""
        message = safe(self.message)
        if self.place is None:
            head = ".".join(str(step) for step in self.where)
            return f"{head}: {message}" if head else message
        place = self.place
        if not place.text.strip():
            return f"{place.file}:{place.line}:{place.column}: {message}"
        text, column, length = _window(place)
        return (
            f"{place.file}:{place.line}:{place.column}: {message}\n"
            f"    {text}\n    {' ' * (column - 1)}{'^' * max(1, length)}"
        )

    def as_json(self) -> dict[str, JsonValue]:
        """Returns the problem as plain JSON."""
        place = self.place
        return {
            "message": self.message,
            "where": ".".join(str(step) for step in self.where),
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
        }


@dataclass(frozen=True)
class Report:
    """Everything found in one document. Warnings do not stop a run."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def error(self, name: str) -> DocumentError:
        """Returns the error that carries every problem of the document called `name`."""
        rendered = tuple(str(problem) for problem in self.problems)
        count = "1 problem" if len(rendered) == 1 else f"{len(rendered)} problems"
        return DocumentError(
            f"{name} has {count}:\n" + "\n".join(rendered),
            problems=rendered,
        )


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Returns problems once each, in the order of the file."""
    kept: dict[tuple[str, Where], Problem] = {}
    for problem in problems:
        kept.setdefault((problem.message, problem.where), problem)
    return tuple(sorted(kept.values(), key=_position))


def _position(problem: Problem) -> tuple[int, int]:
    return (problem.place.line, problem.place.column) if problem.place else (0, 0)


def likely(word: str, known: Iterable[str]) -> str:
    """Returns the known word most like `word`, or nothing when none is like it."""
    folded = {entry.lower(): entry for entry in known}
    near = difflib.get_close_matches(word[:200].lower(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the known word most like `word`, or nothing."""
    near = likely(word, known)
    return f"; did you mean {near!r}?" if near else ""


def listed(words: Sequence[str], last: str = "or") -> str:
    """Returns `a, b or c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def shown(value: object) -> str:
    """Returns a value as a person would name it, cut to what fits a line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 42 else f"{text[:40]}…{text[-1]}"


def _window(place: Place) -> tuple[str, int, int]:
    """Returns the part of a long line around the column, with the column and length in it."""
    text = "".join(
        " " if char == "\t" else char if char.isprintable() else "·" for char in place.text
    )
    limit, before = 160, 60
    start = max(0, place.column - 1 - before) if len(text) > limit else 0
    column = place.column - start
    part = text[start : start + limit]
    return part, column, max(1, min(place.length, len(part) - column + 1))
