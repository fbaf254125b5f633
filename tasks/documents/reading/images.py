"""Pillow: pictures opened, turned upright by their own record, and made small. The one module that
opens and saves picture files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from millrace.engine.errors import BadInput
from millrace.tasks.documents.reading.opening import JPEG, PNG, TIFF

PREVIEW_HEIGHT = 1000  # pixels
PREVIEW_QUALITY = 40
USUAL_DPI = 300.0
_FORMATS = {TIFF: ("TIFF",), JPEG: ("JPEG", "MPO"), PNG: ("PNG",)}
_PRINTED_INCHES = 11.0  # of the longer side, where a picture does not say its resolution
_COLOURS = {"L": "DeviceGray", "RGB": "DeviceRGB", "CMYK": "DeviceCMYK"}
_ORIENTATION = 0x0112
_TURNS = {1: 0, 3: 180, 6: 90, 8: 270}  # of EXIF; the others mirror
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError)


class Picture:
    """An opened picture file. Nothing is decoded before a page is asked for."""

    def __init__(self, path: Path, media_type: str, name: str) -> None:
        """Opens a file of a known type. Raises BadInput (`damaged`)."""
        Image.MAX_IMAGE_PIXELS = None  # the bound is ours, and is looked at before decoding
        self._name = name
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._image = Image.open(path, formats=_FORMATS[media_type])
                many = media_type == TIFF
                self.count = int(getattr(self._image, "n_frames", 1)) if many else 1
        except (UnidentifiedImageError, *_DAMAGE) as error:
            raise self._damaged(error) from None

    def size(self, number: int) -> tuple[int, int]:
        """Returns a page's pixels, width and height. Raises BadInput (`damaged`)."""
        self._turn_to(number)
        return self._image.size

    def load(self, number: int, most: int) -> tuple[Image.Image, float]:
        """Returns a page in grey, upright by its record, and its pixels an inch.

        Raises BadInput: `too_large` above `most` pixels, `damaged`.
        """
        width, height = self.size(number)
        if width * height > most:
            raise too_large(self._name, number, width, height, most)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = _grey(ImageOps.exif_transpose(self._image))
        except _DAMAGE as error:
            raise self._damaged(error) from None
        return image, _dpi(self._image, width, height)

    def embedded(self, number: int, path: Path) -> Embedded:
        """Returns a page as a PDF holds it. Raises BadInput (`damaged`)."""
        width, height = self.size(number)
        image, dpi = self._image, _dpi(self._image, width, height)
        turned = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        colours = _COLOURS.get(image.mode)
        if image.format in ("JPEG", "MPO") and colours and turned is not None:
            ink = image.mode == "CMYK" and "adobe" in image.info
            return Embedded(path.read_bytes(), True, width, height, 8, colours, dpi, turned, ink)
        try:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "1":
                data, bits, colours = upright.tobytes(), 1, "DeviceGray"
            else:
                upright = upright if upright.mode in ("L", "RGB") else _plain(upright)
                data, bits, colours = upright.tobytes(), 8, _COLOURS[upright.mode]
        except _DAMAGE as error:
            raise self._damaged(error) from None
        return Embedded(data, False, upright.width, upright.height, bits, colours, dpi)

    def _turn_to(self, number: int) -> None:
        try:
            self._image.seek(number - 1)
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> BadInput:
        return BadInput(
            "damaged",
            f"{self._name} cannot be decoded ({type(error).__name__})",
            hint="fetch or scan the file again",
        )


@dataclass(frozen=True)
class Embedded:
    """A picture as a PDF holds it. `turned`: degrees clockwise to show it by; `inverted`: ink
    counts down, as in the CMYK that Adobe writes."""

    data: bytes
    is_jpeg: bool
    width: int
    height: int
    bits: int
    colours: str
    dpi: float
    turned: int = 0
    inverted: bool = False


def embedded(path: Path, media_type: str, name: str) -> Iterator[Embedded]:
    """Yields the pages of a picture file without loss, a JPEG's bytes as they are.

    Raises BadInput (`damaged`).
    """
    picture = Picture(path, media_type, name)
    for number in range(1, picture.count + 1):
        yield picture.embedded(number, path)


def too_large(name: str, number: int, width: float, height: float, most: int) -> BadInput:
    """Returns the refusal of a page of too many pixels."""
    return BadInput(
        "too_large",
        f"page {number} of {name} has {width:.0f}×{height:.0f} pixels, more than "
        f"{most / 1e6:g} million",
        hint="scan it at fewer pixels an inch, or raise max_pixels",
    )


def preview(image: Image.Image) -> tuple[bytes, float]:
    """Returns a small grey JPEG of an upright page, and its pixels per pixel of the page."""
    scale = min(1.0, PREVIEW_HEIGHT / max(image.height, 1))
    grey = image if image.mode == "L" else image.convert("L")
    if scale < 1:
        size = max(1, round(grey.width * scale)), max(1, round(grey.height * scale))
        grey = grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    grey.save(out, "JPEG", quality=PREVIEW_QUALITY, optimize=True)
    return out.getvalue(), scale


def is_blank(image: Image.Image) -> bool:
    """Whether nothing is to be seen on a grey picture."""
    counts = image.histogram()
    seen = [level for level, count in enumerate(counts) if count]
    return not seen or seen[-1] - seen[0] < 16


def painted_over(image: Image.Image, boxes: list[tuple[float, float, float, float]]) -> Image.Image:
    """Returns a picture with boxes (left, top, right, bottom) painted white."""
    copy = image.copy()
    for left, top, right, bottom in boxes:
        place = (int(left), int(top), int(right) + 1, int(bottom) + 1)
        copy.paste(255, place)
    return copy


def _plain(image: Image.Image) -> Image.Image:
    """Returns a picture of any kind in grey or RGB, on white."""
    if image.mode.startswith(("I", "F")) or image.mode in ("LA", "1"):
        return _grey(image)
    if image.mode in ("RGBA", "PA") or "transparency" in image.info:
        solid = image.convert("RGBA")
        white = Image.new("RGBA", solid.size, "white")
        return Image.alpha_composite(white, solid).convert("RGB")
    return image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        solid = image.convert("RGBA")
        white = Image.new("RGBA", solid.size, "white")
        return Image.alpha_composite(white, solid).convert("L")
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image, dtype=np.float32)
        low, high = float(levels.min()), float(levels.max())
        return Image.fromarray(((levels - low) * (255 / ((high - low) or 1))).astype(np.uint8))
    return image.convert("L")


def _dpi(image: Image.Image, width: int, height: int) -> float:
    """Returns what the file says, where it can be true; else what makes it a page."""
    said = image.info.get("dpi")
    try:
        told = float(max(said)) if said else 0.0
    except (TypeError, ValueError, ZeroDivisionError):
        told = 0.0
    if 100 <= told <= 1200:
        return round(told, 2)
    return round(min(max(max(width, height) / _PRINTED_INCHES, 100.0), USUAL_DPI), 2)
