"""Finds how a page is turned and how far it is skewed, and sets it upright.

Skew is found by projection: of all angles, the right one gives rows of ink with white between, so
the profile of ink by row changes most from row to row (W. Postl's criterion). A page is made small
for it; a few milliseconds a page.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image as Pictures

if TYPE_CHECKING:
    from PIL.Image import Image

_SMALL = 700  # pixels of the longer side; a row of 12 point text still has 8 or more
_MOST = 10.0  # degrees: who lays a page more askew than that lays it on its side
_COARSE = 1.0
_FINE = 0.1
_LEAST = 0.3  # degrees: Tesseract reads on below, and turning costs a little sharpness
_CLEARER = 1.03  # how much sharper the profile must become before a page is turned
_DARKER = 20  # grey levels below its neighbourhood make ink
_FEW = 200  # points of ink, below which there are no lines to level
_POINTS = 20_000  # of ink are enough; a multiple of them would take as much longer
_LEGIBLE = 1000  # pixels of the longer side, at which letters are still apart
_LETTERS = 20  # below which a page is a slip, whatever its width
_ACROSS = 60  # heights of a letter: some 40 letters and the spaces between
_QUARTERS = {
    90: Pictures.Transpose.ROTATE_270,
    180: Pictures.Transpose.ROTATE_180,
    270: Pictures.Transpose.ROTATE_90,
}


def skew(image: Image) -> float:
    """Returns by how many degrees clockwise to turn a grey page so that its lines are level.

    0 for a page that is level within 0.3°, that is askew by more than 10°, or has no lines.
    """
    ink = _ink(image)
    if ink is None:
        return 0.0
    level = _sharpness(ink, 0.0)
    coarse = max(np.arange(-_MOST, _MOST + _COARSE, _COARSE), key=lambda a: _sharpness(ink, a))
    near = np.arange(coarse - _COARSE, coarse + _COARSE, _FINE)
    best = float(max(near, key=lambda a: _sharpness(ink, a)))
    if abs(best) < _LEAST or abs(best) >= _MOST or _sharpness(ink, best) < level * _CLEARER:
        return 0.0
    return round(best, 2)


def narrow(image: Image) -> bool:
    """Whether a page is as narrow as a slip: fewer than some 60 letters side by side.

    Tesseract reads slips best as one block, pages best by its own analysis of their layout.
    """
    scale = min(1.0, _LEGIBLE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    grey = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA)
    ink = (grey < np.maximum(cv2.blur(grey, (31, 31)), _DARKER) - _DARKER).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    left, width, height = stats[1:, 0], stats[1:, 2], stats[1:, 3]
    letters = (height >= 4) & (height < size[1] / 20) & (width < 3 * height)
    if int(letters.sum()) < _LETTERS:
        return True
    across = np.percentile(left[letters], 98) - np.percentile(left[letters], 2)
    return bool(across < _ACROSS * np.median(height[letters]))


def upright(image: Image, *, rotation: int, skew: float) -> Image:
    """Returns a page turned clockwise by 0, 90, 180 or 270 degrees, then by its skew.

    What the second turn uncovers is white; the page grows so that nothing is cut off.
    """
    turned = image.transpose(_QUARTERS[rotation]) if rotation else image
    if not skew:
        return turned
    white = 255 if turned.mode == "L" else (255, 255, 255)
    return turned.rotate(-skew, resample=Pictures.Resampling.BICUBIC, expand=True, fillcolor=white)


def _ink(image: Image) -> Any:
    """Returns where a page has ink, as rows of x and y on a small picture of it, or None where it
    has hardly any."""
    scale = min(1.0, _SMALL / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    grey = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA)
    # Against the neighbourhood: shadows and grey paper are no ink.
    paper = cv2.blur(grey, (31, 31))
    y, x = np.nonzero(grey < np.maximum(paper, _DARKER) - _DARKER)
    if len(y) < _FEW:
        return None
    step = 1 + len(y) // _POINTS
    return np.stack((x[::step] - size[0] / 2, y[::step])).astype(np.float32)


def _sharpness(ink: Any, angle: float) -> float:
    """Returns how much the ink of a page changes from row to row when it is turned."""
    rows = ink[1] + ink[0] * math.tan(math.radians(angle))
    profile = np.bincount((rows - rows.min()).astype(np.int32))
    return float(np.square(np.diff(profile)).sum())
