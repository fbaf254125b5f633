"""Reads the picture of a page: which readers, in which passes, and what of it is believed.

The first pass is cheap and decides the rest. Where it is sure, it is believed. Where it is not, the
second reader looks too, or the page is turned, or read again in its own language; every pass stays
in `Page.readings` as evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from millrace.tasks.documents.pages import Line, Page, Reading
from millrace.tasks.documents.reading.fusion import fuse
from millrace.tasks.documents.reading.language import language_of
from millrace.tasks.documents.reading.layout import blocks_of, in_order
from millrace.tasks.documents.reading.orientation import narrow, skew, upright
from millrace.tasks.documents.reading.params import ReadParams
from millrace.tasks.documents.reading.tables import tables_of
from millrace.tasks.documents.reading.tesseract import Tesseract, tesseract

if TYPE_CHECKING:
    from PIL.Image import Image

_SURE = 0.93  # mean confidence of a first pass that needs no second reader
_DOUBTFUL = 0.05  # most of its letters that may stand in words below _LOW
_LOW = 0.7
_LOST = (
    0.55  # mean confidence below which a pass saw no text that stands upright, or not its script
)
_ASTRAY = 0.83  # mean confidence of the second reader below which a page may stand on its head
_FEW = 12  # letters, below which a pass has seen nothing
_TOLD = 1.5  # how sure the detection of orientation must be, on Tesseract's scale
_BETTER = 1.2  # how much better another turn must read before it is taken
_HAN = frozenset({"Han", "HanS", "HanT", "Japanese"})
_SLIP, _SHEET = "psm 6", "psm 3"
_OTHERS = {_SLIP: ("psm 4", "psm 11"), _SHEET: ("psm 6", "psm 11")}


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


@dataclass(frozen=True, slots=True)
class Sight:
    """How much a pass saw: letters, their mean confidence, the share of them in doubtful words."""

    letters: int
    mean: float
    doubtful: float

    @property
    def sure(self) -> bool:
        """Whether it can be believed alone."""
        return self.letters >= _FEW and self.mean >= _SURE and self.doubtful <= _DOUBTFUL

    @property
    def lost(self) -> bool:
        """Whether it hardly saw text: a page on its side or head, in another script, or empty."""
        return self.letters < _FEW or self.mean < _LOST

    @property
    def score(self) -> float:
        """Orders passes over the same page."""
        return self.letters * self.mean**2


def sight(lines: Sequence[Line]) -> Sight:
    """Returns how much a pass saw."""
    words = [word for line in lines for word in line.words]
    letters = sum(len(word.text) for word in words)
    if not letters:
        return Sight(0, 0.0, 1.0)
    mean = sum(word.confidence * len(word.text) for word in words) / letters
    doubtful = sum(len(word.text) for word in words if word.confidence < _LOW) / letters
    return Sight(letters, mean, doubtful)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A page as it lies before the readers."""

    image: Image
    dpi: float
    mode: str
    language: str
    rotation: int = 0
    skew: float = 0.0


def read_page(image: Image, *, number: int, dpi: float, params: ReadParams) -> Page:
    """Returns a page as it is read from its picture, boxes in pixels of the upright picture:
    `orientation.upright(image, rotation=page.rotation, skew=page.skew)`.

    `image` is "L" or "RGB" at `dpi` pixels an inch. A page is read on one core, its passes one
    after the other: as many processes as there are cores read as many pages at once.
    Raises ToolMissing without Tesseract or a language's data, ItemError (`too_slow`).
    """
    first = tesseract(float(params.page_seconds))
    grey = image if image.mode == "L" else image.convert("L")
    sheet = _level(grey, dpi, params)
    passes = [_pass(first, sheet)]
    seen = sight(passes[0].lines)
    second: Reading | None = None
    if not seen.lost and _wanted(seen, params):
        second = _second(sheet)
    if seen.lost or (second and _astray(second)):
        if found := _found(first, grey, sheet, params, seen.score):
            sheet, passes, second = found[0], [found[1]], None
            seen = sight(passes[0].lines)
        if second is None and _wanted(seen, params):
            second = _second(sheet)
    best = second or passes[0]
    language = _language(best, sheet, params)
    if language != sheet.language and set(language.split("+")) <= first.languages:
        sheet = replace(sheet, language=language)
        passes.insert(0, _pass(first, sheet))
    if params.speed == "thorough":
        passes += [_pass(first, replace(sheet, mode=mode)) for mode in _OTHERS[sheet.mode]]
    return _page(number, sheet, passes, second)


