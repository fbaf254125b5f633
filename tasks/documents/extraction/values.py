"""The value that a text has for a field of a type: a date, an amount, an id; or none at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from millrace.tasks.documents.extraction import parsing
from millrace.tasks.documents.extraction.checks import compact, valid
from millrace.tasks.documents.extraction.parsing import Parsed
from millrace.tasks.documents.extraction.pieces import HAN
from millrace.tasks.documents.extraction.schema import Field

_ID = re.compile(r"(?<![\w/-])(?=[\w/.#-]*\d)#?[A-Za-z0-9][\w/.-]{0,40}(?<![.-])")
_TELEPHONE = re.compile(r"\+?\d[\d ()/-]{5,18}\d")
_NUMBERED = re.compile(r"[A-Z0-9][A-Z0-9 .-]{7,40}[A-Z0-9]", re.IGNORECASE)


def values(field: Field, text: str) -> Iterator[Parsed]:
    """Yields the values that a text has for a field, by place; nothing where none can be one."""
    if field.patterns:
        found = [one for pattern in field.patterns for one in _matched(pattern, text)]
        if found:
            yield from found
            return
    kind = field.type
    if kind == "date":
        yield from parsing.dates(text, day_first=field.format != "MDY")
    elif kind == "money":
        yield from parsing.amounts(text)
    elif kind == "number":
        yield from parsing.numbers(text)
    elif kind in ("iban", "vat"):
        yield from _numbered(kind, text)
    elif kind == "id":
        yield from _ids(text)
    else:
        told = " ".join(text.split())
        if told and (kind == "text" or any(letter.isalpha() for letter in told)):
            yield Parsed(0, len(text), told)


def _matched(pattern: str, text: str) -> Iterator[Parsed]:
    compiled = re.compile(pattern, re.IGNORECASE)
    for match in compiled.finditer(text):
        start, end = match.span(1 if compiled.groups else 0)
        if 0 <= start < end:
            yield Parsed(start, end, " ".join(text[start:end].split()))


def _numbered(kind: str, text: str) -> Iterator[Parsed]:
    """Yields numbers with check digits that hold; else the whole text, for a person to look at."""
    for match in _NUMBERED.finditer(text):
        words = match.group().split(" ")
        for count in range(len(words), 0, -1):
            part = " ".join(words[:count])
            if valid(kind, part):
                yield Parsed(match.start(), match.start() + len(part), compact(part), 1)
                return
    first = _NUMBERED.search(text)
    if first and sum(letter.isdigit() for letter in first.group()) >= 5:
        yield Parsed(first.start(), first.end(), compact(first.group()))


def _ids(text: str) -> Iterator[Parsed]:
    whole = _TELEPHONE.fullmatch(text.strip())
    if whole:
        lead = len(text) - len(text.lstrip())
        yield Parsed(lead, lead + len(whole.group()), " ".join(whole.group().split()))
        return
    for match in _ID.finditer(text):
        if not HAN.search(match.group()):
            yield Parsed(match.start(), match.end(), match.group().lstrip("#"))
