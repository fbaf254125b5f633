"""Puts words into lines, lines into reading order, and lines that belong together into blocks.

A *segment* is a run of words that stand close together: what a detector of text finds, or a cell of
a row. Lengths are compared with the height of the words, so nothing here depends on the resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import mean, median

from millrace.tasks.documents.pages import Box, Line, Word
from millrace.tasks.documents.reading.language import spaced

_SAME_ROW = 0.5  # of the lower one's height must be shared
_COLUMN_LINES = 5  # on either side, before a gap is the gutter between two columns
_COLUMN_LETTERS = 15  # on average in a line of prose; cells and prices have fewer
_COLUMN_WIDTH = 0.25  # of the region, the least width of a column


@dataclass(frozen=True, slots=True)
class Piece:
    """A word and where its reader puts it: any numbers that are the same for the same line."""

    word: Word
    place: tuple[int, ...]


def lines_of(pieces: Iterable[Piece]) -> tuple[Line, ...]:
    """Returns the lines of a reader's words, in its own order."""
    return tuple(
        line_of([piece.word for piece in group])
        for _, group in groupby(pieces, key=lambda piece: piece.place)
    )


def line_of(words: Sequence[Word]) -> Line:
    """Returns a line of words that stand side by side. Raises ValueError for none."""
    if not words:
        raise ValueError("a line has words")
    return Line(spaced([word.text for word in words]), around([w.box for w in words]), tuple(words))


def around(boxes: Sequence[Box]) -> Box:
    """Returns the box around boxes. Raises ValueError for none."""
    if not boxes:
        raise ValueError("no boxes")
    box = boxes[0]
    for other in boxes[1:]:
        box = box.joined(other)
    return box


def shared(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Returns how much of the shorter of two spans lies in the other, 0 to 1."""
    short = min(first[1] - first[0], second[1] - second[0])
    common = min(first[1], second[1]) - max(first[0], second[0])
    return max(0.0, common / short) if short > 0 else 0.0


def same_row(first: Box, second: Box) -> bool:
    """Whether two boxes stand beside each other."""
    return shared((first.y0, first.y1), (second.y0, second.y1)) >= _SAME_ROW


def rows(segments: Iterable[Line]) -> list[list[Line]]:
    """Returns segments as rows from top to bottom, each from left to right."""
    found: list[list[Line]] = []
    for segment in sorted(segments, key=lambda s: (s.box.y0 + s.box.y1, s.box.x0)):
        row = next((r for r in reversed(found[-4:]) if _belongs(segment, r)), None)
        if row is None:
            found.append([segment])
        else:
            row.append(segment)
    return [sorted(row, key=lambda s: s.box.x0) for row in found]


def _belongs(segment: Line, row: Sequence[Line]) -> bool:
    # Judged by the nearest neighbour: a row may climb a little from left to right.
    near = min(row, key=lambda s: abs(s.box.x0 - segment.box.x0))
    overlap = min(near.box.x1, segment.box.x1) - max(near.box.x0, segment.box.x0)
    narrow = min(near.box.width, segment.box.width)
    return same_row(near.box, segment.box) and overlap < narrow / 2


def in_order(segments: Sequence[Line]) -> tuple[Line, ...]:
    """Returns the lines of a page in reading order: column by column where text stands in columns,
    the segments of a row joined elsewhere."""
    return tuple(
        line_of([word for segment in row for word in segment.words])
        for region in _regions(rows(segments), 3)
        for row in region
    )


def _regions(stack: list[list[Line]], depth: int) -> Iterator[list[list[Line]]]:
    """Yields runs of rows that have no gutter, in reading order."""
    cut = _gutter(stack) if depth else None
    if cut is None:
        if stack:
            yield stack
        return
    first, last, at = cut
    left = [[s for s in row if s.box.x1 <= at] for row in stack[first:last]]
    right = [[s for s in row if s.box.x0 >= at] for row in stack[first:last]]
    yield from _regions(stack[:first], depth - 1)
    yield from _regions([row for row in left if row], depth - 1)
    yield from _regions([row for row in right if row], depth - 1)
    yield from _regions(stack[last:], depth - 1)


def _gutter(stack: Sequence[Sequence[Line]]) -> tuple[int, int, float] | None:
    """Returns the longest run of rows that text in columns stands in: first, last, and where."""
    segments = [segment for row in stack for segment in row]
    if len(segments) < 2 * _COLUMN_LINES:
        return None
    region = around([segment.box for segment in segments])
    height = median(segment.box.height for segment in segments)
    gaps = {
        round((a.box.x1 + b.box.x0) / 2 / height)
        for row in stack
        for a, b in pairwise(row)
        if b.box.x0 - a.box.x1 > height / 2
    }
    best: tuple[int, int, float] | None = None
    for at in sorted(gap * height for gap in gaps):
        for first, last in _clear(stack, at):
            longer = best is None or last - first > best[1] - best[0]
            if longer and _prose(stack[first:last], at, region):
                best = first, last, at
    return best


def _clear(stack: Sequence[Sequence[Line]], at: float) -> Iterator[tuple[int, int]]:
    """Yields the runs of rows that nothing crosses at a place."""
    first = 0
    for index, row in enumerate(stack):
        if any(segment.box.x0 < at < segment.box.x1 for segment in row):
            if index > first:
                yield first, index
            first = index + 1
    if len(stack) > first:
        yield first, len(stack)


def _prose(stack: Sequence[Sequence[Line]], at: float, region: Box) -> bool:
    """Whether what stands left and right of a place are columns of prose."""
    for side in (
        [s for row in stack for s in row if s.box.x1 <= at],
        [s for row in stack for s in row if s.box.x0 >= at],
    ):
        if len(side) < _COLUMN_LINES or mean(len(s.text) for s in side) < _COLUMN_LETTERS:
            return False
        if median(s.box.width for s in side) < _COLUMN_WIDTH * region.width:
            return False
    return True


def blocks_of(lines: Sequence[Line]) -> tuple[tuple[int, ...], ...]:
    """Returns the runs of line indexes that belong together: set close below each other, and
    sharing most of the narrower one's width."""
    blocks: list[list[int]] = []
    for index, line in enumerate(lines):
        if blocks and _follows(lines[blocks[-1][-1]], line):
            blocks[-1].append(index)
        else:
            blocks.append([index])
    return tuple(map(tuple, blocks))


def _follows(upper: Line, lower: Line) -> bool:
    height = min(upper.box.height, lower.box.height)
    gap = lower.box.y0 - upper.box.y1
    across = shared((upper.box.x0, upper.box.x1), (lower.box.x0, lower.box.x1))
    return -height < gap < height and across > 0.5
