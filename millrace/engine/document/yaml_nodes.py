"""YAML text to nodes with marks, from ruamel.yaml's events.

Neither its composer nor its constructors are used: only text, numbers, true, false, nothing, lists
and mappings can come of a document, and depth and count are bounded before anything is built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from millrace.engine.document.yaml_words import in_words

MAX_DEPTH = 40
MAX_VALUES = 20_000

_CONTENT = (AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent)
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CORE = "tag:yaml.org,2002:"
_KNOWN_TAGS = {_CORE + name for name in ("str", "int", "float", "bool", "null", "map", "seq")}


@dataclass(frozen=True)
class Spot:
    """A stretch of the text: line and column from 0, and how long it is on that line."""

    line: int = 0
    column: int = 0
    length: int = 1


class Unreadable(Exception):
    """The text cannot be read any further, for `message`, at `spot`."""

    def __init__(self, message: str, spot: Spot) -> None:
        super().__init__(message)
        self.message = message
        self.spot = spot


@dataclass(frozen=True)
class Node:
    """One value as it stands in the text, before aliases are followed."""

    spot: Spot
    value: Any = None  # of a scalar
    plain: bool = True
    entries: tuple[tuple[Node, Node], ...] | None = None  # of a mapping
    items: tuple[Node, ...] | None = None  # of a list

    @property
    def scalar(self) -> bool:
        """True for a single value."""
        return self.entries is None and self.items is None


def lines_of(text: str) -> tuple[str, ...]:
    """Returns the lines of a text as YAML counts them."""
    return tuple(_BREAK.split(text))


def compose(text: str, complain: Callable[[str, Spot], None]) -> Node | None:
    """Returns the root of the document in `text`, None when it is empty.

    What can be read past is told to `complain`. Raises Unreadable for the rest.
    """
    reader = _Reader(lines_of(text), complain)
    events = reader.events(text)
    first = next((e for e in events if isinstance(e, _CONTENT)), None)
    root = None if first is None else reader.node(first, events, 0)
    for event in events:
        if isinstance(event, _CONTENT):
            raise Unreadable("a second document starts here; a file holds one", reader.spot(event))
    return root


def resolve(text: str) -> str | int | float | bool | None:
    """Returns the value of unquoted text by YAML 1.2's core schema.

    Raises ValueError for numbers that are not finite or too long.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _ENDLESS.fullmatch(text):
        raise ValueError("must be a finite number")
    if _INT.fullmatch(text):
        if len(text) > 30:
            raise ValueError("this number is too long; put it in quotes if it is a name")
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        if not math.isfinite(number := float(text)):
            raise ValueError("must be a finite number")
        return number
    return text


class _Reader:
    """Builds nodes from the events of one text."""

    def __init__(self, lines: Sequence[str], complain: Callable[[str, Spot], None]) -> None:
        self.lines = lines
        self.complain = complain
        self.anchors: dict[str, Node | None] = {}
        self.count = 0

    def events(self, text: str) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(text)
        except ReaderError as error:
            before = _BREAK.split(text[: error.position])
            spot = Spot(len(before) - 1, len(before[-1]))
            raise Unreadable("a character that no text file should hold", spot) from None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line, mark.column) if mark else (0, 0)
            words, (line, column) = in_words(error, self.lines, line, column)
            raise Unreadable(words, Spot(line, column)) from None
        except (YAMLError, ValueError, TypeError, LookupError, AttributeError, AssertionError):
            # ruamel.yaml raises plain errors for some malformed escapes and directives
            raise Unreadable("this is no YAML", Spot()) from None

    def spot(self, event: Any) -> Spot:
        start, end = event.start_mark, event.end_mark
        line = self.lines[start.line] if start.line < len(self.lines) else ""
        stop = end.column if end.line == start.line else len(line.rstrip())
        return Spot(start.line, start.column, max(1, stop - start.column))

    def node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        self.count += 1
        if depth > MAX_DEPTH:
            raise Unreadable(f"values are nested deeper than {MAX_DEPTH} levels", self.spot(event))
        if self.count > MAX_VALUES:
            raise Unreadable(f"the document has more than {MAX_VALUES:,} values", self.spot(event))
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if event.anchor:
            self.anchors[event.anchor] = None  # complete only below: an alias inside has no end
        node = self._content(event, events, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: AliasEvent) -> Node:
        if event.anchor not in self.anchors:
            message = f"no anchor is called &{event.anchor}; text that begins with '*' needs quotes"
            raise Unreadable(message, self.spot(event))
        node = self.anchors[event.anchor]
        if node is None:
            raise Unreadable(f"the anchor &{event.anchor} contains itself", self.spot(event))
        return node

    def _content(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        spot = self.spot(event)
        tag = str(event.tag or "")
        if tag not in ("", "!") and tag not in _KNOWN_TAGS:
            shown = tag.replace(_CORE, "!!")[:40]
            self.complain(f"the tag {shown} has no meaning here; leave it out", spot)
        if isinstance(event, ScalarEvent):
            plain = event.style in (None, "")
            return Node(spot, self._scalar(event.value, plain, tag, spot), plain)
        if isinstance(event, SequenceStartEvent):
            items = tuple(self.node(e, events, depth + 1) for e in _until_end(events))
            return Node(spot, items=items)
        entries = []
        for key in _until_end(events):
            name = self.node(key, events, depth + 1)
            entries.append((name, self.node(next(events), events, depth + 1)))
        return Node(spot, entries=tuple(entries))

    def _scalar(self, text: str, plain: bool, tag: str, spot: Spot) -> Any:
        if tag == _CORE + "str" or (tag and tag not in _KNOWN_TAGS) or not (plain or tag):
            return text
        try:
            return resolve(text)
        except ValueError as error:
            self.complain(str(error), spot)
            return None


def _until_end(events: Iterator[Any]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            return
        yield event
