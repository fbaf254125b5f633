"""Frames in tiles: how a network with a bounded memory works on frames of any size.

A tile is read with `margin` more pixels on every side than are kept of it, except where it meets
the edge of the frame, so that what a network sees of a kept pixel is what it would see in the whole
frame. All tiles of a frame have the same size, because a network is compiled for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from millrace.engine.errors import BadInput
from millrace.tasks.video.colour import Plane


@dataclass(frozen=True)
class Stretch:
    """Pixels `begin` up to `end` are read, `first` up to `last` are kept."""

    begin: int
    end: int
    first: int
    last: int


@dataclass(frozen=True)
class Tile:
    """A rectangle of a frame, as the rows and the columns it takes."""

    rows: Stretch
    columns: Stretch


def stretches(length: int, window: int, margin: int) -> tuple[Stretch, ...]:
    """Returns the fewest stretches of at most `window` pixels that keep every pixel once.

    All are equally long. `window` must exceed twice the margin unless it covers the length.
    """
    if window >= length:
        return (Stretch(0, length, 0, length),)
    count = math.ceil((length - 2 * margin) / (window - 2 * margin))
    step = math.ceil((length - 2 * margin) / count)
    window = step + 2 * margin
    begins = [min(number * step, length - window) for number in range(count)]
    firsts = [0, *(begin + margin for begin in begins[1:])]
    lasts = [*firsts[1:], length]
    return tuple(
        Stretch(begin, begin + window, first, last)
        for begin, first, last in zip(begins, firsts, lasts, strict=True)
    )


def plan_tiles(height: int, width: int, pixels: int, margin: int) -> tuple[Tile, ...]:
    """Returns the tiles of a frame, each of at most `pixels` pixels read. Pure.

    Strips as wide as the frame or near squares, whichever reads less in all.
    Raises BadInput `memory` when so few pixels leave nothing between the margins.
    """
    side = min(height, math.isqrt(pixels))
    windows = [(min(height, pixels // width), width), (side, min(width, pixels // side))]
    fit = [
        (high, wide)
        for high, wide in windows
        if _room(high, height, margin) and _room(wide, width, margin)
    ]
    if not fit:
        raise BadInput(
            "memory",
            f"tiles of {pixels} pixels are too small: the network looks {margin} pixels around",
            hint=f"allow at least {(2 * margin + 1) ** 2} pixels a tile, or more memory",
        )
    plans = [
        (stretches(height, high, margin), stretches(width, wide, margin)) for high, wide in fit
    ]
    rows, columns = min(plans, key=lambda plan: _read(plan[0]) * _read(plan[1]))
    return tuple(Tile(row, column) for row in rows for column in columns)


def _room(window: int, length: int, margin: int) -> bool:
    """Whether a window keeps something of a length that it may not cover."""
    return window >= length or window > 2 * margin


def _read(found: Sequence[Stretch]) -> int:
    return sum(stretch.end - stretch.begin for stretch in found)


class Each(Protocol):
    """Calls a function for each tile: `map`, or an executor's."""

    def __call__(
        self, function: Callable[[Tile], None], tiles: Sequence[Tile], /
    ) -> Iterable[None]: ...


def enlarge(
    plane: Plane,
    tiles: Sequence[Tile],
    scale: int,
    network: Callable[[Plane], Plane],
    each: Each = map,
) -> Plane:
    """Returns the plane enlarged `scale` times by a network, tile by tile."""
    if len(tiles) == 1:
        return network(plane)
    height, width = plane.shape
    out = np.empty_like(plane, shape=(height * scale, width * scale))

    def work(tile: Tile) -> None:
        rows, columns = tile.rows, tile.columns
        window = np.ascontiguousarray(plane[rows.begin : rows.end, columns.begin : columns.end])
        out[_times(rows.first, rows.last, scale), _times(columns.first, columns.last, scale)] = (
            network(window)[_kept(rows, scale), _kept(columns, scale)]
        )

    for _ in each(work, tiles):
        pass
    return out


def _times(first: int, last: int, scale: int) -> slice:
    return slice(first * scale, last * scale)


def _kept(stretch: Stretch, scale: int) -> slice:
    """Returns where in an enlarged window the kept pixels of a stretch are."""
    return _times(stretch.first - stretch.begin, stretch.last - stretch.begin, scale)
