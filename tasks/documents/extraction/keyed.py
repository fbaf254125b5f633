"""Values of a schema's fields that stand beside or below their names, and in columns of tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rapidfuzz import fuzz

from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.extraction.found import Found
from millrace.tasks.documents.extraction.items import items
from millrace.tasks.documents.extraction.keyness import plain
from millrace.tasks.documents.extraction.keyvalues import Pair, pairs
from millrace.tasks.documents.extraction.pieces import HAN, MARK
from millrace.tasks.documents.extraction.schema import Field, Schema
from millrace.tasks.documents.extraction.values import values

LIKE = 88.0
"""From this likeness on, in per cent, a key is a synonym that was read badly."""


def keyed(schema: Schema, sheet: Sheet) -> tuple[Found, ...]:
    """Returns what keys and columns say of a schema's fields, in reading order.

    Of a schema with `keys_and_values` also every other key with its value, under the key's own
    words; keys that appear more than once are told apart by their number in `path`.
    """
    linked = pairs(sheet, known(schema))
    found = [*items(schema, sheet)]
    tabled = {one.field for one in found}
    taken = {(one.start, one.end) for one in found}
    for pair in linked:
        for one in _fields(schema, sheet, pair):
            if (one.start, one.end) not in taken and one.field not in tabled:
                found.append(one)
    if schema.keys_and_values:
        found += _generic(sheet, linked)
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.field)))


def known(schema: Schema) -> frozenset[str]:
    """Returns the keys that a schema expects."""
    return frozenset(plain(word) for field in schema.fields for word in field.synonyms)


def likeness(field: Field, key: str) -> float:
    """Returns how much a key names a field, 0 to 1: 1 for a synonym, less for one read badly."""
    told = plain(key)
    best = 0.0
    for number, synonym in enumerate(field.synonyms):
        word = plain(synonym)
        if told == word:
            return 1.0 - 0.01 * number
        if HAN.search(word):
            if len(word) >= 2 and told.endswith(word):
                best = max(best, 0.8)
        elif min(len(told), len(word)) >= 4 and fuzz.ratio(told, word) >= LIKE:
            best = max(best, 0.9 * fuzz.ratio(told, word) / 100)
    return best


def _fields(schema: Schema, sheet: Sheet, pair: Pair) -> Iterator[Found]:
    ranked = sorted(
        ((likeness(field, pair.key), -at, field) for at, field in enumerate(schema.fields)),
        key=lambda one: one[:2],
        reverse=True,
    )
    for like, _, field in ranked:
        if like <= 0 or like < ranked[0][0] - 0.05 or not pair.values:
            break
        for one in _valued(field, sheet, pair, like):
            yield one
            if not field.many:
                break


def _valued(field: Field, sheet: Sheet, pair: Pair, like: float) -> Iterator[Found]:
    score = round(pair.score * like, 4)
    if field.type in ("text", "address", "clause") or any(MARK.match(p.text) for p in pair.values):
        start, end = pair.values[0].start, max(piece.end for piece in pair.values)
        if value := " ".join(pair.value.split()):
            yield Found(field.name, value, sheet.text[start:end], start, end, "key", score)
        return
    for piece in pair.values:
        for told in values(field, piece.text):
            start, end = piece.start + told.start, piece.start + told.end
            yield Found(field.name, told.value, sheet.text[start:end], start, end, "key", score)


def _generic(sheet: Sheet, linked: Sequence[Pair]) -> Iterator[Found]:
    """Yields each pair as a field that is called by its key."""
    names = [" ".join(pair.key.rstrip(":\uff1a").split()) for pair in linked]
    often = Counter(names)
    seen: Counter[str] = Counter()
    for name, pair in zip(names, linked, strict=True):
        seen[name] += 1
        start, end = pair.values[0].start, max(piece.end for piece in pair.values)
        if value := " ".join(pair.value.split()):
            path = str(seen[name]) if often[name] > 1 else ""
            raw = sheet.text[start:end]
            yield Found(name, value, raw, start, end, "key", pair.score, path)
