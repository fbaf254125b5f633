"""The JSON Schema of pipeline documents, from which an editor completes and checks while typing.

It knows the parameters of each installed kind, under the kind's name. Wherever `${name}` may stand
in a document it may stand in the schema too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from millrace.engine.document.catalogue import Kind
from millrace.engine.document.draft import SECTIONS, VERSION
from millrace.engine.document.parameters import Parameter
from millrace.engine.document.specs import Goal, Input, Output, Resources, Schedule, StageSpec

Schema = dict[str, Any]

_REFERENCE: Schema = {"$ref": "#/$defs/reference"}
_NAMES: Schema = {"pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"}
_SECTION_WORDS = {
    "version": "The version of this format.",
    "name": "The pipeline's name.",
    "label": "How sensitive the data is; restricted when omitted.",
    "parameters": "Values that `--set name=value` may change; `${name}` stands for them.",
    "inputs": "Files and folders that come in from outside.",
    "stages": "What is done, by name.",
    "outputs": "Where results are delivered.",
    "goal": "What matters: price or time, and the limits of both.",
    "schedule": "When the pipeline is to run, once `millrace deploy` has told the server.",
}


def document(kinds: Iterable[Kind]) -> Schema:
    """Returns the schema of documents that use these kinds. The same kinds give the same schema."""
    known = sorted(kinds, key=lambda kind: kind.name)
    definitions: Schema = {
        "reference": {
            "type": "string",
            "pattern": r"\$\{[^{}]+\}",
            "description": "A parameter, ${name}.",
        }
    }
    parts = {
        "parameter": _model(Parameter, "parameter", definitions),
        "input": _open(_model(Input, "input", definitions)),
        "resources": _open(_model(Resources, "resources", definitions)),
        "output": _open(_model(Output, "output", definitions)),
        "goal": _open(_model(Goal, "goal", definitions)),
        "schedule": _open(_model(Schedule, "schedule", definitions)),
    }
    parts["input"]["oneOf"] = [{"required": [key]} for key in ("files", "folders", "manifest")]
    definitions |= parts | {"stage": _stage(known, definitions)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Millrace pipeline",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "name", "stages"],
        "properties": {name: _section(name) for name in SECTIONS},
        "$defs": dict(sorted(definitions.items())),
    }


def _section(name: str) -> Schema:
    words = {"description": _SECTION_WORDS[name]}
    if name == "version":
        return words | {"const": VERSION}
    if name == "name":
        return words | {"type": "string"}
    if name == "label":
        labels = {"enum": ["public", "internal", "restricted"]}
        return words | {"anyOf": [labels, _REFERENCE]}
    if name in ("goal", "schedule"):
        return words | {"$ref": f"#/$defs/{name}"}
    part = {"$ref": f"#/$defs/{name.removesuffix('s')}"}
    return words | {"type": "object", "propertyNames": _NAMES, "additionalProperties": part}


def _stage(kinds: list[Kind], definitions: Schema) -> Schema:
    """Returns the schema of a stage, whose `with` follows from its `uses`."""
    base = _open(_model(StageSpec, "stage", {}))
    properties = base["properties"]
    names = [{"const": kind.name, **_words(kind.summary or kind.broken)} for kind in kinds]
    if names:
        options = [*names, _REFERENCE]
        properties["uses"] = {"description": properties["uses"]["description"], "anyOf": options}
    properties["resources"] = {"$ref": "#/$defs/resources"}
    properties["with"] = {"type": "object", "description": properties["with"]["description"]}
    conditions = []
    for kind in kinds:
        definitions[kind.name] = _parameters(kind, definitions)
        then: Schema = {"properties": {"with": {"$ref": f"#/$defs/{kind.name}"}}}
        if definitions[kind.name].get("required"):
            then["required"] = ["with"]
        conditions.append(
            {
                "if": {"properties": {"uses": {"const": kind.name}}, "required": ["uses"]},
                "then": then,
            }
        )
    sources = {"oneOf": [{"required": ["each"]}, {"required": ["all"]}]}
    return {**base, **sources, **({"allOf": conditions} if conditions else {})}


def _parameters(kind: Kind, definitions: Schema) -> Schema:
    if kind.params is None:
        return _words(f"This kind cannot be loaded here: {kind.broken}")
    inner: Schema = {}
    try:
        schema = _model(kind.params, kind.name, inner)
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return {"type": "object", **_words(kind.doc)}  # a type JSON Schema cannot say
    definitions |= {name: _open(part) for name, part in inner.items()}
    return _open(schema) | _words(kind.doc)


def _model(model: type[BaseModel], name: str, definitions: Schema) -> Schema:
    """Returns a model's schema; those it refers to go to `definitions` under `name.`."""
    schema = model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{name}.{{model}}")
    for key, inner in schema.pop("$defs", {}).items():
        definitions[f"{name}.{key}"] = tidied(inner)
    plain: Schema = tidied(schema)
    return plain


def tidied(schema: Any) -> Any:
    """Returns a schema without the titles pydantic makes of names (not the property `title`) and
    without defaults that only say that something is not given."""
    if isinstance(schema, list):
        return [tidied(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: tidied(inner) for name, inner in value.items()}
        if key == "properties"
        else value
        if key in ("default", "examples", "enum", "const")
        else tidied(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and value in (None, [], {}))
    }


def _open(schema: Schema) -> Schema:
    """Returns the schema of a mapping whose values may also be references to parameters."""
    if "properties" not in schema:
        return schema
    return schema | {
        "properties": {name: _or_reference(inner) for name, inner in schema["properties"].items()}
    }


def _or_reference(schema: Schema) -> Schema:
    if schema.get("type") == "string" and not {"enum", "pattern", "format"} & set(schema):
        return schema
    if schema.get("type") == "object":
        return _open(schema)
    words = {key: schema[key] for key in ("description", "default") if key in schema}
    rest = {key: value for key, value in schema.items() if key not in words}
    options = rest.pop("anyOf") if set(rest) == {"anyOf"} else [rest]
    return words | {"anyOf": [*options, _REFERENCE]}


def _words(text: str) -> Schema:
    return {"description": text} if text else {}
