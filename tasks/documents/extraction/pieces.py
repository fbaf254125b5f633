"""The pieces of a sheet that stand for themselves: lines cut where a gap or a colon parts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from millrace.tasks.documents.extraction.annotations import Place, Sheet
from millrace.tasks.documents.pages import Box

WIDE_GAP = 1.3
"""A space wider than so many heights of the line parts two pieces."""

_COLON = re.compile(r"(?:(?<!\d)[::]|[::](?!\d\d))(?!//)\s*")
_MARK = r"[□☐☑☒■▢✓✔√○●◯◉⬜]|\[[ xX✓]?\]|\([xX✓]\)"
_OPTIONS = re.compile(rf"(?={_MARK})")
MARK = re.compile(rf"^(?:{_MARK})\s*")
HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line: characters `start` up to `end` of the sheet, and where it stands.

    `keyed` says that a colon ends it, `after_colon` that one stands before it on its line.
    """

    text: str
    start: int
    end: int
    box: Box
    page: int
    keyed: bool = False
    after_colon: bool = False

    @property
    def height(self) -> float:
        """Its height, at least a little."""
        return max(self.box.height, 1e-6)

    @property
    def middle(self) -> float:
        """How far down its middle is."""
        return (self.box.y0 + self.box.y1) / 2


def pieces(sheet: Sheet) -> tuple[Piece, ...]:
    """Returns the pieces of a sheet in its order, none of them empty."""
    return tuple(piece for place in sheet.places for piece in _of_line(sheet, place))


def _of_line(sheet: Sheet, place: Place) -> Iterator[Piece]:
    for start, end in _cut_at_gaps(sheet, place):
        yield from _of_stretch(sheet, place, start, end)


def _cut_at_gaps(sheet: Sheet, place: Place) -> Iterator[tuple[int, int]]:
    """Yields the stretches of a line between wide gaps."""
    cursor, begun, before = place.start, place.start, None
    for word in place.line.words:
        found = sheet.text.find(word.text, cursor, place.end)
        if found < 0:
            continue
        wide = WIDE_GAP * max(word.box.height, 1e-6)
        if before is not None and word.box.x0 - before > wide and found > begun:
            yield begun, found
            begun = found
        cursor = found + len(word.text)
        before = word.box.x1
    yield begun, place.end


def _of_stretch(sheet: Sheet, place: Place, start: int, end: int) -> Iterator[Piece]:
    """Yields a stretch cut after its colons and before its check boxes."""
    text = sheet.text[start:end]
    cuts = [0, len(text)]
    colons = {match.start(): match.end() for match in _COLON.finditer(text)}
    cuts += [stop for stop in colons.values() if stop < len(text)]
    if len(_OPTIONS.split(text)) > 1:
        cuts += [match.start() for match in _OPTIONS.finditer(text)]
    edges = sorted(set(cuts))
    after = False
    for first, last in zip(edges, edges[1:], strict=False):
        part = text[first:last]
        keyed = any(at in colons for at in range(first, last) if colons.get(at) == last)
        shown = _COLON.sub("", part).strip() if keyed else part.strip()
        lead = len(part) - len(part.lstrip())
        if shown:
            at = start + first + lead
            yield Piece(
                shown,
                at,
                at + len(shown),
                _box(sheet, place, at, at + len(shown)),
                place.page.number,
                keyed,
                after,
            )
        after = keyed or after


def _box(sheet: Sheet, place: Place, start: int, end: int) -> Box:
    """Returns the part of the line's box that a span takes: that of its words, cut by share."""
    boxes = []
    cursor = place.start
    for word in place.line.words:
        found = sheet.text.find(word.text, cursor, place.end)
        if found < 0 or not word.text:
            continue
        cursor = found + len(word.text)
        first, last = max(start, found), min(end, cursor)
        if first < last:
            wide = word.box.width / len(word.text)
            left = word.box.x0 + wide * (first - found)
            right = word.box.x0 + wide * (last - found)
            boxes.append(Box(left, word.box.y0, right, word.box.y1))
    if boxes:
        box = boxes[0]
        for other in boxes[1:]:
            box = box.joined(other)
        return box
    whole = place.line.box
    length = max(1, place.end - place.start)
    wide = whole.width / length
    left = whole.x0 + wide * (start - place.start)
    return Box(left, whole.y0, left + wide * (end - start), whole.y1)
