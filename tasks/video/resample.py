"""Planes enlarged or reduced by a windowed sinc: chroma, and luma where no network's factor fits.

The filter is Lanczos with three lobes (Duchon 1979), each phase normalised to a sum of one, so
that flat areas stay exact. Reducing stretches the filter, which then also keeps out aliasing. Edges
are continued by their last sample. Multiplication and addition are separate float32 steps, so that
every machine computes the same bytes.

Chroma keeps its place: a sample that shares its place with the left (or top) luma sample does so
afterwards too. Where output sample o looks, in input samples, for a factor s:

    centred    (o + 1/2) / s - 1/2          luma, unsubsampled chroma, chroma midway between luma
    first      (o + 1/4) / s - 1/4          2:1 chroma at the first of each two luma samples
    second     (o + 3/4) / s - 3/4          2:1 chroma at the second of each two
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from millrace.tasks.video.colour import Layout, Plane

_Floats = npt.NDArray[np.float32]

LOBES = 3
CENTRED, FIRST, SECOND = Fraction(1, 2), Fraction(1, 4), Fraction(3, 4)


@dataclass(frozen=True)
class Phase:
    """One in `up` output samples: weights of the input samples from `begin`, `begin + down`, …"""

    begin: int
    weights: tuple[float, ...]


def _lanczos(x: float) -> float:
    if x == 0:
        return 1.0
    if abs(x) >= LOBES:
        return 0.0
    return LOBES * math.sin(math.pi * x) * math.sin(math.pi * x / LOBES) / (math.pi * x) ** 2


@lru_cache(maxsize=64)
def phases(factor: Fraction, site: Fraction) -> tuple[Phase, ...]:
    """Returns the `factor.numerator` phases of a filter. Pure."""
    stretch = max(1.0, float(1 / factor))
    made = []
    for o in range(factor.numerator):
        at = float((o + site) / factor - site)
        begin = math.ceil(at - LOBES * stretch)
        end = math.floor(at + LOBES * stretch)
        raw = [_lanczos((i - at) / stretch) for i in range(begin, end + 1)]
        total = math.fsum(raw)
        made.append(Phase(begin, tuple(r / total for r in raw)))
    return tuple(made)


def _along(plane: _Floats, axis: int, factor: Fraction, site: Fraction, length: int) -> _Floats:
    """Returns `plane` [rows, columns] resampled along one axis to `length` samples."""
    up, down = factor.numerator, factor.denominator
    found = phases(factor, site)
    turns = -(-length // up)
    before = max(0, -min(p.begin for p in found))
    reach = max(p.begin + len(p.weights) for p in found) + down * (turns - 1)
    margins = [(0, 0), (0, 0)]
    margins[axis] = (before, max(0, reach - plane.shape[axis]))
    padded = np.pad(plane, margins, "edge")

    def tap(first: int) -> _Floats:
        samples = slice(first, first + down * (turns - 1) + 1, down)
        return padded[samples] if axis == 0 else padded[:, samples]

    made: list[_Floats] = []
    product = np.empty_like(tap(0))
    for phase in found:
        total = tap(before + phase.begin) * np.float32(phase.weights[0])
        for number, weight in enumerate(phase.weights[1:], start=before + phase.begin + 1):
            np.multiply(tap(number), np.float32(weight), out=product)
            total += product
        made.append(total)
    whole = np.stack(made, axis + 1)
    if axis == 0:
        return whole.reshape(turns * up, -1)[:length]
    return whole.reshape(plane.shape[0], -1)[:, :length]


def resample(
    plane: Plane,
    shape: tuple[int, int],
    factor: Fraction,
    peak: int,
    sites: tuple[Fraction, Fraction] = (CENTRED, CENTRED),
) -> Plane:
    """Returns a plane [rows, columns] resampled by `factor` to `shape`, of the same sample type.

    `sites` says for (rows, columns) where samples stand (`CENTRED`, `FIRST`, `SECOND`). Values are
    rounded half to even and clipped to 0…`peak`.
    """
    floats = _along(plane.astype(np.float32), 1, factor, sites[1], shape[1])
    floats = _along(floats, 0, factor, sites[0], shape[0])
    np.rint(floats, out=floats)
    np.clip(floats, 0, peak, out=floats)
    if plane.dtype == np.uint8:
        return floats.astype(np.uint8)
    return floats.astype(np.uint16)


def chroma_sites(layout: Layout, location: str) -> tuple[Fraction, Fraction]:
    """Returns where the chroma samples of a layout stand, for (rows, columns).

    `location` is FFmpeg's `chroma_location`; "" means `left`, as MPEG-2 and later have it.
    """
    if location in {"", "unspecified", "unknown"}:
        location = "left"
    rows = columns = CENTRED
    if layout.shift_x and location.endswith("left"):
        columns = FIRST
    if layout.shift_y and location.startswith("top"):
        rows = FIRST
    if layout.shift_y and location.startswith("bottom"):
        rows = SECOND
    return rows, columns
