"""A section of a document to its parts, each by its model; a wrong one stops no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from millrace.engine.document.problems import Finding, Where, listed, nearest, shown
from millrace.engine.document.specs import PARTIAL
from millrace.engine.document.validation import findings

P = TypeVar("P", bound=BaseModel)

BLANKS: Mapping[str, Any] = {"version": 1}


def unknown_section(key: str, sections: Sequence[str], what: str) -> Finding:
    """Returns the finding for a key at the top of a document that has no meaning there."""
    near = nearest(key, sections) or f"; it has {listed(sections, 'and')}"
    return Finding((key,), f"{what} has no key {key!r}{near}", at_key=True)


def section(
    model: type[P],
    data: Mapping[str, Any],
    name: str,
    what: str,
    found: list[Finding],
    blanks: Mapping[str, Any] = BLANKS,
) -> dict[str, P | None]:
    """Returns the named parts of a section, as `part` does."""
    entries = data.get(name)
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        message = f"{name!r} must be a mapping (name: …), not {shown(entries)}"
        found.append(Finding((name,), message))
        return {}
    return {
        key: part(model, entry, (name, key), what, found, blanks) for key, entry in entries.items()
    }


def part(
    model: type[P],
    data: Any,
    where: Where,
    what: str,
    found: list[Finding],
    blanks: Mapping[str, Any] = BLANKS,
) -> P | None:
    """Returns the part, or what is left of it without its wrong keys, or None.

    What is wrong is added to `found`. A required key that is wrong or missing gets its value from
    `blanks`, or empty text, so that the rest can be judged.
    """
    try:
        return model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        found += findings(error, data, where, model, what)
        wrong = {entry["loc"][0] for entry in error.errors() if entry["loc"]}
    if not isinstance(data, dict):
        return None
    rest = {key: value for key, value in data.items() if key not in wrong}
    for name, info in model.model_fields.items():
        if info.is_required():
            rest.setdefault(info.alias or name, blanks.get(name, ""))
    try:
        return model.model_validate(rest, by_alias=True, by_name=False, context={PARTIAL: True})
    except ValidationError:
        return None
