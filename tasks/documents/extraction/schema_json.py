"""The JSON Schema of document types, from which an editor completes and checks while typing."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from millrace.engine.document.schema import tidied
from millrace.tasks.documents.extraction.schema import (
    SECTIONS,
    VERSION,
    Check,
    EntitySpec,
    Field,
    Header,
    RelationSpec,
)

_PARTS: dict[str, type[BaseModel]] = {
    "field": Field,
    "check": Check,
    "entity": EntitySpec,
    "relation": RelationSpec,
}
_WORDS = {
    "version": "The version of this format.",
    "name": "The schema's name, which facts and the graph carry.",
    "title": "What people call such documents.",
    "languages": "Languages such documents are in: eng, deu, fra, chi_sim.",
    "cues": "Words that tell such documents from others.",
    "fields": "What is looked for, by name.",
    "checks": "What must hold between values, by name.",
    "entities": "What the graph gets a node of, by name.",
    "relations": "What the graph gets an edge of.",
}


def document() -> dict[str, Any]:
    """Returns the JSON Schema of schema files."""
    header = tidied(Header.model_json_schema(by_alias=True))["properties"]
    properties: dict[str, Any] = {}
    for name in SECTIONS:
        words = {"description": _WORDS[name]} if name in _WORDS else {}
        if name == "version":
            properties[name] = words | {"const": VERSION}
        elif name == "relations":
            properties[name] = words | {"type": "array", "items": {"$ref": "#/$defs/relation"}}
        elif name in ("fields", "checks", "entities"):
            part = "entity" if name == "entities" else name.removesuffix("s")
            properties[name] = words | {
                "type": "object",
                "additionalProperties": {"$ref": f"#/$defs/{part}"},
            }
        else:
            properties[name] = header[name] | words
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Millrace document type",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "name"],
        "properties": properties,
        "$defs": {
            name: tidied(model.model_json_schema(by_alias=True)) for name, model in _PARTS.items()
        },
    }
