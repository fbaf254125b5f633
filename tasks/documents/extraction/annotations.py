"""The text that annotators see, what they find in it, and the way back to the place on the page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from millrace.tasks.documents.facts import Evidence
from millrace.tasks.documents.pages import Box, Document, Line, Page, Word

Method = Literal["pattern", "entity", "gazetteer", "ner"]
"""RegexMatcher, EntityRuler, TextMatcher, a trained NerCrf."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A span of a text that an annotator labels: characters `start` up to `end`, exclusive.

    `label` is a field or an entity of a schema. `score` is the annotator's own, 1 for rules.
    """

    method: Method
    label: str
    start: int
    end: int
    text: str
    score: float = 1.0


class Annotator(Protocol):
    """Labels texts; many at once is much cheaper than one by one."""

    def annotate(self, texts: Sequence[str]) -> list[tuple[Annotation, ...]]:
        """Returns what is found in each text, by place."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line of a sheet stands: characters `start` up to `end` of the text."""

    start: int
    end: int
    page: Page
    line: Line


@dataclass(frozen=True)
class Sheet:
    """One reading of a whole document as text, one line of the page a line of text."""

    reader: str
    version: str
    places: tuple[Place, ...]
    text: str = field(repr=False)

    def at(self, offset: int) -> Place:
        """Returns the line at a character. Raises IndexError where the text has none."""
        if not self.places or not 0 <= offset <= len(self.text):
            raise IndexError(f"no line at character {offset}")
        return self.places[max(0, bisect_right(self.places, offset, key=lambda p: p.start) - 1)]

    def words(self, start: int, end: int) -> Iterator[tuple[Page, Word]]:
        """Yields the words that a span touches, with their pages."""
        for place in self.places:
            if place.end <= start or place.start >= end:
                continue
            cursor = place.start
            for word in place.line.words:
                found = self.text.find(word.text, cursor, place.end)
                first = cursor if found < 0 else found
                cursor = first + len(word.text)
                if first < end and cursor > start:
                    yield place.page, word

    def evidence(self, start: int, end: int) -> Evidence:
        """Returns where a span stands: the box around its words on the page it begins on.

        Raises IndexError for a span outside the text.
        """
        place = self.at(start)
        boxes = [word.box for page, word in self.words(start, end) if page is place.page]
        box = boxes[0] if boxes else place.line.box
        for other in boxes[1:]:
            box = box.joined(other)
        text = self.text[start:end]
        return Evidence(place.page.number, box, text, self.reader, self.version)


def sheets(document: Document) -> tuple[Sheet, ...]:
    """Returns the document as its readers saw it: what is believed first, then each other pass.

    A pass that was made of some pages only gives a sheet with those pages.
    """
    believed = _sheet([(page, page.lines) for page in document.pages], *_who(document.pages))
    passes: dict[tuple[str, str, str], list[tuple[Page, tuple[Line, ...]]]] = {}
    for page in document.pages:
        for reading in page.readings:
            if reading.lines != page.lines:
                who = (reading.reader, reading.version, reading.mode)
                passes.setdefault(who, []).append((page, reading.lines))
    others = (
        _sheet(read, f"{reader} {mode}".strip(), version)
        for (reader, version, mode), read in sorted(passes.items(), key=lambda one: one[0])
    )
    return (believed, *others)


def _who(pages: Sequence[Page]) -> tuple[str, str]:
    for page in pages:
        if page.readings:
            first = page.readings[0]
            return f"{first.reader} {first.mode}".strip(), first.version
    return "", ""


def _sheet(read: Sequence[tuple[Page, tuple[Line, ...]]], reader: str, version: str) -> Sheet:
    places: list[Place] = []
    texts: list[str] = []
    offset = 0
    for page, lines in read:
        for line in lines:
            places.append(Place(offset, offset + len(line.text), page, line))
            texts.append(line.text)
            offset += len(line.text) + 1
    return Sheet(reader, version, tuple(places), "\n".join(texts))


def box_of(words: Sequence[Word]) -> Box:
    """Returns the box around words. Raises ValueError for none."""
    if not words:
        raise ValueError("no words")
    box = words[0].box
    for word in words[1:]:
        box = box.joined(word.box)
    return box
