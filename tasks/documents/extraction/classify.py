"""Which of the given schemas a document is, by the words that show it; none where nothing fits.

Each cue weighs by how few of the schemas have it and by how long it is. Words near the top weigh
more: a title says what a document is. Labels that stand before values, and the shape of the text
(prose, a table of items), count as well. The probability is a logistic function of the weight and
its margin over the next; its parameters were set on the development documents, not calibrated.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.extraction.pieces import HAN
from millrace.tasks.documents.extraction.schema import Schema

TITLE = 160
"""So many characters from the top on a cue counts as a title."""
LEAST = 3.0
"""Below this weight no schema fits."""
_SYNONYMS_WEIGH = 0.25
_PROSE = 0.55
"""From this share of long lines on a text is prose."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The schema a document fits, None where none does, how sure, and the weight of each."""

    schema: Schema | None
    probability: float
    weights: tuple[tuple[str, float], ...]


def classify(sheet: Sheet, schemas: Sequence[Schema]) -> Classified:
    """Returns which schema a sheet is of; a single schema must fit too."""
    if not schemas:
        return Classified(None, 0.0, ())
    text = _plain(sheet.text)
    title = _plain(sheet.text[:TITLE])
    often = Counter(_plain(cue) for schema in schemas for cue in set(schema.cues))
    weights = [
        (_weight(schema, text, title, often, len(schemas)), -number, schema)
        for number, schema in enumerate(schemas)
    ]
    weights.sort(key=lambda one: one[:2], reverse=True)
    best, _, schema = weights[0]
    margin = best - (weights[1][0] if len(weights) > 1 else 0.0)
    told = tuple((one.name, round(weight, 3)) for weight, _, one in weights)
    if best < LEAST:
        return Classified(None, round(1.0 - best / (2 * LEAST), 4), told)
    sure = 1 / (1 + math.exp(-(0.12 * (best - LEAST) + 0.3 * margin - 0.2)))
    return Classified(schema, round(min(sure, 0.99), 4), told)


def schema_for(sheet: Sheet, schemas: Sequence[Schema]) -> Schema | None:
    """Returns the schema to extract a sheet by: the only one that was asked for, whatever the
    words, else the one that fits; None where none does."""
    return schemas[0] if len(schemas) == 1 else classify(sheet, schemas).schema


def _weight(schema: Schema, text: str, title: str, often: Counter[str], schemas: int) -> float:
    total = 0.0
    for cue in {_plain(cue) for cue in schema.cues}:
        if not cue or not _stands(cue, text):
            continue
        rare = 1.0 + math.log(max(schemas, 1) / often[cue])
        long = 1.3 if " " in cue or (HAN.search(cue) and len(cue) > 2) else 1.0
        total += rare * long * (2.0 if _stands(cue, title) else 1.0)
    labels = {_plain(word) for field in schema.fields for word in field.synonyms if len(word) >= 2}
    shown = sum(1 for label in labels if _stands(label, text))
    total += _SYNONYMS_WEIGH * min(shown, 8)
    if schema.languages:
        han = len(HAN.findall(text)) > 0.3 * max(1, sum(letter.isalpha() for letter in text))
        if han != any(language.startswith("chi") for language in schema.languages):
            total *= 0.25
    prose = _prose(text)
    if any(field.type == "clause" for field in schema.fields):
        total *= 1.0 if prose >= _PROSE else 0.7
    elif prose >= _PROSE:
        total *= 0.7
    return total


def _plain(text: str) -> str:
    return re.sub(r"[^\S\n]+", " ", text.casefold())


def _stands(cue: str, text: str) -> bool:
    """Says whether a cue stands in a text as whole words; between Han characters anywhere."""
    if HAN.search(cue):
        return cue in text
    return cue in text and bool(re.search(rf"(?<!\w){re.escape(cue)}(?!\w)", text))


def _prose(text: str) -> float:
    """Returns the share of the text that stands in long lines: those of ten words or more."""
    lines = [line for line in text.split("\n") if line.strip()]
    long = sum(len(line) for line in lines if len(line.split()) >= 10)
    return long / max(1, sum(map(len, lines)))
