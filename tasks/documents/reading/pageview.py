"""Reads single pages of an opened document: its own text, OCR, or both. Runs in the child process
of `isolation`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.engine.errors import BadInput
from millrace.tasks.documents.pages import Box, Line, Page, Reading
from millrace.tasks.documents.reading import opening, textlayer
from millrace.tasks.documents.reading.params import ReadParams

if TYPE_CHECKING:
    from PIL.Image import Image

    from millrace.tasks.documents.reading.images import Picture
    from millrace.tasks.documents.reading.pdf import Drawn, Layer, Pdf, PdfPage

LEAST_DPI = 36.0  # a page that would have to be rendered with fewer is refused
_SCAN = 0.5  # of the page, from which on a picture is what the page was scanned to
_SCAN_DPI = (120.0, 450.0)
_LOOKED_AT = 200  # pages of a document, when it is measured


class Opened:
    """An opened document of any accepted type."""

    def __init__(self, path: Path, media_type: str, name: str, passwords: Sequence[str]) -> None:
        """Opens a file. Raises BadInput."""
        self.name, self.media_type = name, media_type
        self._pdf: Pdf | None = None
        self._picture: Picture | None = None
        if media_type == opening.PDF:
            from millrace.tasks.documents.reading.pdf import Pdf

            self._pdf = Pdf(path, name, passwords)
            self.count = self._pdf.count
        else:
            from millrace.tasks.documents.reading.images import Picture

            self._picture = Picture(path, media_type, name)
            self.count = self._picture.count

    def survey(self) -> list[list[float]]:
        """Returns for each page its points or pixels, and whether it has text (1 or 0). Of a long
        document some pages are looked at; the others are taken to be like those before them."""
        step = max(1, self.count // _LOOKED_AT)
        told: list[list[float]] = []
        for number in range(1, self.count + 1):
            told.append(self._seen(number) if (number - 1) % step == 0 else told[-1])
        return told

    def read(self, number: int, params: ReadParams) -> Page:
        """Returns a page. Raises BadInput, ToolMissing, MemoryError."""
        if self._picture is not None:
            image, dpi = self._picture.load(number, params.max_pixels)
            return _by_ocr(image, number, dpi, params)
        if self._pdf is None:
            raise ValueError("nothing is open")
        with self._pdf.page(number) as page:
            return _of_pdf(page, number, params, self.name)

    def close(self) -> None:
        """Lets go of the file."""
        if self._pdf is not None:
            self._pdf.close()

    def _seen(self, number: int) -> list[float]:
        if self._picture is not None:
            width, height = self._picture.size(number)
            return [width, height, 0]
        try:
            assert self._pdf is not None  # noqa: S101
            with self._pdf.page(number) as page:
                return [round(page.width, 1), round(page.height, 1), int(page.characters() > 0)]
        except BadInput:
            return [0, 0, 0]


def _of_pdf(page: PdfPage, number: int, params: ReadParams, name: str) -> Page:
    from millrace.tasks.documents.reading import pdf

    began = time.perf_counter()
    layer, drawn = page.layer(), page.drawn()
    verdict = textlayer.judge(layer, drawn, page.width, page.height)
    if params.layers == "ignore" and verdict.choice != "ocr":
        verdict = textlayer.Verdict("ocr", "text layers are to be ignored")
    lines = textlayer.lines_of(layer)
    taken = Reading(pdf.READER, pdf.version(), "layer", lines, 0.0)
    if verdict.choice == "trusted":
        return _of_layer(number, page, taken)
    dpi = _dpi(page, drawn, params, number, name)
    if not layer.words and not (drawn.pictures or drawn.paths or drawn.others):
        return _empty(number, page.width, page.height, 72.0)
    image = page.render(dpi)
    if verdict.choice == "mixed":
        whole = _of_layer(number, page, taken)
        return _with_regions(whole, layer, verdict.regions, image, dpi, params)
    found = _by_ocr(image, number, dpi, params)
    notes = (verdict.reason,) if layer.words else ()
    if layer.words:
        seconds = max(0.0, time.perf_counter() - began)
        kept = replace(taken, lines=_scaled(lines, dpi / 72), seconds=round(seconds, 3))
        found = replace(found, readings=(*found.readings, kept))
    return replace(found, notes=(*found.notes, *notes))


def _of_layer(number: int, page: PdfPage, taken: Reading) -> Page:
    from millrace.tasks.documents.reading.layout import blocks_of

    return Page(
        number=number,
        width=page.width,
        height=page.height,
        dpi=72.0,
        origin="text",
        lines=taken.lines,
        blocks=blocks_of(taken.lines),
        readings=(taken,),
    )


def _with_regions(
    page: Page,
    layer: Layer,
    regions: Sequence[Box],
    image: Image,
    dpi: float,
    params: ReadParams,
) -> Page:
    """Returns a page with what is read in regions of it beside its own text, in points."""
    from millrace.tasks.documents.reading.images import painted_over, preview
    from millrace.tasks.documents.reading.layout import blocks_of, in_order
    from millrace.tasks.documents.reading.ocr import read_page

    scale = dpi / 72
    words = [(x0 * scale, y0 * scale, x1 * scale, y1 * scale) for _, x0, y0, x1, y1 in layer.words]
    clean = painted_over(image, words)
    lines: list[Line] = []
    readings: list[Reading] = []
    for region in regions:
        corner = (int(region.x0 * scale), int(region.y0 * scale))
        far = (int(region.x1 * scale) + 1, int(region.y1 * scale) + 1)
        piece = clean.crop((*corner, min(far[0], image.width), min(far[1], image.height)))
        found = read_page(piece, number=page.number, dpi=dpi, params=params)
        if found.rotation or not found.lines:
            continue  # its boxes are those of a region that was turned: no place on the page
        lines += _scaled(found.lines, 1 / scale, region.x0, region.y0)
        readings += [
            replace(r, lines=_scaled(r.lines, 1 / scale, region.x0, region.y0))
            for r in found.readings
        ]
    if not lines:
        return page
    believed = in_order([*page.lines, *lines])
    small, ratio = preview(image) if params.previews else (b"", 1.0)
    return replace(
        page,
        origin="mixed",
        lines=believed,
        blocks=blocks_of(believed),
        readings=(*page.readings, *readings),
        preview=small,
        preview_scale=ratio * scale,
    )


def _by_ocr(image: Image, number: int, dpi: float, params: ReadParams) -> Page:
    from millrace.tasks.documents.reading.images import is_blank, preview
    from millrace.tasks.documents.reading.ocr import read_page
    from millrace.tasks.documents.reading.orientation import upright

    if is_blank(image):
        return _empty(number, image.width, image.height, dpi)
    page = read_page(image, number=number, dpi=dpi, params=params)
    if not params.previews:
        return page
    small, scale = preview(upright(image, rotation=page.rotation, skew=page.skew))
    return replace(page, preview=small, preview_scale=scale)


def _empty(number: int, width: float, height: float, dpi: float) -> Page:
    return Page(number, width, height, dpi, "none", notes=("nothing is on it",))


def _scaled(lines: Sequence[Line], by: float, x: float = 0.0, y: float = 0.0) -> tuple[Line, ...]:
    """Returns lines with their boxes multiplied, then moved."""

    def box(of: Any) -> Box:
        b = of.box
        return Box(b.x0 * by + x, b.y0 * by + y, b.x1 * by + x, b.y1 * by + y)

    return tuple(
        Line(line.text, box(line), tuple(replace(w, box=box(w)) for w in line.words))
        for line in lines
    )


def _dpi(page: PdfPage, drawn: Drawn, params: ReadParams, number: int, name: str) -> float:
    """Returns at how many pixels an inch a page is rendered: those of its scan, where it is one,
    less where the page would be too large.

    Raises BadInput (`too_large`), before anything is decoded.
    """
    from millrace.tasks.documents.reading.images import too_large

    most = params.max_pixels
    dpi = float(params.dpi)
    for box, wide, high in drawn.pictures:
        if wide * high > 4 * most:  # pdfium decodes all of it, whatever it renders
            raise too_large(name, number, wide, high, 4 * most)
        if (
            min(box.width, box.height) > 0
            and box.width * box.height > _SCAN * page.width * page.height
        ):
            native = max(wide / box.width, high / box.height) * 72
            dpi = min(max(native, _SCAN_DPI[0]), _SCAN_DPI[1])
    inches = page.width * page.height / 72**2
    if inches * dpi**2 > most:
        dpi = (most / inches) ** 0.5
    if dpi < LEAST_DPI:
        scale = params.dpi / 72
        raise too_large(name, number, page.width * scale, page.height * scale, most)
    return round(dpi, 2)
