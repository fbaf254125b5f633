"""Where in a YAML document every key and value stands, so that errors say file:line:col."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace.engine.document.problems import Finding, Place, Problem, Report, Where, in_order
from millrace.engine.document.yaml_nodes import (
    MAX_DEPTH,
    MAX_VALUES,
    Node,
    Spot,
    Unreadable,
    compose,
    lines_of,
)


@dataclass(frozen=True)
class SourceMap:
    """The lines of a document and where its keys and values stand."""

    file: str
    lines: tuple[str, ...]
    keys: Mapping[Where, Spot] = field(default_factory=dict)
    values: Mapping[Where, Spot] = field(default_factory=dict)

    def place(self, spot: Spot) -> Place:
        """Returns the place of a stretch of text."""
        text = self.lines[spot.line] if spot.line < len(self.lines) else ""
        return Place(self.file, spot.line + 1, spot.column + 1, spot.length, text)

    def locate(self, finding: Finding) -> Problem:
        """Returns the finding with its place: its own, or that of the nearest thing around it."""
        where = finding.where
        spot = self.keys.get(where) if finding.at_key else self.values.get(where)
        if spot is not None and finding.length and not finding.at_key:
            spot = self._within(spot, finding)
        while spot is None and where:
            where = where[:-1]
            spot = self.keys.get(where) or self.values.get(where)
        place = self.place(spot or Spot())
        return Problem(finding.message, finding.where, place.hidden() if finding.secret else place)

    def _within(self, spot: Spot, finding: Finding) -> Spot:
        """Narrows a value's spot to a part of its text, where the text stands as it is."""
        line = self.lines[spot.line] if spot.line < len(self.lines) else ""
        column = spot.column + finding.offset + (line[spot.column : spot.column + 1] in ("'", '"'))
        if column + finding.length > spot.column + spot.length:
            return spot
        return Spot(spot.line, column, finding.length)


@dataclass(frozen=True)
class Parsed:
    """What was read: `data` is None when the text is no document at all."""

    data: dict[str, Any] | None
    source: SourceMap
    problems: tuple[Problem, ...]

    def report(self, wrong: Iterable[Finding], doubtful: Iterable[Finding]) -> Report:
        """Returns what was found with its places, in the order of the file.

        Where the text itself is wrong, nothing else is said of the same place.
        """
        told = {problem.place for problem in self.problems}
        located = [self.source.locate(finding) for finding in wrong]
        return Report(
            in_order([*self.problems, *(one for one in located if one.place not in told)]),
            in_order(self.source.locate(finding) for finding in doubtful),
        )


PIPELINE = ("`millrace init` writes one", "a pipeline is a mapping that starts with `version: 1`")


def parse(text: str, file: str, words: tuple[str, str] = PIPELINE) -> Parsed:
    """Returns the document in `text`. Never raises: what is wrong is in `problems`.

    `words` say what to do about an empty document, and what a document of this sort is.
    """
    builder = _Builder(file, text, words)
    try:
        data = builder.document(text)
    except Unreadable as error:
        builder.problem(error.message, error.spot)
        data = None
    return Parsed(data, builder.source, tuple(builder.problems))


class _Builder:
    """Turns nodes into data and remembers where each key and value stood."""

    def __init__(self, file: str, text: str, words: tuple[str, str]) -> None:
        self.words = words
        self.keys: dict[Where, Spot] = {}
        self.values: dict[Where, Spot] = {}
        self.source = SourceMap(file, lines_of(text), self.keys, self.values)
        self.problems: list[Problem] = []
        self.count = 0

    def problem(self, message: str, spot: Spot, where: Where = ()) -> None:
        self.problems.append(Problem(message, where, self.source.place(spot)))

    def document(self, text: str) -> dict[str, Any]:
        root = compose(text, self.problem)
        if root is None or (root.scalar and root.value is None):
            raise Unreadable(f"the document is empty; {self.words[0]}", Spot())
        if root.entries is None:
            raise Unreadable(self.words[1], root.spot)
        return self._mapping(root.entries, ())

    def _data(self, node: Node, where: Where) -> Any:
        self._count(node, where)
        self.values[where] = node.spot
        if node.items is not None:
            return [self._data(item, (*where, n)) for n, item in enumerate(node.items)]
        if node.entries is not None:
            return self._mapping(node.entries, where)
        return node.value

    def _mapping(self, entries: tuple[tuple[Node, Node], ...], where: Where) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged = []
        for key, value in entries:
            if key.plain and key.value == "<<":
                merged.append(value)
                continue
            name = self._key(key, data, where)
            if name is not None:
                self.keys[(*where, name)] = key.spot
                data[name] = self._data(value, (*where, name))
        while merged:
            merged += self._merge(data, merged.pop(0), where)
        return data

    def _key(self, key: Node, seen: Mapping[str, Any], where: Where) -> str | None:
        if not isinstance(key.value, str):
            text = self.source.place(key.spot)
            word = text.text[text.column - 1 :][: text.length][:30]
            self.problem(f"a key must be text; write it in quotes: '{word}'", key.spot, where)
            return None
        if key.value in seen:
            line = self.keys[(*where, key.value)].line + 1
            message = f"the key {key.value!r} appears twice; the first is on line {line}"
            self.problem(message, key.spot, (*where, key.value))
            return None
        return key.value

    def _merge(self, data: dict[str, Any], value: Node, where: Where) -> list[Node]:
        """Adds what `<<: value` brings; returns what is to be merged after it."""
        later = []
        for source in value.items if value.items is not None else (value,):
            self._count(source, where)
            if source.entries is None:
                self.problem("<< merges mappings only", source.spot, where)
                continue
            for key, entry in source.entries:
                if key.plain and key.value == "<<":
                    later.append(entry)
                elif isinstance(key.value, str) and key.value not in data:
                    self.keys[(*where, key.value)] = key.spot
                    data[key.value] = self._data(entry, (*where, key.value))
        return later

    def _count(self, node: Node, where: Where) -> None:
        self.count += 1
        if self.count > MAX_VALUES or len(where) > MAX_DEPTH:
            raise Unreadable("aliases make this document too large to read", node.spot)
