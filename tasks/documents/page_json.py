"""A read document as JSON: what `documents.read` writes and `documents.extract` reads."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from millrace.tasks.documents.pages import (
    Box,
    Cell,
    Document,
    Line,
    Page,
    Reading,
    Table,
    Trouble,
    Word,
)

FORMAT = 1


def dump(document: Document) -> bytes:
    """Returns a document as JSON, always the same bytes for the same document.

    Words are lists `[text, x0, y0, x1, y1, confidence]`: a page has hundreds.
    """
    pages = [dump_page(page) for page in document.pages]
    return assembled(document.name, document.digest, document.media_type, pages)


def dump_page(page: Page) -> bytes:
    """Returns one page as JSON, for `assembled`."""
    return orjson.dumps(_page(page))


def assembled(name: str, digest: str, media_type: str, pages: Sequence[bytes]) -> bytes:
    """Returns a document of pages that are JSON already: what `dump` gives, without making it of
    objects again."""
    return _document(name, digest, media_type, [orjson.Fragment(page) for page in pages])


def numbers(data: bytes) -> list[int]:
    """Returns the numbers of the pages of a document in JSON. Raises ValueError for anything else.

    It does not make objects of them, as `load` does.
    """
    try:
        told = orjson.loads(data)
        if told["format"] != FORMAT:
            raise ValueError(f"a document of format {told['format']}; this Millrace reads {FORMAT}")
        return [int(page["number"]) for page in told["pages"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a document that was read: {error}") from error


def joined(parts: Sequence[bytes]) -> bytes:
    """Returns parts of one document, each as from `dump`, as one. Raises ValueError for none, or
    what is no document."""
    try:
        told = [orjson.loads(part) for part in parts]
        pages = [page for part in told for page in part["pages"]]
        first = told[0]
        return _document(first["name"], first["digest"], first["media_type"], pages)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not parts of a document that was read: {error}") from error


def load(data: bytes) -> Document:
    """Returns the document of a JSON text. Raises ValueError for anything else."""
    try:
        told = orjson.loads(data)
        if told["format"] != FORMAT:
            raise ValueError(f"a document of format {told['format']}; this Millrace reads {FORMAT}")
        return Document(
            name=str(told["name"]),
            digest=str(told["digest"]),
            media_type=str(told["media_type"]),
            pages=tuple(_page_of(page) for page in told["pages"]),
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not a document that was read: {error}") from error


def _document(name: str, digest: str, media_type: str, pages: Sequence[Any]) -> bytes:
    told = {"format": FORMAT, "name": name, "digest": digest, "media_type": media_type}
    return orjson.dumps({**told, "pages": pages}) + b"\n"


def _page(page: Page) -> dict[str, Any]:
    return {
        "number": page.number,
        "width": _round(page.width),
        "height": _round(page.height),
        "dpi": _round(page.dpi),
        "origin": page.origin,
        "language": page.language,
        "rotation": page.rotation,
        "skew": _round(page.skew),
        "lines": [_line(line) for line in page.lines],
        "blocks": page.blocks,
        "tables": [
            {"box": _box(t.box), "rows": [[[c.text, *_box(c.box)] for c in row] for row in t.rows]}
            for t in page.tables
        ],
        "readings": [_reading(reading, page.lines) for reading in page.readings],
        "preview": b64encode(page.preview).decode(),
        "preview_scale": page.preview_scale,
        "trouble": page.trouble and [page.trouble.code, page.trouble.message],
        "notes": page.notes,
    }


def _reading(reading: Reading, believed: Sequence[Line]) -> dict[str, Any]:
    same = reading.lines is believed or reading.lines == tuple(believed)
    return {
        "reader": reading.reader,
        "version": reading.version,
        "mode": reading.mode,
        "seconds": round(reading.seconds, 3),
        "lines": None if same else [_line(line) for line in reading.lines],
    }


def _line(line: Line) -> list[Any]:
    # Written out: a page has hundreds of words, and calls would be most of what this takes.
    words = [
        [
            word.text,
            round(box.x0, 2),
            round(box.y0, 2),
            round(box.x1, 2),
            round(box.y1, 2),
            round(word.confidence, 3),
        ]
        for word in line.words
        for box in (word.box,)
    ]
    return [line.text, _box(line.box), words]


def _box(box: Box) -> tuple[float, float, float, float]:
    return _round(box.x0), _round(box.y0), _round(box.x1), _round(box.y1)


def _round(value: float) -> float:
    return round(float(value), 2)


def _page_of(told: Mapping[str, Any]) -> Page:
    lines = tuple(_line_of(line) for line in told["lines"])
    return Page(
        number=int(told["number"]),
        width=float(told["width"]),
        height=float(told["height"]),
        dpi=float(told["dpi"]),
        origin=told["origin"],
        lines=lines,
        blocks=tuple(tuple(int(n) for n in block) for block in told["blocks"]),
        tables=tuple(_table_of(table) for table in told["tables"]),
        readings=tuple(_reading_of(reading, lines) for reading in told["readings"]),
        language=str(told["language"]),
        rotation=int(told["rotation"]),
        skew=float(told["skew"]),
        preview=b64decode(told["preview"]),
        preview_scale=float(told["preview_scale"]),
        trouble=Trouble(*map(str, told["trouble"])) if told["trouble"] else None,
        notes=tuple(map(str, told["notes"])),
    )


def _reading_of(told: Mapping[str, Any], believed: tuple[Line, ...]) -> Reading:
    lines = told["lines"]
    return Reading(
        reader=str(told["reader"]),
        version=str(told["version"]),
        mode=str(told["mode"]),
        lines=believed if lines is None else tuple(_line_of(line) for line in lines),
        seconds=float(told["seconds"]),
    )


def _line_of(told: Sequence[Any]) -> Line:
    text, box, words = told
    return Line(str(text), Box(*map(float, box)), tuple(_word_of(word) for word in words))


def _word_of(told: Sequence[Any]) -> Word:
    text, x0, y0, x1, y1, confidence = told
    return Word(str(text), Box(float(x0), float(y0), float(x1), float(y1)), float(confidence))


def _table_of(told: Mapping[str, Any]) -> Table:
    rows = tuple(
        tuple(Cell(str(text), Box(*map(float, box))) for text, *box in row) for row in told["rows"]
    )
    return Table(Box(*map(float, told["box"])), rows)
