"""What could be the value of a field: spans of lines, parts of lines, amounts, dates.

Every sheet (every pass of every reader) gives candidates; which is right is for the ranking.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from millrace.tasks.documents.extraction.gazetteer import Gazetteer
from millrace.tasks.documents.extraction.lexicon import Lexicon, known_ends
from millrace.tasks.documents.extraction.parsing import Parsed, amounts, canonical, dates, numbers
from millrace.tasks.documents.extraction.rows import Layout, Segment
from millrace.tasks.documents.extraction.schema import Field

Source = Literal["line", "part", "joined", "mended", "gazetteer", "pattern", "value"]

LONGEST_ADDRESS = 8
"""In lines."""
LIKE_A_KNOWN_ONE = 0.72
"""From this likeness on a known value is offered in place of what was read."""
ROWS_FOR_TEXT = (70, 20)
"""In long documents names stand near the beginning or the end: so many rows of each."""
_BREAK = re.compile(r"[:()\[\]]|\s-\s|\s{2,}|,\s")
_TRIM = " \t,.;:-_*#|=~'\"“”‘’"
_ID = re.compile(r"(?<![\w-])(?=[\w/.-]*\d)[A-Z0-9][A-Z0-9/.-]{2,30}(?![\w])", re.IGNORECASE)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{2,4}){3,8}\b")
_VAT = re.compile(r"\b[A-Z]{2}\s?[A-Z0-9](?:[ .]?[A-Z0-9]){6,11}\b")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible value of a field on sheet number `sheet`: the spans of text it was taken from,
    its first and last row, what stands in the row before and after it."""

    value: str
    raw: str
    key: str
    sheet: int
    spans: tuple[tuple[int, int], ...]
    first: int
    last: int
    segments: tuple[Segment, ...]
    source: Source
    head: str = ""
    tail: str = ""
    form: int = 0
    marked: bool = False
    dropped: bool = False
    likeness: float = 0.0
    seen: int = 0


def candidates(
    field: Field, layout: Layout, sheet: int, lexicon: Lexicon, gazetteer: Gazetteer
) -> list[Candidate]:
    """Returns the candidates for a field on a sheet, each place and value once."""
    if field.patterns:
        found = [*_patterns(field, layout, sheet), *_typed(field, layout, sheet, lexicon)]
    else:
        found = _typed(field, layout, sheet, lexicon)
    if field.type in ("company", "address", "name", "person", "text"):
        found = [*found, *_known(field, found, lexicon, gazetteer)]
    seen: dict[tuple[str, int, int], Candidate] = {}
    for one in found:
        place = (one.key, one.first, one.last)
        if one.key and place not in seen:
            seen[place] = one
    return list(seen.values())


def _typed(field: Field, layout: Layout, sheet: int, lexicon: Lexicon) -> list[Candidate]:
    kind = field.type
    if kind == "date":
        return list(_parsed(layout, sheet, dates))
    if kind == "money":
        return list(_parsed(layout, sheet, amounts))
    if kind == "number":
        return list(_parsed(layout, sheet, numbers))
    if kind == "address":
        return _ranked(list(_addresses(layout, sheet)), layout, lexicon, field.name)
    if kind in ("company", "name", "person", "text"):
        return list(_texts(layout, sheet, frozenset(known_ends(lexicon, field.name))))
    shape = {"id": _ID, "iban": _IBAN, "vat": _VAT}.get(kind)
    return list(_matched(layout, sheet, shape, "value")) if shape else []


Parser = Callable[[str], Iterable[Parsed]]


def _parsed(layout: Layout, sheet: int, parse: Parser) -> Iterator[Candidate]:
    for segment in layout.segments:
        for one in parse(segment.text):
            made = _part(layout, sheet, segment, one.start, one.end, "value")
            if made:
                yield replace(
                    made, value=one.value, key=one.value, form=one.form, marked=one.marked
                )


def _patterns(field: Field, layout: Layout, sheet: int) -> Iterator[Candidate]:
    for pattern in field.patterns:
        yield from _matched(layout, sheet, re.compile(pattern, re.IGNORECASE), "pattern")


def _matched(
    layout: Layout, sheet: int, shape: re.Pattern[str], source: Source
) -> Iterator[Candidate]:
    for segment in layout.segments:
        for match in shape.finditer(segment.text):
            start, end = match.span(1 if shape.groups else 0)
            made = _part(layout, sheet, segment, start, end, source) if start >= 0 else None
            if made:
                yield made


def _part(
    layout: Layout, sheet: int, segment: Segment, start: int, end: int, source: Source
) -> Candidate | None:
    """Returns a part of a segment without the marks around it, None where nothing is left."""
    text = segment.text
    while start < end and text[start] in _TRIM:
        start += 1
    while end > start and text[end - 1] in _TRIM:
        end -= 1
    if text[start:end].count(")") == text[start:end].count("(") - 1 and text[end : end + 1] == ")":
        end += 1
    raw = text[start:end]
    if not raw:
        return None
    row = layout.rows[segment.row]
    place = row.segments.index(segment)
    before = "  ".join(one.text for one in row.segments[:place])
    after = "  ".join(one.text for one in row.segments[place + 1 :])
    value = " ".join(raw.split())
    return Candidate(
        value,
        raw,
        canonical(value),
        sheet,
        ((segment.start + start, segment.start + end),),
        segment.row,
        segment.row,
        (segment,),
        source,
        f"{before} {text[:start]}".strip(),
        f"{text[end:]} {after}".strip(),
    )


