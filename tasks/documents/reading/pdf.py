"""pdfium: PDFs opened, their text taken with its boxes, pages rendered. The one module that knows
pypdfium2. It is meant to run in a child process (`isolation`): hostile files crash or hang it.

Lengths are points of the page as it is seen: turned by its /Rotate, cut to its crop box, the origin
at the top left.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pypdfium2
import pypdfium2.raw as raw

from millrace.engine.errors import BadInput
from millrace.tasks.documents.pages import Box
from millrace.tasks.documents.reading.opening import needs_password

if TYPE_CHECKING:
    from PIL.Image import Image

READER = "pdfium"
_XFA_FULL = 2
_CATALOG = 1 << 16  # bytes at either end of a file in which its catalog is looked for
_RENDERING = re.compile(rb"<<[^<>]*/NeedsRendering\s+true")
_MOST_OBJECTS = 20_000  # looked at on a page
_SAMPLES = 64  # words of a page whose glyphs are looked at
_DEPTH = 4  # of forms within forms
_SHOWN = {raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_STAMP}
_WORD = re.compile(r"[^\s\ufffe\x02]+[\ufffe\x02]?|\r\n|\n|\r")


@dataclass(frozen=True)
class Layer:
    """The text of a page. `words` are (text, left, top, right, bottom), `lines` the numbers of the
    words at which a line begins. `unmapped` and `invisible` are shares of the words looked at."""

    words: list[tuple[str, float, float, float, float]]
    lines: list[int]
    unmapped: float = 0.0
    invisible: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """What else is on a page: pictures with their pixels, and how many paths and other objects."""

    pictures: tuple[tuple[Box, int, int], ...]
    paths: int
    others: int


def version() -> str:
    """Returns the version of pdfium."""
    return str(pypdfium2.version.PDFIUM_INFO)


class Pdf:
    """An opened PDF."""

    def __init__(self, path: Path, name: str, passwords: Sequence[str]) -> None:
        """Opens a file. Raises BadInput: `needs_password`, `damaged`, `no_content`,
        `unsupported`."""
        self._name = name
        self._pdf = _opened(path, name, passwords)
        if self._pdf.get_formtype() == _XFA_FULL or _needs_rendering(path):
            raise BadInput(
                "unsupported",
                f"{name} is a form that is put together by a program in it (XFA)",
                hint="open it in Adobe Reader and print it to a PDF",
            )
        self.count = len(self._pdf)
        if self.count < 1:
            raise BadInput("no_content", f"{name} has no pages")

    def page(self, number: int) -> PdfPage:
        """Returns a page, from 1. Raises BadInput (`damaged`)."""
        try:
            return PdfPage(self._pdf, number)
        except pypdfium2.PdfiumError:
            raise BadInput("damaged", f"page {number} of {self._name} cannot be opened") from None

    def close(self) -> None:
        """Lets go of the file."""
        self._pdf.close()


class PdfPage:
    """One page of a PDF. A context manager."""

    def __init__(self, pdf: Any, number: int) -> None:
        self._page = pdf[number - 1]
        if _has_shown_notes(self._page):
            # Fields and notes become part of the page, so that their text is seen.
            raw.FPDFPage_Flatten(self._page.raw, raw.FLAT_NORMALDISPLAY)
            self._page.close()
            self._page = pdf[number - 1]
        self.width, self.height = self._page.get_size()
        self._turned = self._page.get_rotation()
        box = raw.FS_RECTF()
        raw.FPDF_GetPageBoundingBox(self._page, box)
        self._box = (box.left, box.bottom, box.right, box.top)

    def __enter__(self) -> PdfPage:
        return self

    def __exit__(self, *error: object) -> None:
        self._page.close()

    def layer(self) -> Layer:
        """Returns the page's text. Words that lie off the page are left out."""
        textpage = self._page.get_textpage()
        try:
            return self._layer(textpage)
        finally:
            textpage.close()

    def characters(self) -> int:
        """Returns how many characters the page's text has."""
        textpage = self._page.get_textpage()
        try:
            return int(textpage.count_chars())
        finally:
            textpage.close()

    def drawn(self) -> Drawn:
        """Returns what is drawn beside the text."""
        pictures: list[tuple[Box, int, int]] = []
        paths = others = 0
        for depth, item in enumerate(_objects(self._page)):
            if depth >= _MOST_OBJECTS:
                break
            kind, outer, handle = item
            if kind == raw.FPDF_PAGEOBJ_IMAGE:
                wide, high = ctypes.c_uint(), ctypes.c_uint()
                raw.FPDFImageObj_GetImagePixelSize(handle, wide, high)
                pictures.append((self._seen(_bounds(outer)), wide.value, high.value))
            elif kind == raw.FPDF_PAGEOBJ_PATH:
                paths += 1
            elif kind == raw.FPDF_PAGEOBJ_SHADING:
                others += 1
        return Drawn(tuple(pictures), paths, others)

    def render(self, dpi: float) -> Image:
        """Returns the page in grey."""
        bitmap = self._page.render(scale=dpi / 72, grayscale=True, optimize_mode=None)
        try:
            image: Image = bitmap.to_pil().copy()
        finally:
            bitmap.close()
        return image if image.mode == "L" else image.convert("L")

    def _layer(self, textpage: Any) -> Layer:
        handle, count = textpage.raw, textpage.count_chars()
        text = _text(handle, count)
        words: list[tuple[str, float, float, float, float]] = []
        lines = [0]
        starts: list[int] = []
        left, top, right, bottom = (ctypes.c_double() for _ in range(4))
        places = tuple(map(ctypes.byref, (left, top, right, bottom)))
        count_rects, get_rect, seen = raw.FPDFText_CountRects, raw.FPDFText_GetRect, self._place
        wide, high = self.width, self.height
        for match in _WORD.finditer(text):
            word = match.group()
            if word[0] in "\r\n":
                lines.append(len(words))
                continue
            start = match.start()
            if count_rects(handle, start, len(word)) < 1 or not get_rect(handle, 0, *places):
                continue
            x0, y0, x1, y1 = seen(left.value, top.value, right.value, bottom.value)
            if x1 <= 0 or y1 <= 0 or x0 >= wide or y0 >= high:
                continue
            broken = word[-1] in "\ufffe\x02"  # a hyphen at the end of a line
            words.append((f"{word[:-1]}-" if broken else word, x0, y0, x1, y1))
            starts.append(start)
            if broken:
                lines.append(len(words))
        step = max(1, len(starts) // _SAMPLES)
        looked_at = starts[::step]
        unmapped = sum(raw.FPDFText_HasUnicodeMapError(handle, at) == 1 for at in looked_at)
        hidden = sum(_is_hidden(handle, at) for at in looked_at)
        share = len(looked_at) or 1
        return Layer(words, lines, unmapped / share, hidden / share)

    def _seen(self, box: tuple[float, float, float, float]) -> Box:
        return Box(*self._place(box[0], box[3], box[2], box[1]))

    def _place(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """Returns a rectangle of the file's own space as it is seen."""
        x0, y0, x1, y1 = self._box
        match self._turned:
            case 90:
                return bottom - y0, left - x0, top - y0, right - x0
            case 180:
                return x1 - right, bottom - y0, x1 - left, top - y0
            case 270:
                return y1 - top, x1 - right, y1 - bottom, x1 - left
        return left - x0, y1 - top, right - x0, y1 - bottom


def _opened(path: Path, name: str, passwords: Sequence[str]) -> Any:
    for password in (None, *passwords):
        _forget_errors()
        try:
            return pypdfium2.PdfDocument(path, password=password)
        except pypdfium2.PdfiumError as error:
            if error.err_code != raw.FPDF_ERR_PASSWORD:
                raise BadInput(
                    "damaged",
                    f"{name} is no PDF that can be opened",
                    hint="fetch the file again, or repair it (`qpdf in.pdf out.pdf`)",
                ) from None
    raise needs_password(name, len(passwords))


def _needs_rendering(path: Path) -> bool:
    """Whether a catalog at either end of a file says that its pages are only a stand-in, of which
    pdfium tells nothing."""
    with path.open("rb") as file:
        head = file.read(_CATALOG)
        file.seek(max(0, path.stat().st_size - _CATALOG))
        tail = file.read()
    return any(_RENDERING.search(part) for part in (head, tail))


def _forget_errors() -> None:
    # pdfium does not set its last error in every way of failing, so that an older one would count.
    raw.FPDF_LoadMemDocument(b"", 0, None)


def _text(handle: Any, count: int) -> str:
    """Returns the text with one character for each of pdfium's, so that their numbers agree."""
    if count <= 0:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    written = raw.FPDFText_GetText(handle, 0, count, buffer)
    text = bytes(buffer)[: 2 * max(0, written - 1)].decode("utf-16-le", "replace")
    if len(text) == count:
        return text
    found = (raw.FPDFText_GetUnicode(handle, number) for number in range(count))
    return "".join(chr(code) if 0 < code < 0x110000 else "\ufffd" for code in found)


def _is_hidden(handle: Any, at: int) -> bool:
    thing = raw.FPDFText_GetTextObject(handle, at)
    return bool(
        thing and raw.FPDFTextObj_GetTextRenderMode(thing) == raw.FPDF_TEXTRENDERMODE_INVISIBLE
    )


def _has_shown_notes(page: Any) -> bool:
    for number in range(raw.FPDFPage_GetAnnotCount(page)):
        note = raw.FPDFPage_GetAnnot(page, number)
        if not note:
            continue
        kind = raw.FPDFAnnot_GetSubtype(note)
        raw.FPDFPage_CloseAnnot(note)
        if kind in _SHOWN:
            return True
    return False


def _objects(page: Any) -> Iterator[tuple[int, Any, Any]]:
    """Yields kind, outermost object, and object, of a page and of the forms on it."""
    for number in range(raw.FPDFPage_CountObjects(page)):
        handle = raw.FPDFPage_GetObject(page, number)
        yield from _within(handle, handle, _DEPTH)


def _within(handle: Any, outer: Any, depth: int) -> Iterator[tuple[int, Any, Any]]:
    kind = raw.FPDFPageObj_GetType(handle)
    yield kind, outer, handle
    if kind == raw.FPDF_PAGEOBJ_FORM and depth:
        for number in range(raw.FPDFFormObj_CountObjects(handle)):
            yield from _within(raw.FPDFFormObj_GetObject(handle, number), outer, depth - 1)


def _bounds(handle: Any) -> tuple[float, float, float, float]:
    edges = [ctypes.c_float() for _ in range(4)]
    if not raw.FPDFPageObj_GetBounds(handle, *edges):
        return (0.0, 0.0, 0.0, 0.0)
    return (edges[0].value, edges[1].value, edges[2].value, edges[3].value)
