"""Parameters of a pipeline: their types, `--set`, and `${name}` in values.

A value that is `${name}` and nothing else takes the parameter's own type; inside a longer text the
parameter is written out. `$${` stands for a literal `${`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from millrace.engine.document.problems import Finding, Where, listed, nearest, shown

Scalar = str | int | float | bool
_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
_WORDS = {
    "str": "text",
    "path": "a path",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def _scalar(value: object) -> object:
    if value is None or isinstance(value, Scalar):
        return value
    raise ValueError("must be a single value")


def _scalars(value: object) -> object:
    if not isinstance(value, list | tuple) or not all(isinstance(v, Scalar) for v in value):
        raise ValueError("must be a list of values")
    return tuple(value)


_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}


class Parameter(BaseModel):
    """A value that `--set name=value` may change. Without a default it must be set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["str", "int", "float", "bool", "path"] = "str"
    choices: Annotated[
        tuple[Any, ...],
        BeforeValidator(_scalars),
        WithJsonSchema({"type": "array", "items": _SCALAR_SCHEMA}),
    ] = Field(default=(), description="The only values allowed.")
    default: Annotated[Any, BeforeValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)] = Field(
        default=None, description="The value unless `--set` gives another."
    )
    description: str = ""

    @field_validator("choices", "default")
    @classmethod
    def _of_the_type(cls, value: Any, info: ValidationInfo) -> Any:
        if "type" not in info.data:  # wrong itself
            return value
        judge = cls.model_construct(type=info.data["type"], choices=info.data.get("choices", ()))
        for entry in value if isinstance(value, tuple) else (value,):
            if entry is not None:
                judge.accept(entry)
        return value

    def accept(self, value: object) -> Scalar:
        """Returns `value` in the parameter's type. Raises ValueError when it is of another."""
        kinds: dict[str, tuple[type, ...]] = {
            "str": (str,), "path": (str,), "int": (int,), "float": (int, float), "bool": (bool,)
        }  # fmt: skip
        right = isinstance(value, kinds[self.type])
        if not right or (isinstance(value, bool) and self.type != "bool"):
            raise ValueError(f"must be {_WORDS[self.type]}, not {shown(value)}")
        typed: Scalar = float(value) if self.type == "float" else value  # type: ignore[arg-type,assignment]
        if self.choices and typed not in [self._plain(choice) for choice in self.choices]:
            words = listed([shown(choice) for choice in self.choices])
            raise ValueError(f"must be {words}, not {shown(value)}")
        return typed

    def _plain(self, choice: Any) -> Any:
        return float(choice) if self.type == "float" and isinstance(choice, int) else choice

    def parse(self, text: str) -> Scalar:
        """Returns the value that `--set name=text` means. Relative paths are those of the shell.

        Raises ValueError when the text is no value of the type.
        """
        value: Scalar = text
        if self.type in ("int", "float"):
            try:
                value = int(text) if self.type == "int" else float(text)
            except ValueError:
                raise ValueError(f"must be {_WORDS[self.type]}, not {shown(text)}") from None
            if not math.isfinite(value):
                raise ValueError(f"must be {_WORDS[self.type]}, not {shown(text)}")
        elif self.type == "bool":
            words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            if text.lower() not in words:
                raise ValueError(f"must be true or false, not {shown(text)}")
            value = words[text.lower()]
        elif self.type == "path" and text and "://" not in text:
            value = str(at_home(text).absolute())
        return self.accept(value)


def at_home(text: str) -> Path:
    """Returns the path with `~` put in; `~name` is a file where nobody here is called so."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


@dataclass(frozen=True)
class Values:
    """The parameters' values in effect; a declared one whose value is wrong is in `unknown`."""

    known: Mapping[str, Scalar]
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Substituted:
    """Data with parameters put in. Values at `left` were not, because something is wrong there or
    with their parameter: nothing can be said about them."""

    data: Any
    found: tuple[Finding, ...]
    left: frozenset[Where]


def substitute(data: Any, values: Values) -> Substituted:
    """Returns the data with every `${name}` replaced, and what was wrong with some of them."""
    found: list[Finding] = []
    left: set[Where] = set()
    replaced = _walk(data, values, (), found, left)
    return Substituted(replaced, tuple(found), frozenset(left))


def _walk(data: Any, values: Values, where: Where, found: list[Finding], left: set[Where]) -> Any:
    if isinstance(data, dict):
        return {
            key: _walk(value, values, (*where, key), found, left) for key, value in data.items()
        }
    if isinstance(data, list):
        return [_walk(value, values, (*where, n), found, left) for n, value in enumerate(data)]
    if not isinstance(data, str) or "${" not in data:
        return data
    wrong = list(_wrong(data, values))
    found.extend(replace(finding, where=where) for finding in wrong)
    if wrong or any(name in values.unknown for name in _references(data)):
        left.add(where)
        return data
    whole = _REFERENCE.fullmatch(data)
    if whole and whole[1] is not None:
        value = values.known[whole[1].strip()]
        return _braced(value) if _is_template(where) and isinstance(value, str) else value
    return _REFERENCE.sub(lambda match: _written(match, values, _is_template(where)), data)


def _references(text: str) -> Iterator[str]:
    for match in _REFERENCE.finditer(text):
        if match[1] is not None:
            yield match[1].strip()


def _wrong(text: str, values: Values) -> Iterator[Finding]:
    for match in _REFERENCE.finditer(text):
        if match[1] is None:
            continue
        name, here = match[1].strip(), (match.start(), match.end() - match.start())
        if not match[2]:
            message = "'${' is not closed; write ${name}, or $${ for a literal ${"
        elif not name:
            message = "'${}' names no parameter; write ${name}"
        elif name in values.known or name in values.unknown:
            continue
        else:
            message = f"no parameter is called {name!r}" + (
                nearest(name, [*values.known, *values.unknown])
                or "; parameters: declares them, and edges between stages need no ${}"
            )
        yield Finding((), message, offset=here[0], length=here[1])


def _is_template(where: Where) -> bool:
    return len(where) == 3 and where[0] == "outputs" and where[2] == "to"


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _written(match: re.Match[str], values: Values, template: bool) -> str:
    if match[1] is None:
        return "${"
    value = values.known[match[1].strip()]
    text = json.dumps(value) if isinstance(value, bool | float) else str(value)
    return _braced(text) if template else text


def escaped(data: Any) -> Any:
    """Returns the data with every literal `${` written so that `substitute` gives it back."""
    if isinstance(data, dict):
        return {key: escaped(value) for key, value in data.items()}
    if isinstance(data, list):
        return [escaped(value) for value in data]
    return data.replace("${", "$${") if isinstance(data, str) else data
