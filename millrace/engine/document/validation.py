"""A model's validation errors as findings, in words that need no knowledge of pydantic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from millrace.engine.document.problems import Finding, Where, likely, listed, nearest, shown

_PLAIN = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "decimal_type": "must be a number",
    "decimal_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
    "mapping_type": "must be a mapping (key: value)",
    "path_type": "must be a path",
    "none_required": "must be empty",
}
_BOUNDS = {
    "greater_than": ("must be more than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
    "multiple_of": ("must be a multiple of", "multiple_of"),
}


def keys_of(model: type[BaseModel]) -> list[str]:
    """Returns the keys a mapping for `model` may have, as they are written in a document."""
    return [field.alias or name for name, field in model.model_fields.items()]


def findings(
    error: ValidationError, data: Any, where: Where, model: type[BaseModel], what: str
) -> list[Finding]:
    """Returns what is wrong with `data`, which stands at `where` and was to be a `model`.

    `what` names the model for people: "a stage", "video.encode". Errors about the members of a
    union are joined into one finding for their value, and a key that is missing because it was
    misspelt is not reported twice.
    """
    joined: dict[Where, list[Any]] = {}
    for entry in error.errors(include_url=False):
        joined.setdefault(_path(entry["loc"], data, entry["type"]), []).append(entry)
    meant = {
        (*path[:-1], _meant(path, model))
        for path, entries in joined.items()
        if entries[0]["type"] == "extra_forbidden"
    }
    return [
        _finding(path, entries, data, where, model, what)
        for path, entries in joined.items()
        if entries[0]["type"] != "missing" or path not in meant
    ]


def _meant(path: Where, model: type[BaseModel]) -> str:
    """Returns the key that was probably meant by the unknown one at the end of `path`."""
    inner = _model_at(model, path[:-1])
    if inner is None:
        return ""
    field = inner.model_fields.get(str(path[-1]))
    return (field.alias or "") if field is not None else likely(str(path[-1]), keys_of(inner))


def _path(loc: Iterable[str | int], data: Any, kind: str) -> Where:
    """Returns the steps of an error's place that are in the data; unions add others."""
    path: list[str | int] = []
    for step in loc:
        found, inner = _step(data, step)
        if found:
            data = inner
        elif kind != "missing" or not isinstance(data, Mapping):
            continue
        path.append(step)
    return tuple(path)


def _step(data: Any, step: str | int) -> tuple[bool, Any]:
    if isinstance(data, Mapping):
        return step in data, data.get(step)
    if isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
        return True, data[step]
    return False, None


def _finding(
    path: Where, entries: list[Any], data: Any, where: Where, model: type[BaseModel], what: str
) -> Finding:
    entry, full = entries[0], (*where, *path)
    owner = repr(path[-2]) if len(path) > 1 and isinstance(path[-2], str) else what
    if entry["type"] == "missing":
        return Finding(full[:-1], f"{owner} needs `{path[-1]}:`", at_key=True)
    if entry["type"] == "extra_forbidden":
        near = _meant(path, model)
        tail = f"; did you mean {near!r}?" if near else _known(_model_at(model, path[:-1]))
        return Finding(full, f"{owner} has no key {str(path[-1])!r}{tail}", at_key=True)
    words = list(dict.fromkeys(_words(one) for one in entries))
    if len(words) > 1 and all(one.startswith("must be ") for one in words):
        words = ["must be " + listed([one.removeprefix("must be ") for one in words])]
    value = _value(data, path)
    told = (
        f", not {shown(value)}" if words[0].startswith("must ") and " not " not in words[0] else ""
    )
    joint = " " if words[0].startswith(("must ", "has ", "needs ")) else ": "
    if not path:
        return Finding(full, f"{what}{joint}{words[0]}{told}", at_key=isinstance(data, dict))
    name = path[-1]
    subject = repr(name) if isinstance(name, str) else f"entry {name + 1} of {owner}"
    return Finding(full, f"{subject}{joint}{words[0]}{told}{_advice(entry, value)}")


def _words(entry: Any) -> str:
    kind, context = entry["type"], entry.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return (
            f"{words} {context[key]:g}"
            if isinstance(context[key], float)
            else f"{words} {context[key]}"
        )
    if kind in ("literal_error", "enum"):
        expected = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
        return f"must be {listed(expected.split(', '))}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", entry["msg"]))
    if kind in ("too_short", "string_too_short") and context["min_length"] == 1:
        return "must not be empty"
    if kind == "string_pattern_mismatch":
        return f"must look like {context.get('pattern')}"
    return str(entry["msg"]).replace("Input should", "must").replace("Value should", "must")


def _advice(entry: Any, value: Any) -> str:
    if entry["type"] == "string_type" and isinstance(value, dict) and None in value.values():
        return "; text that begins with '{' needs quotes"
    if entry["type"] == "string_type" and isinstance(value, int | float):
        return "; write it in quotes"
    if entry["type"] in ("literal_error", "enum") and isinstance(value, str):
        expected = str(entry.get("ctx", {}).get("expected", "")).replace(" or ", ", ")
        return nearest(value, [word.strip("'") for word in expected.split(", ")])
    return ""


def _known(model: type[BaseModel] | None) -> str:
    keys = keys_of(model) if model is not None else None
    if keys == []:
        return "; it has none"
    return f"; it has {listed(keys, 'and')}" if keys and len(keys) <= 12 else ""


def _value(data: Any, path: Where) -> Any:
    for step in path:
        data = data[step]
    return data


def _model_at(model: type[BaseModel], path: Where) -> type[BaseModel] | None:
    """Returns the model of a nested mapping, None where it is not one nested model."""
    for step in path:
        named = {field.alias or name: field for name, field in model.model_fields.items()}
        inner = _models(named[str(step)].annotation) if str(step) in named else []
        if len(inner) != 1:
            return None
        model = inner[0]
    return model


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Returns the models a value may be; of those in lists and mappings nothing is said."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (UnionType, Union, Annotated):
        return [model for one in get_args(annotation) for model in _models(one)]
    return []
