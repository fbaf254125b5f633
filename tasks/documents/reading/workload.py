"""How much there is to read in a document, and how it is cut. `load` 1 is a printed page read by
OCR; a page whose text is there already is a hundredth of that and less."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pydantic import JsonValue

from millrace.engine.errors import BadInput
from millrace.engine.stages import Outline, Span, Staged
from millrace.tasks.documents.reading import opening
from millrace.tasks.documents.reading.isolation import Reader, Source

SPAN_LOAD = 4.0  # of a batch: small enough that two cores end together
SPAN_PAGES = 500
_TEXT_LOAD = 0.004
_PRINT_MEGAPIXELS = 8.7  # of a printed page, A4 at 300 pixels an inch
_LEAST, _MOST = 0.12, 3.0


def outline_of(item: Staged, reader: Reader) -> Outline:
    """Returns what a document is: digest, and the size of its pages, those alike together as
    [width, height, has text, how many]. A locked document's pages are not known. Raises BadInput.
    """
    media_type = opening.media_type(item.path, item.name)
    with item.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    facts: dict[str, JsonValue] = {"digest": digest, "locked": False}
    try:
        seen = reader.survey(Source(item.path, media_type, item.name))
    except BadInput as refusal:
        if refusal.code != "needs_password":
            raise
        facts |= {"locked": True, "sizes": []}
    else:
        facts["sizes"] = _together(seen)
    return Outline(media_type=media_type, size=item.path.stat().st_size, facts=facts)


def is_locked(outline: Outline) -> bool:
    """Whether a password is needed. A locked document is one batch of one unit."""
    return bool(outline.facts.get("locked"))


def count(outline: Outline) -> int:
    """Returns the number of pages; 1 for a locked document, and for a forecast its own."""
    if is_locked(outline):
        return 1
    if "sizes" not in outline.facts:
        return int(str(outline.facts.get("pages", 1)))
    return sum(int(many) for *_, many in _sizes(outline))


def load(outline: Outline) -> float:
    """Returns the load of all pages."""
    if is_locked(outline) or "sizes" not in outline.facts:
        return float(count(outline))
    return sum(_loads(outline))


def spans(outline: Outline) -> list[Span]:
    """Returns the document cut into spans of pages of about the same load."""
    if is_locked(outline) or "sizes" not in outline.facts:
        return [Span(stop=count(outline))]
    loads = list(_loads(outline))
    even = sum(loads) / max(1, round(sum(loads) / SPAN_LOAD))
    found: list[Span] = []
    start, held = 0, 0.0
    for number, one in enumerate(loads, 1):
        held += one
        last = number == len(loads)
        if last or held >= even - 1e-9 or number - start >= SPAN_PAGES:
            found.append(Span(start=start, stop=number))
            start, held = number, 0.0
    return found


def _loads(outline: Outline) -> Iterator[float]:
    picture = outline.media_type != opening.PDF
    for width, height, texty, many in _sizes(outline):
        one = 1.0
        if texty:
            one = _TEXT_LOAD
        elif picture:
            one = min(max(width * height / 1e6 / _PRINT_MEGAPIXELS, _LEAST), _MOST)
        yield from [one] * int(many)


def _sizes(outline: Outline) -> list[list[float]]:
    told = outline.facts["sizes"]
    return (
        [[float(str(n)) for n in row] for row in told if isinstance(row, list)]
        if isinstance(told, list)
        else []
    )


def _together(seen: list[list[float]]) -> JsonValue:
    rows: list[list[float]] = []
    for page in seen:
        if rows and rows[-1][:3] == page:
            rows[-1][3] += 1
        else:
            rows.append([*page, 1])
    return [list[JsonValue](row) for row in rows]
