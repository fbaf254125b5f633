"""What `millrace kinds KIND` shows of one kind: its parameters with types, ranges, defaults."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from millrace.engine.document.catalogue import Kind
from millrace.engine.stages import is_effect, secrets_of

_LIMITS = (
    ("minimum", "≥ "),
    ("exclusiveMinimum", "> "),
    ("maximum", "≤ "),
    ("exclusiveMaximum", "< "),
)


def parameters(kind: Kind) -> dict[str, Any]:
    """Returns the JSON Schema of each of a kind's parameters, by name, references resolved."""
    if kind.params is None:
        return {}
    try:
        schema = kind.params.model_json_schema(by_alias=True)
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return {}
    definitions = schema.get("$defs", {})
    required = schema.get("required", [])
    return {
        name: {**_resolved(entry, definitions), "required": name in required}
        for name, entry in schema.get("properties", {}).items()
    }


def as_json(kind: Kind) -> dict[str, JsonValue]:
    """Returns what is known of a kind as plain JSON."""
    described: dict[str, JsonValue] = {
        "kind": kind.name,
        "package": kind.package,
        "package_version": kind.package_version,
        "broken": kind.broken or None,
    }
    if kind.cls is None:
        return described
    return described | {
        "version": kind.cls.version,
        "unit": kind.cls.unit,
        "summary": kind.summary,
        "accepts": list(getattr(kind.cls, "accepts", ())),
        "gathers": bool(getattr(kind.cls, "gathers", False)),
        "lossy": bool(getattr(kind.cls, "lossy", False)),
        "effect": is_effect(kind.cls),
        "secrets": list(secrets_of(kind.cls)),
        "parameters": parameters(kind),
    }


def page(kind: Kind) -> list[RenderableType]:
    """Returns the lines and the table that describe a kind."""
    title = Text(f"{kind.name}  ({kind.package} {kind.package_version})", style="bold")
    if kind.cls is None:
        return [title, Text(f"cannot be loaded: {kind.broken}")]
    takes = ", ".join(getattr(kind.cls, "accepts", ())) or "any file"
    gathers = "; gathers many into one (`all:`)" if getattr(kind.cls, "gathers", False) else ""
    facts = f"version {kind.cls.version}; counts in {kind.cls.unit}; takes {takes}{gathers}"
    if is_effect(kind.cls):
        facts += "; has an effect outside the store, so it runs every time"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("parameter", "type", "default", "what it is"):
        table.add_column(column, overflow="fold")
    for name, entry in parameters(kind).items():
        default = "required" if entry["required"] else _word(entry.get("default"))
        cells = (name, _type(entry), default, str(entry.get("description", "")))
        table.add_row(*(Text(cell) for cell in cells))
    shown: RenderableType = table if table.row_count else Text("It has no parameters.")
    return [title, Text(facts), Text(""), Text(kind.doc), Text(""), shown]


def _resolved(entry: Any, definitions: dict[str, Any]) -> Any:
    """Returns a schema with its references put in, as deep as a table needs."""
    if isinstance(entry, dict):
        name = str(entry.get("$ref", "")).rpartition("/")[2]
        if name in definitions:
            rest = {key: value for key, value in entry.items() if key != "$ref"}
            return {**definitions[name], **rest}
        return {key: _resolved(value, definitions) for key, value in entry.items()}
    return [_resolved(one, definitions) for one in entry] if isinstance(entry, list) else entry


def _type(entry: dict[str, Any]) -> str:
    if "anyOf" in entry:
        return " or ".join(_type(one) for one in entry["anyOf"] if one.get("type") != "null")
    if "enum" in entry:
        return " | ".join(_word(value) for value in entry["enum"])
    if "const" in entry:
        return _word(entry["const"])
    names = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}
    name = names.get(str(entry.get("type")), str(entry.get("type", "any")))
    if name == "array":
        name = f"list of {_type(entry.get('items', {}))}"
    if name == "object" and "properties" in entry:
        name = f"{{{', '.join(entry['properties'])}}}"
    limits = [f"{sign}{entry[key]:g}" for key, sign in _LIMITS if key in entry]
    return f"{name} {', '.join(limits)}".rstrip()


def _word(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "–"
    return ", ".join(map(str, value)) or "–" if isinstance(value, list) else str(value)