def _texts(layout: Layout, sheet: int, ends: frozenset[str]) -> Iterator[Candidate]:
    """Yields lines, their parts between marks, up to a known last word, and pairs of lines."""
    first, last = ROWS_FOR_TEXT
    rows = layout.rows
    kept = rows if len(rows) <= first + last else (*rows[:first], *rows[-last:])
    for row in kept:
        for segment in row.segments:
            for start, end in _parts(segment.text, ends):
                whole = end - start == len(segment.text)
                made = _part(layout, sheet, segment, start, end, "line" if whole else "part")
                if made and any(letter.isalpha() for letter in made.key):
                    yield made
    for above, below in pairwise(kept):
        if above.page == below.page and len(above.segments) == len(below.segments) == 1:
            made = _joined(sheet, (above.segments[0], below.segments[0]), "joined")
            if made and len(made.value) <= 80:
                yield made


def _stops(text: str, ends: frozenset[str]) -> list[tuple[int, int]]:
    return [m.span() for m in re.finditer(r"[^\W\d_]+", text) if m.group().upper() in ends]


def _parts(text: str, ends: frozenset[str]) -> list[tuple[int, int]]:
    cuts = [0, *(edge for match in _BREAK.finditer(text) for edge in match.span()), len(text)]
    stops = [end for _, end in _stops(text, ends)]
    starts = sorted({0, *cuts})[:5]
    finals = sorted({*cuts, *stops})[:7]
    if len(text) not in finals:
        finals.append(len(text))
    return [(start, end) for start in starts for end in finals if end - start >= 3]


def _addresses(layout: Layout, sheet: int) -> Iterator[Candidate]:
    """Yields runs of rows, and runs of segments in reading order where these are other runs."""
    first, last = ROWS_FOR_TEXT
    rows = layout.rows
    kept = rows if len(rows) <= first + last else (*rows[:first], *rows[-last:])
    lines = [row.segments for row in kept]
    yield from _runs(sheet, lines)
    if any(len(line) > 1 for line in lines[:25]):
        yield from _runs(sheet, [(one,) for one in layout.segments if one.row < first])


def _runs(sheet: int, lines: Sequence[tuple[Segment, ...]]) -> Iterator[Candidate]:
    barred = [any(_no_address(segment.text) for segment in line) for line in lines]
    for start in range(len(lines)):
        for stop in range(start + 1, min(start + LONGEST_ADDRESS, len(lines)) + 1):
            if barred[stop - 1] or lines[stop - 1][0].page != lines[start][0].page:
                break
            run = tuple(segment for line in lines[start:stop] for segment in line)
            made = _joined(sheet, run, "line" if stop == start + 1 else "joined")
            if not made or len(made.value) > 260:
                continue
            if len(made.key) >= 8:
                yield made
            if stop - start >= 3:
                for skipped in range(start + 1, stop - 1):
                    if len(lines[skipped]) == 1 and _stray(lines[skipped][0].text):
                        rest = tuple(s for s in run if s is not lines[skipped][0])
                        without = _joined(sheet, rest, "joined")
                        if without:
                            yield replace(without, dropped=True)
                        break


def _no_address(text: str) -> bool:
    return any(one.form == 2 for one in amounts(text)) or any(True for _ in dates(text))


def _stray(text: str) -> bool:
    digits = sum(letter.isdigit() for letter in text)
    letters = sum(letter.isalpha() for letter in text)
    return digits >= 6 or letters <= 8


def _joined(sheet: int, run: tuple[Segment, ...], source: Source) -> Candidate | None:
    texts = [" ".join(segment.text.split()) for segment in run]
    value = " ".join(texts).strip(" :;-*|")
    if not value:
        return None
    return Candidate(
        value,
        "\n".join(texts),
        canonical(value),
        sheet,
        tuple((segment.start, segment.end) for segment in run),
        min(segment.row for segment in run),
        max(segment.row for segment in run),
        run,
        source,
    )


def _ranked(
    found: list[Candidate], layout: Layout, lexicon: Lexicon, name: str, most: int = 90
) -> list[Candidate]:
    """Returns the runs whose words stand in such fields most: the ranking need not see each."""
    if len(found) <= most or name not in lexicon.inside:
        return found[: 4 * most]
    weighed: dict[Segment, float] = {}
    for segment in layout.segments:
        weights = lexicon.weights(name, segment.text)
        weighed[segment] = sum(weights) if weights else -1.0
    return sorted(found, key=lambda one: -sum(weighed[s] for s in one.segments))[:most]


def _known(
    field: Field, found: Sequence[Candidate], lexicon: Lexicon, gazetteer: Gazetteer
) -> Iterator[Candidate]:
    """Yields candidates with slips mended, and known values that what was read is like."""
    mended: dict[str, str] = {}
    for one in found:
        for text in one.raw.split("\n"):
            if text not in mended:
                mended[text] = lexicon.spelt(text)
        better = " ".join(mended[text] for text in one.raw.split("\n")).strip(" :;-*|")
        if canonical(better) != one.key:
            yield replace(one, value=better, key=canonical(better), source="mended")
        near = gazetteer.nearest(field.name, better, least=LIKE_A_KNOWN_ONE)
        if near and canonical(near.value) != one.key:
            yield replace(
                one,
                value=near.value,
                key=canonical(near.value),
                source="gazetteer",
                likeness=near.likeness,
                seen=near.seen,
            )
