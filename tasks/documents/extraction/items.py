"""Rows of a table whose columns are fields: the items of an invoice.

Columns are told by their headings, which are synonyms of fields with `many`; no rule needs to be
drawn. A row ends where the next has a value in a column of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.extraction.found import Found
from millrace.tasks.documents.extraction.keyness import plain
from millrace.tasks.documents.extraction.pieces import Piece, pieces
from millrace.tasks.documents.extraction.schema import Field, Schema
from millrace.tasks.documents.extraction.values import values

MOST_ROWS = 200
FURTHEST = 6.0
"""The next row stands no further below than so many heights."""
SCORE = 0.8
_COUNTED = ("money", "number")


@dataclass(frozen=True, slots=True)
class _Column:
    field: Field | None
    left: float
    right: float


def items(schema: Schema, sheet: Sheet) -> tuple[Found, ...]:
    """Returns the values in columns of a sheet's tables; `path` is the number of the row."""
    columns_of = {
        plain(word): field for field in schema.fields if field.many for word in field.synonyms
    }
    if not columns_of:
        return ()
    ends = {plain(word) for field in schema.fields if not field.many for word in field.synonyms}
    found: list[Found] = []
    columns: list[_Column] = []
    number, last = 0, None
    for row in _rows(pieces(sheet)):
        heading = _heading(row, columns_of)
        if heading:
            columns, last = heading, row[0]
            continue
        if not columns or last is None:
            continue
        first = plain(row[0].text)
        near = row[0].page != last.page or row[0].box.y0 - last.box.y1 <= FURTHEST * last.height
        if not near or (first in ends and _column(columns, row[0]) is None) or _ends(row, ends):
            columns = []
            continue
        made = list(_values(row, columns))
        counted = any(field.type in _COUNTED for field, *_ in made)
        if counted:
            number += 1
            found += [_found(sheet, *one, path=number) for one in made]
        elif made and found and made[0][0].type == "text":
            found = _continued(found, made[0][0], made[0][1], number)
        last = row[0]
        if number >= MOST_ROWS:
            break
    return tuple(found)


def _rows(listed: Sequence[Piece]) -> list[list[Piece]]:
    """Returns pieces in rows from top to bottom, each from left to right."""
    rows: list[list[Piece]] = []
    for piece in sorted(listed, key=lambda p: (p.page, p.middle)):
        last = rows[-1] if rows else None
        if (
            last
            and last[0].page == piece.page
            and piece.middle - last[0].middle <= 0.5 * min(piece.height, last[0].height)
        ):
            last.append(piece)
        else:
            rows.append([piece])
    return [sorted(row, key=lambda piece: piece.box.x0) for row in rows]


def _heading(row: Sequence[Piece], known: dict[str, Field]) -> list[_Column]:
    """Returns the columns that a row of headings tells, none when it is no such row."""
    columns: list[_Column] = []
    for piece in row:
        field = known.get(plain(piece.text))
        if field and any(column.field is field for column in columns):
            field = None
        columns.append(_Column(field, piece.box.x0, piece.box.x1))
    told = [column.field for column in columns if column.field]
    enough = len(told) >= 2 and any(field.type in _COUNTED for field in told)
    return columns if enough else []


def _column(columns: Sequence[_Column], piece: Piece) -> _Column | None:
    """Returns the column that a piece stands in: the one it shares most with, else the nearest."""

    def distance(column: _Column) -> float:
        common = min(column.right, piece.box.x1) - max(column.left, piece.box.x0)
        return -common

    nearest = min(columns, key=distance)
    return nearest if distance(nearest) <= 4 * piece.height else None


def _ends(row: Sequence[Piece], ends: set[str]) -> bool:
    """Says whether a row is one of totals: a name of such a field and an amount beside it."""
    return any(plain(piece.text) in ends for piece in row) and len(row) <= 3


def _values(
    row: Sequence[Piece], columns: Sequence[_Column]
) -> Iterator[tuple[Field, str, int, int]]:
    for piece in row:
        column = _column(columns, piece)
        if column is None or column.field is None:
            continue
        told = next(values(column.field, piece.text), None)
        if told:
            yield column.field, told.value, piece.start + told.start, piece.start + told.end


def _found(sheet: Sheet, field: Field, value: str, start: int, end: int, *, path: int) -> Found:
    return Found(field.name, value, sheet.text[start:end], start, end, "table", SCORE, str(path))


def _continued(found: list[Found], field: Field, more: str, number: int) -> list[Found]:
    """Returns what was found, the text of the last row longer by a line; its place stays that of
    its first line."""
    return [
        replace(one, value=f"{one.value} {more}")
        if one.field == field.name and one.path == str(number) and len(one.value) <= 300
        else one
        for one in found
    ]