def _page(number: int, sheet: _Sheet, passes: Sequence[Reading], second: Reading | None) -> Page:
    lines, readings = passes[0].lines, tuple(passes)
    notes: tuple[str, ...] = ()
    if second is not None and sight(lines).sure:
        readings = (*passes, second)
    elif second is not None:
        fused = fuse(passes[0].lines, second.lines)
        lines = in_order(fused.segments)
        readings = (second, *passes)
        notes = (f"the readers agree on {fused.agreement:.0%} of the letters",)
    return Page(
        number=number,
        width=sheet.image.width,
        height=sheet.image.height,
        dpi=sheet.dpi,
        origin="ocr" if lines else "none",
        lines=lines,
        blocks=blocks_of(lines),
        tables=tables_of(sheet.image, lines),
        readings=readings,
        language=sheet.language,
        rotation=sheet.rotation,
        skew=sheet.skew,
        notes=notes,
    )


def _level(grey: Image, dpi: float, params: ReadParams, rotation: int = 0) -> _Sheet:
    turned = upright(grey, rotation=rotation, skew=0.0)
    askew = skew(turned)
    level = upright(turned, rotation=0, skew=askew)
    languages = "eng" if params.languages == "auto" else "+".join(params.languages)
    return _Sheet(level, dpi, _SLIP if narrow(level) else _SHEET, languages, rotation, askew)


def _pass(reader: OcrEngine, sheet: _Sheet) -> Reading:
    reading = reader.read(sheet.image, language=sheet.language, mode=sheet.mode, dpi=sheet.dpi)
    return replace(reading, mode=f"{sheet.mode} {sheet.language}")


def _second(sheet: _Sheet) -> Reading:
    # Loaded only where it is asked for: it takes a second, and most of this process's memory.
    from millrace.tasks.documents.reading.rapid import MODE, rapid

    reader = rapid(1)
    return reader.read(sheet.image, language=sheet.language, mode=MODE, dpi=sheet.dpi)


def _wanted(first: Sight, params: ReadParams) -> bool:
    return params.speed == "thorough" or (params.speed == "balanced" and not first.sure)


def _astray(second: Reading) -> bool:
    """Whether the page seems to lie on its side or head: its text reads badly, or stands tall."""
    tall = sum(line.box.height > 1.5 * line.box.width for line in second.lines if _long(line))
    return sight(second.lines).mean < _ASTRAY or 2 * tall > sum(map(_long, second.lines))


def _long(line: Line) -> bool:
    return len(line.text) >= 3


def _found(
    reader: Tesseract, grey: Image, sheet: _Sheet, params: ReadParams, before: float
) -> tuple[_Sheet, Reading] | None:
    """Returns a page set upright, or in another script, and its first pass; None where that reads
    no better. Tesseract's detection tells the turn where it is sure, else all are tried."""
    told = reader.turn(grey, dpi=sheet.dpi)
    language = sheet.language
    if told and told.script in _HAN and params.languages == "auto":
        language = "chi_sim" if "chi_sim" in reader.languages else language
    sure = told is not None and told.sure >= _TOLD
    best: tuple[_Sheet, Reading] | None = None
    for angle in (told.rotation,) if told and sure else (0, 90, 180, 270):
        if angle == sheet.rotation and language == sheet.language:
            continue
        tried = replace(_level(grey, sheet.dpi, params, angle), language=language)
        reading = _pass(reader, tried)
        if (score := sight(reading.lines).score) > before * _BETTER:
            best, before = (tried, reading), score
    return best


def _language(reading: Reading, sheet: _Sheet, params: ReadParams) -> str:
    """Returns the language to read a page in: of those expected, or found out."""
    if params.languages != "auto":
        return sheet.language
    return language_of("\n".join(line.text for line in reading.lines)) or sheet.language
