"""The values of fields that no model was trained for: by keys, columns, clauses and rules.

Their probabilities are careful guesses, never calibrated: most wait for a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.tasks.documents.extraction.annotations import Annotation
from millrace.tasks.documents.extraction.clauses import clauses
from millrace.tasks.documents.extraction.found import Found
from millrace.tasks.documents.extraction.keyed import keyed
from millrace.tasks.documents.extraction.parsing import canonical, meaning
from millrace.tasks.documents.extraction.rows import Layout
from millrace.tasks.documents.extraction.schema import Field, Schema

MOST = 0.89
"""No rule is surer than this: what nobody measured waits for a person."""
_RULES: Mapping[str, float] = {"pattern": 0.5, "entity": 0.5, "gazetteer": 0.7, "ner": 0.4}
_TITLE = 0.3
"""How often the first large line at the top of a page is a company's name."""


def ruled(
    schema: Schema,
    trained: frozenset[str],
    layout: Layout,
    notes: Sequence[Annotation],
) -> list[Found]:
    """Returns the finds of a sheet for all fields that have no trained ranking, the surest first
    for each field and row."""
    told = [*keyed(schema, layout.sheet), *clauses(schema, layout.sheet)]
    found = [one for one in told if one.field not in trained]
    having = {one.field for one in found} | trained
    for field in schema.fields:
        if field.name not in having:
            found += _noted(field, layout, notes) or _titled(field, layout)
    return sorted(found, key=lambda one: (one.field, one.path, -one.score, one.start, one.end))


def _noted(field: Field, layout: Layout, notes: Sequence[Annotation]) -> list[Found]:
    made = []
    for note in notes:
        text = " ".join(layout.sheet.text[note.start : note.end].split())
        if note.label == field.name and canonical(text):
            score = _RULES[note.method] * min(note.score, 1.0)
            value = meaning(field.type, text)
            made.append(Found(field.name, value, text, note.start, note.end, note.method, score))
    return made


def _titled(field: Field, layout: Layout) -> list[Found]:
    if field.type != "company" or field.where != "top":
        return []
    lines = [
        segment
        for row in layout.rows[:6]
        for segment in row.segments
        if sum(letter.isalpha() for letter in segment.text) >= 4
    ]
    if not lines:
        return []
    best = max(lines, key=lambda one: one.box.height)
    value = " ".join(best.text.split())
    return [Found(field.name, value, best.text, best.start, best.end, "layout", _TITLE)]
