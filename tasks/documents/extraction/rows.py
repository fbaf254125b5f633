"""The lines of a sheet laid out in rows, as the eye sees them.

Readers cut lines differently: a label and its amount may be one line or two. Rows put together what
stands at the same height, from left to right; candidates and features are taken from both.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.pages import Box

OVERLAP = 0.55
"""The share of the lower line's height two lines must have in common to stand in one row."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A line of a sheet: characters `start` up to `end`, and the row it stands in."""

    start: int
    end: int
    text: str
    box: Box
    page: int
    row: int
    confidence: float
    least: float


@dataclass(frozen=True, slots=True)
class Row:
    """Segments at one height, from left to right."""

    text: str
    segments: tuple[Segment, ...]
    box: Box
    page: int

    @property
    def height(self) -> float:
        """The height of its tallest segment."""
        return max(segment.box.height for segment in self.segments)


@dataclass(frozen=True)
class Layout:
    """A sheet in rows. `segments` are in reading order, `height` is the usual one of a line,
    `extents` the box around all that a page says."""

    sheet: Sheet
    rows: tuple[Row, ...]
    segments: tuple[Segment, ...]
    height: float
    extents: dict[int, Box]


def laid_out(sheet: Sheet) -> Layout:
    """Returns a sheet in rows, page by page, from top to bottom."""
    pages: dict[int, list[int]] = {}
    for index, place in enumerate(sheet.places):
        if place.line.text.strip():
            pages.setdefault(place.page.number, []).append(index)
    rows: list[Row] = []
    segments: list[tuple[int, Segment]] = []
    extents: dict[int, Box] = {}
    for page, indexes in sorted(pages.items()):
        for group in _rows(sheet, indexes):
            made = tuple(_segment(sheet, index, page, len(rows)) for index in group)
            box = made[0].box
            for other in made[1:]:
                box = box.joined(other.box)
            rows.append(Row("  ".join(one.text for one in made), made, box, page))
            segments.extend(zip(group, made, strict=True))
            extents[page] = extents[page].joined(box) if page in extents else box
    ordered = tuple(segment for _, segment in sorted(segments, key=lambda one: one[0]))
    usual = median(s.box.height for s in ordered) if ordered else 1.0
    return Layout(sheet, tuple(rows), ordered, max(usual, 1e-6), extents)


def _rows(sheet: Sheet, indexes: list[int]) -> list[list[int]]:
    """Returns lines put together by height. A line joins the row above it where they overlap
    enough and nothing of that row stands in its columns."""
    groups: list[list[int]] = []
    for index in sorted(indexes, key=lambda i: _middle(sheet, i)):
        box = sheet.places[index].line.box
        for group in reversed(groups[-3:]):
            others = [sheet.places[i].line.box for i in group]
            if all(_beside(box, other) for other in others):
                group.append(index)
                break
        else:
            groups.append([index])
    return [sorted(group, key=lambda i: sheet.places[i].line.box.x0) for group in groups]


def _beside(one: Box, other: Box) -> bool:
    common = min(one.y1, other.y1) - max(one.y0, other.y0)
    if common < OVERLAP * min(one.height, other.height):
        return False
    shared = min(one.x1, other.x1) - max(one.x0, other.x0)
    return shared < 0.2 * min(one.width, other.width)


def _middle(sheet: Sheet, index: int) -> tuple[float, float]:
    box = sheet.places[index].line.box
    return (box.y0 + box.y1) / 2, box.x0


def _segment(sheet: Sheet, index: int, page: int, row: int) -> Segment:
    place = sheet.places[index]
    words = place.line.words
    return Segment(
        place.start,
        place.end,
        place.line.text,
        place.line.box,
        page,
        row,
        place.line.confidence,
        min((word.confidence for word in words), default=0.0),
    )
