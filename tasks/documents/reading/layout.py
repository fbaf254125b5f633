"""Puts words into lines, lines into reading order, and lines that belong together into blocks.

Lengths are compared with the height of the words, so nothing here depends on the resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from millrace.tasks.documents.pages import Box, Line, Word
from millrace.tasks.documents.reading.language import spaced


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
    shared = min(upper.box.x1, lower.box.x1) - max(upper.box.x0, lower.box.x0)
    narrow = min(upper.box.width, lower.box.width)
    return -height < gap < height and shared > narrow / 2
