"""Colour of a video: tags, HDR10 metadata, and pixel formats as planes.

Names are FFmpeg's (`bt709`, `smpte2084`, `tv`, `yuv420p10le`), "" where the file says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from millrace.engine.errors import BadInput

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class Mastering(BaseModel):
    """SMPTE ST 2086 mastering display: chromaticities (x, y) of red, green, blue and white, and
    luminance (least, greatest) in cd/m²."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    luminance: tuple[Fraction, Fraction]

    def rounded(self) -> tuple[tuple[float, ...], ...]:
        """Returns the figures to the precision that every encoder keeps: three digits."""
        pairs = (self.red, self.green, self.blue, self.white, self.luminance)
        return tuple(tuple(round(float(value), 3) for value in pair) for pair in pairs)


class Light(BaseModel):
    """CTA-861.3 content light level: brightest pixel and brightest frame average, in cd/m²."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_content: int
    max_average: int


class Colour(BaseModel):
    """What the samples of a video mean. `range` is `tv` (limited), `pc` (full) or ""."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    primaries: str = ""
    transfer: str = ""
    matrix: str = ""
    range: str = ""
    chroma_location: str = ""
    mastering: Mastering | None = None
    light: Light | None = None


@dataclass(frozen=True)
class Layout:
    """How a pixel format lies in memory: planar, one or three planes, little endian."""

    planes: int
    depth: int
    shift_x: int
    shift_y: int

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The sample type: uint8, or uint16 for more than 8 bits."""
        return np.dtype(np.uint8) if self.depth == 8 else np.dtype("<u2")

    def shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """Returns (height, width) of each plane of a frame; chroma of odd sizes is rounded up."""
        chroma = (-(-height >> self.shift_y), -(-width >> self.shift_x))
        return ((height, width), *((chroma,) * (self.planes - 1)))

    def frame_bytes(self, width: int, height: int) -> int:
        """Returns the size of one frame in bytes."""
        return sum(h * w for h, w in self.shapes(width, height)) * self.dtype.itemsize

    def split(
        self, frame: bytes | bytearray | memoryview, width: int, height: int
    ) -> tuple[Plane, ...]:
        """Returns the planes of a frame, shaped (height, width), as views of its bytes."""
        flat: npt.NDArray[Any] = np.frombuffer(frame, self.dtype)
        found: list[npt.NDArray[Any]] = []
        at = 0
        for rows, columns in self.shapes(width, height):
            found.append(flat[at : at + rows * columns].reshape(rows, columns))
            at += rows * columns
        return tuple(found)


def colour_of(found: Mapping[str, Any], sides: Sequence[Mapping[str, Any]], pix_fmt: str) -> Colour:
    """Returns the colour that ffprobe tells of a stream or frame and its side data."""

    def tag(name: str) -> str:
        value = found.get(name, "")
        return "" if value in ("unknown", "unspecified", "reserved") else value

    full = pix_fmt.startswith("yuvj")
    return Colour(
        primaries=tag("color_primaries"),
        transfer=tag("color_transfer"),
        matrix=tag("color_space"),
        range="pc" if full else tag("color_range"),
        chroma_location=tag("chroma_location"),
        mastering=next((m for m in map(_mastering, sides) if m), None),
        light=next((m for m in map(_light, sides) if m), None),
    )


def _mastering(side: Mapping[str, Any]) -> Mastering | None:
    if side["side_data_type"] != "Mastering display metadata" or "red_x" not in side:
        return None

    def pair(first: str, second: str) -> tuple[Fraction, Fraction]:
        return Fraction(side[first]), Fraction(side[second])

    return Mastering(
        red=pair("red_x", "red_y"),
        green=pair("green_x", "green_y"),
        blue=pair("blue_x", "blue_y"),
        white=pair("white_point_x", "white_point_y"),
        luminance=pair("min_luminance", "max_luminance"),
    )


def _light(side: Mapping[str, Any]) -> Light | None:
    if side["side_data_type"] != "Content light level metadata":
        return None
    return Light(max_content=int(side["max_content"]), max_average=int(side["max_average"]))


_ALPHA = re.compile(r"yuva|rgba|bgra|argb|abgr|gbrap|ya8|ya16|pal8|ayuv")


def depth(pix_fmt: str) -> int:
    """Returns the bits of a sample in any pixel format of FFmpeg."""
    if pix_fmt.startswith(("rgb48", "bgr48", "rgba64", "bgra64", "ya16", "xyz12")):
        return 12 if "12" in pix_fmt else 16
    match = re.search(r"(?:p|gray|p0|p2|p4|x2rgb|x2bgr)(9|10|12|14|16|32)(?:le|be)", pix_fmt)
    return int(match[1]) if match else 8


def has_alpha(pix_fmt: str) -> bool:
    """Returns whether a pixel format carries transparency."""
    return bool(_ALPHA.match(pix_fmt))


_SUBSAMPLING = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}


def layout(pix_fmt: str) -> Layout:
    """Returns how a planar format that we work in lies in memory.

    Known are `gray`, `yuv420p`, `yuv422p`, `yuv444p`, and each with `10le` or `12le`.
    Raises BadInput `unsupported` for others.
    """
    name, depth = pix_fmt, 8
    for suffix, bits in (("10le", 10), ("12le", 12)):
        if name.endswith(suffix):
            name, depth = name.removesuffix(suffix), bits
    if name == "gray":
        return Layout(1, depth, 0, 0)
    if name.startswith("yuv") and name.endswith("p") and name[3:6] in _SUBSAMPLING:
        shift_x, shift_y = _SUBSAMPLING[name[3:6]]
        return Layout(3, depth, shift_x, shift_y)
    raise BadInput("unsupported", f"the pixel format {pix_fmt} is not one we work in")
