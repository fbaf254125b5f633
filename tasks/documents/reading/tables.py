"""Finds simple tables: ruled ones by their lines, unruled ones by columns that line up.

A ruled table is a grid: its rules cut it into cells, and a word belongs to the cell its middle lies
in. Cells that span others come out as the cells they cover. An unruled table is three or more rows
below each other, with as many cells each, that start or end at the same places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from millrace.tasks.documents.pages import Box, Cell, Line, Table, Word
from millrace.tasks.documents.reading.language import spaced
from millrace.tasks.documents.reading.layout import around, rows, same_row

if TYPE_CHECKING:
    from PIL.Image import Image

_SMALL = 1200  # pixels of the longer side; rules still show
_RULE = 30  # the shortest rule is a thirtieth of the page
_INK = 190  # grey of a rule that was made small
_LEAST_ROWS, _LEAST_COLUMNS = 2, 2
_ALIGNED_ROWS = 3
_GAP = 1.5  # heights of a word between two columns of an unruled table


def tables_of(image: Image, lines: Sequence[Line]) -> tuple[Table, ...]:
    """Returns the tables of an upright grey page, ruled ones first; each word is in one at most."""
    words = [word for line in lines for word in line.words]
    ruled = tuple(_ruled(image, words))
    free = [word for word in words if not any(_inside(word.box, table.box) for table in ruled)]
    return (*ruled, *_unruled(free))


def _ruled(image: Image, words: Sequence[Word]) -> Iterator[Table]:
    scale = min(1.0, _SMALL / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    grey = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA)
    ink = (grey < _INK).astype(np.uint8)
    across = _opened(ink, (max(2, size[0] // _RULE), 1))
    down = _opened(ink, (1, max(2, size[1] // _RULE)))
    if not across.any() or not down.any():
        return
    grid = cv2.dilate(across | down, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(grid, connectivity=8)
    for label in range(1, count):
        left, top, width, height = (int(n) for n in stats[label, :4])
        part = (slice(top, top + height), slice(left, left + width))
        mine = labels[part] == label
        xs = _places((down[part] > 0) & mine, axis=0, least=height / 4)
        ys = _places((across[part] > 0) & mine, axis=1, least=width / 4)
        if len(ys) > _LEAST_ROWS and len(xs) > _LEAST_COLUMNS:
            yield _filled([(left + x) / scale for x in xs], [(top + y) / scale for y in ys], words)


def _opened(ink: Any, shape: tuple[int, int]) -> Any:
    return cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones(shape[::-1], np.uint8))


def _places(rules: Any, *, axis: int, least: float) -> list[float]:
    """Returns where rules stand: the middles of runs of columns (rows) with enough ink."""
    marked = np.flatnonzero(np.concatenate(([False], rules.sum(axis=axis) >= least, [False])))
    runs = np.split(marked, np.flatnonzero(np.diff(marked) > 3) + 1)
    return [float(run.mean()) - 1 for run in runs if len(run)]


def _filled(xs: Sequence[float], ys: Sequence[float], words: Sequence[Word]) -> Table:
    table = tuple(
        tuple(_cell(Box(x0, y0, x1, y1), words) for x0, x1 in pairwise(xs))
        for y0, y1 in pairwise(ys)
    )
    return Table(Box(xs[0], ys[0], xs[-1], ys[-1]), table)


def _cell(box: Box, words: Sequence[Word]) -> Cell:
    return Cell(spaced([word.text for word in words if _inside(word.box, box)]), box)


def _inside(box: Box, other: Box) -> bool:
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return other.x0 <= x < other.x1 and other.y0 <= y < other.y1


def _unruled(words: Sequence[Word]) -> Iterator[Table]:
    """Yields the runs of rows with as many cells each, one below the other."""
    run: list[list[list[Word]]] = []
    for row in _celled(words):
        if run and not _aligned(run[-1], row):
            yield from _table(run)
            run = []
        run.append(row)
    yield from _table(run)


def _celled(words: Sequence[Word]) -> Iterator[list[list[Word]]]:
    """Yields rows as cells: words with wide gaps between."""
    if not words:
        return
    wide = _GAP * median(word.box.height for word in words)
    for row in rows(Line(word.text, word.box, (word,)) for word in words):
        cells: list[list[Word]] = [[]]
        for segment in row:
            if cells[-1] and segment.box.x0 - cells[-1][-1].box.x1 > wide:
                cells.append([])
            cells[-1].extend(segment.words)
        yield cells


def _aligned(upper: Sequence[Sequence[Word]], lower: Sequence[Sequence[Word]]) -> bool:
    """Whether two rows have as many cells, two at least, each at the same left or right edge."""
    if len(upper) != len(lower) or len(lower) < _LEAST_COLUMNS:
        return False
    above = [around([word.box for word in cell]) for cell in upper]
    below = [around([word.box for word in cell]) for cell in lower]
    height = below[0].height
    if below[0].y0 - above[0].y1 > 2 * height or same_row(above[0], below[0]):
        return False
    return all(
        abs(a.x0 - b.x0) < height or abs(a.x1 - b.x1) < height
        for a, b in zip(above, below, strict=True)
    )


def _table(run: Sequence[Sequence[Sequence[Word]]]) -> Iterator[Table]:
    if len(run) < _ALIGNED_ROWS or len(run[0]) < _LEAST_COLUMNS:
        return
    table = tuple(
        tuple(
            Cell(spaced([word.text for word in cell]), around([word.box for word in cell]))
            for cell in row
        )
        for row in run
    )
    yield Table(around([cell.box for row in table for cell in row]), table)
