"""What a document looks like once it is read: pages, lines, words, boxes, and who read them.

`page_json` writes and reads it. Boxes are in the units of the
upright, straightened page: pixels of the image at `Page.dpi`, or points for a page whose text layer
was taken. The origin is the top left corner. Pages are numbered from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MEDIA_TYPE = "application/vnd.millrace.document+json"

Origin = Literal["text", "mixed", "ocr", "none"]
"""Where a page's words are from: its own text layer, layer and OCR together, OCR, nowhere."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Its width, in the page's units."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Its height, in the page's units."""
        return self.y1 - self.y0

    def joined(self, other: Box) -> Box:
        """Returns the smallest box around both."""
        return Box(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
        )


@dataclass(frozen=True, slots=True)
class Word:
    """A word and how sure its reader is of it, 0 to 1 (1 for a trusted text layer)."""

    text: str
    box: Box
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of words in reading order. `text` has the spaces that the script wants: none between
    Han characters."""

    text: str
    box: Box
    words: tuple[Word, ...]

    @property
    def confidence(self) -> float:
        """The mean of its words' confidence, weighted by their length; 0 where there is none."""
        length = sum(len(word.text) for word in self.words)
        return sum(w.confidence * len(w.text) for w in self.words) / length if length else 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table. Empty cells have an empty text."""

    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class Table:
    """A simple table: rows of cells, all rows with as many."""

    box: Box
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader in one pass saw on a page. `mode` says how: "psm 6", "fast", "layer"."""

    reader: str
    version: str
    mode: str
    lines: tuple[Line, ...]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a page could not be read: a short word, and a sentence for a person."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    `lines` are what is believed, in reading order; `blocks` are runs of their indexes that belong
    together (paragraphs, columns). `readings` are all passes that were made, the one `lines` was
    taken from first; a trusted text layer has one. `rotation` (degrees clockwise: 0, 90, 180, 270)
    and `skew` (degrees) are what was corrected. `preview` is a small grey JPEG of the upright page
    for crops, empty where nothing was rendered; `preview_scale` is its pixels per unit of the page.
    """

    number: int
    width: float
    height: float
    dpi: float
    origin: Origin
    lines: tuple[Line, ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()
    tables: tuple[Table, ...] = ()
    readings: tuple[Reading, ...] = ()
    language: str = ""
    rotation: int = 0
    skew: float = 0.0
    preview: bytes = b""
    preview_scale: float = 1.0
    trouble: Trouble | None = None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The believed lines, one below the other."""
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read. `digest` is the SHA-256 of the file, `name` what people call it."""

    name: str
    digest: str
    media_type: str
    pages: tuple[Page, ...]

    @property
    def text(self) -> str:
        """The text of all pages, a form feed between them."""
        return "\f".join(page.text for page in self.pages)

    def words(self) -> Iterator[tuple[Page, Word]]:
        """Yields every believed word with its page, in reading order."""
        for page in self.pages:
            for line in page.lines:
                for word in line.words:
                    yield page, word
