"""Reads the picture of a page: which readers, in which passes, and what of it is believed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from millrace.tasks.documents.pages import Page, Reading
from millrace.tasks.documents.reading.layout import blocks_of, in_order
from millrace.tasks.documents.reading.params import ReadParams
from millrace.tasks.documents.reading.tesseract import tesseract

if TYPE_CHECKING:
    from PIL.Image import Image


class OcrEngine(Protocol):
    """A reader of pages. Another one is another module with this shape."""

    @property
    def name(self) -> str:
        """What a reading is signed with."""

    @property
    def version(self) -> str:
        """The version of the reader and of its models."""

    def read(self, image: Image, *, language: str, mode: str, dpi: float) -> Reading:
        """Returns what one pass over an upright grey image sees."""


def read_page(image: Image, *, number: int, dpi: float, params: ReadParams) -> Page:
    """Returns a page as it is read from its picture, boxes in pixels of the upright picture.

    `image` is "L" or "RGB" at `dpi` pixels an inch.
    Raises ToolMissing without Tesseract or a language's data, ItemError (`too_slow`).
    """
    grey = image if image.mode == "L" else image.convert("L")
    languages = "eng" if params.languages == "auto" else "+".join(params.languages)
    first = tesseract(float(params.page_seconds))
    readings = [first.read(grey, language=languages, mode="psm 6", dpi=dpi)]
    lines = readings[0].lines
    if params.speed != "fast":
        from millrace.tasks.documents.reading.rapid import MODE, rapid

        reading = rapid(len(os.sched_getaffinity(0))).read(
            grey, language=languages, mode=MODE, dpi=dpi
        )
        lines = in_order(reading.lines)
        readings.insert(0, reading)
    if params.speed == "thorough":
        readings += [
            first.read(grey, language=languages, mode=mode, dpi=dpi) for mode in ("psm 4", "psm 11")
        ]
    return Page(
        number=number,
        width=grey.width,
        height=grey.height,
        dpi=dpi,
        origin="ocr",
        lines=lines,
        blocks=blocks_of(lines),
        readings=tuple(readings),
        language=languages,
    )
