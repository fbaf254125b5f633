"""What only shows between the parts of a schema: names that lead nowhere, checks without sense."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from millrace.engine.document.problems import Finding, Where, listed, nearest

if TYPE_CHECKING:
    from millrace.tasks.documents.extraction.schema import (
        Check,
        EntitySpec,
        Field,
        RelationSpec,
    )

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_COUNTED = ("money", "number")
_DATED = ("date",)
_OF: Mapping[str, tuple[int, int | None]] = {
    "sum": (1, None),
    "difference": (2, None),
    "past": (0, 0),
    "before": (1, 1),
}
"""How many fields `of` names for each type of check, from and to."""


def between_parts(
    fields: Mapping[str, Field | None],
    checks: Mapping[str, Check | None],
    entities: Mapping[str, EntitySpec | None],
    relations: tuple[RelationSpec | None, ...],
) -> list[Finding]:
    """Returns all that is wrong between parts; those that are wrong by themselves are None."""
    found = [*_field_names(fields)]
    for name, check in checks.items():
        if check:
            found += _check(name, check, fields)
    for name, entity in entities.items():
        if entity:
            found += _known(("entities", name, "name"), entity.name, fields, "field")
            for key, field in entity.attributes.items():
                found += _known(("entities", name, "attributes", key), field, fields, "field")
    ends = {"document": None, **entities}
    for number, relation in enumerate(relations):
        if relation:
            found += _known(("relations", number, "from"), relation.source, ends, "entity")
            found += _known(("relations", number, "to"), relation.target, ends, "entity")
            if relation.source == relation.target == "document":
                message = "a document has no relation with itself"
                found.append(Finding(("relations", number, "to"), message))
    return found


def _field_names(fields: Mapping[str, Field | None]) -> list[Finding]:
    return [
        Finding(
            ("fields", name),
            f"{name!r} is no name for a field: letters, digits, - and _, a letter first",
            at_key=True,
        )
        for name in fields
        if not _NAME.fullmatch(name)
    ]


def _check(name: str, check: Check, fields: Mapping[str, Field | None]) -> list[Finding]:
    where: Where = ("checks", name)
    found = _known((*where, "field"), check.field, fields, "field")
    for number, field in enumerate(check.of):
        found += _known((*where, "of", number), field, fields, "field")
    least, most = _OF[check.type]
    if len(check.of) < least:
        words = "two fields or more" if least == 2 else "a field"
        found.append(Finding(where, f"a {check.type!r} check needs {words} in `of`"))
    if most is not None and len(check.of) > most:
        words = "no fields" if most == 0 else "one field"
        found.append(Finding((*where, "of"), f"a {check.type!r} check takes {words} in `of`"))
    right = _DATED if check.type in ("past", "before") else _COUNTED
    asked = [((*where, "field"), check.field)]
    asked += [((*where, "of", number), field) for number, field in enumerate(check.of)]
    for place, field in asked:
        declared = fields.get(field)
        if declared and declared.type not in right:
            message = f"{field!r} is of type {declared.type}; a {check.type!r} check is of "
            found.append(Finding(place, message + listed(right)))
    return found


def _known(where: Where, name: str, among: Mapping[str, object], what: str) -> list[Finding]:
    if not name or name in among:
        return []
    return [Finding(where, f"there is no {what} {name!r}{nearest(name, among)}")]
