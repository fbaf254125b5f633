"""A small picture of what a stage did: before and after, side by side, as a JPEG in base64."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from millrace.tasks.video import ffmpeg
from millrace.tasks.video.colour import Colour, Layout, Plane, layout
from millrace.tasks.video.ffmpeg import Filter
from millrace.tasks.video.resample import resample
from millrace.tasks.video.tool import Tool

MOST_BYTES = 20_000  # of base64
_WIDTH, _HEIGHT = 240, 200  # pixels of each half, at most
_QUALITIES = (4, 8, 14, 22, 31)  # FFmpeg's scale for MJPEG, best first
_LINE = np.array((235, 128, 128), np.uint8)  # white, between the halves

_Picture = npt.NDArray[np.uint8]  # [3, rows, columns]: Y, U and V of the same size, 8 bits


def before_after(
    before: Sequence[Plane], after: Sequence[Plane], pix_fmt: str, colour: Colour, scale: int
) -> str:
    """Returns the middle of a frame, enlarged by a plain filter and by the network, in base64.

    `before` and `after` are planes of `pix_fmt`, the latter `scale` times larger. At most 20 kB;
    "" if no quality makes it small enough.
    """
    shape = layout(pix_fmt)
    height, width = before[0].shape
    high, wide = min(height, _HEIGHT // scale), min(width, _WIDTH // scale)
    top, left = (height - high) // 4 * 2, (width - wide) // 4 * 2
    was = _crop(before, shape, top, left, high, wide)
    now = _crop(after, shape, top * scale, left * scale, high * scale, wide * scale)
    size = (high * scale, wide * scale)
    was = np.asarray([resample(p, size, Fraction(scale), 255) for p in was], np.uint8)
    line = np.broadcast_to(_LINE[:, None, None], (3, high * scale, 2))
    return encoded(np.concatenate((was, line, now), axis=2), colour)


def encoded(picture: _Picture, colour: Colour) -> str:
    """Returns a picture [3, rows, columns] as a JPEG in base64 of at most 20 kB, or ""."""
    for quality in _QUALITIES:
        text = base64.b64encode(_jpeg(picture, colour, quality)).decode()
        if 0 < len(text) <= MOST_BYTES:
            return text
    return ""


def _crop(
    planes: Sequence[Plane], shape: Layout, top: int, left: int, high: int, wide: int
) -> _Picture:
    """Returns a rectangle of a frame in 4:4:4 and 8 bits; `top` and `left` are even."""
    y = planes[0][top : top + high, left : left + wide]
    found = [y]
    for plane in planes[1:]:
        rows = np.arange(top, top + high) >> shape.shift_y
        columns = np.arange(left, left + wide) >> shape.shift_x
        found.append(plane[np.ix_(rows, columns)])
    if len(found) == 1:
        found += [np.full_like(y, 128 << (shape.depth - 8))] * 2
    return np.asarray([plane >> (shape.depth - 8) for plane in found], np.uint8)


def _jpeg(picture: _Picture, colour: Colour, quality: int) -> bytes:
    _, high, wide = picture.shape
    source = ffmpeg.raw_frames(
        {"c:v": "rawvideo", "tag:v": int.from_bytes(b"444P", "little"), "probesize": 32}
    )
    known = {"in_color_matrix": colour.matrix} if colour.matrix in _MATRICES else {}
    conversion: dict[str, str | int] = {
        **known,
        "in_range": colour.range or "tv",
        "out_range": "pc",
        "out_color_matrix": "bt601",
    }
    made = ffmpeg.filtered(
        source["v"], (Filter("scale", conversion), Filter("format", {"pix_fmts": "yuvj420p"}))
    )
    output = ffmpeg.target([made], "pipe:1", {"f": "mjpeg", "q:v": quality, "frames:v": 1})
    with Tool(ffmpeg.command([output]), feed=True) as tool:
        tool.stdin.write(
            struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"I420", wide, high, 25, 1, 0, 0)
        )
        tool.stdin.write(struct.pack("<Iq", picture.nbytes, 0))
        tool.stdin.write(np.ascontiguousarray(picture).data.cast("B"))
        tool.stdin.close()
        return tool.read() if tool.finish() == 0 else b""


_MATRICES = frozenset(("bt709", "bt470bg", "smpte170m", "fcc", "smpte240m", "bt2020nc"))
