"""Names of outputs: `out/{source.path}.mkv` and what may never come of it.

| field | what it is |
|---|---|
| `{source.path}` | path of the input below the fixed part of its glob, without suffix |
| `{source.name}` | name of the input's file without folders and suffix |
| `{source.suffix}` | its suffix with the dot, `.mp4`, or nothing |
| `{item}` | the item's short id |
| `{stage}` | the stage or input whose result is delivered |
| `{run}` | the run's id |

`{{` and `}}` stand for braces. What stands before the first field is the person's own; what comes
out of a field can name nothing outside it: values lose no character, but those that would climb
(`..`), split a name (`/`) or break a line are written as `%` and two hexadecimal digits.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import quote, unquote_to_bytes

from millrace.engine.document.problems import likely
from millrace.engine.errors import BadInput

FIELDS = ("source.path", "source.name", "source.suffix", "item", "stage", "run")
PER_ITEM = ("source.path", "source.name", "item")
_LONGEST_NAME_BYTES = 255
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PERCENT = re.compile(r"%(?=[0-9A-Fa-f]{0,1}$|[0-9A-Fa-f]{2})")

T = TypeVar("T", bound=Hashable)


class TemplateError(ValueError):
    """A template is wrong; `offset` and `length` say where in its text."""

    def __init__(self, message: str, offset: int = 0, length: int = 0) -> None:
        super().__init__(message)
        self.offset = offset
        self.length = length


@dataclass(frozen=True)
class Template:
    """A parsed template: literal texts and, at odd places, field names."""

    parts: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order, as often as they stand."""
        return self.parts[1::2]

    @property
    def head(self) -> str:
        """The literal text before the first field."""
        return self.parts[0]

    @property
    def tail(self) -> str:
        """The literal text after the last field (the whole text without fields)."""
        return self.parts[-1]

    def suffix(self, source: str = "") -> str:
        """Returns the suffix the name ends with, `.mkv`; `source` is that of the input."""
        if self.tail:
            return PurePosixPath("x" + self.tail.rpartition("/")[2]).suffix
        return source if self.fields[-1:] == ("source.suffix",) else ""


def parse(text: str) -> Template:
    """Returns the parsed template. Raises TemplateError for one that is none or not safe."""
    parts = [""]
    position = 0
    for match in _TOKEN.finditer(text):
        parts[-1] += text[position : match.start()]
        position = match.end()
        token = match[0]
        if token in ("{{", "}}"):
            parts[-1] += token[0]
        elif match[1] is None:
            raise TemplateError(
                f"'{token}' stands alone; write {token * 2} for a brace in a name",
                match.start(), 1,
            )  # fmt: skip
        elif match[1].strip() not in FIELDS:
            raise TemplateError(_unknown(match[1].strip()), match.start(), len(token))
        else:
            parts += [match[1].strip(), ""]
    parts[-1] += text[position:]
    _refuse_unsafe(text, parts)
    return Template(tuple(parts))


def _unknown(name: str) -> str:
    short = {field.rpartition(".")[2]: field for field in FIELDS}
    near = likely(name, FIELDS) or short.get(likely(name, short), "")
    known = ", ".join("{" + field + "}" for field in FIELDS)
    tail = f"; did you mean {{{near}}}?" if near else f"; it may have {known}"
    return f"a name has no field {{{name}}}{tail}"


def _refuse_unsafe(text: str, parts: list[str]) -> None:
    literal = "".join("x" if n % 2 else part for n, part in enumerate(parts))
    if not literal.strip():
        raise TemplateError("a name is empty")
    if "://" in literal:
        raise TemplateError("results are delivered to a folder of this host, not to a URL")
    if any(unicodedata.category(char) == "Cc" for char in literal):
        raise TemplateError("a name may hold no line break or control character")
    if literal.endswith("/"):
        raise TemplateError(
            "the name ends with '/'; a file name must follow, such as {source.name}.mp4"
        )
    steps = literal.split("/")
    if ".." in steps:
        at = max(text.find(".."), 0)
        raise TemplateError(
            "this would write outside the folder of the pipeline ('..'); "
            "write an absolute path or a parameter of type path",
            at, 2,
        )  # fmt: skip
    if steps[-1] in (".", "~"):
        raise TemplateError("this names a folder, not a file")


def encode(value: str, *, folders: bool = False) -> str:
    """Returns a field's value as it may stand in a name; `decode` is its inverse.

    `folders` keeps `/` as a separator, where every step between is encoded for itself.
    """
    if folders:
        return "/".join(encode(step) for step in value.split("/"))
    if value in ("", ".", ".."):
        return value.replace(".", "%2E")
    safe = _PERCENT.sub("%25", value)
    return "".join(_escaped(char) if _unsafe(char) else char for char in safe)


def decode(name: str) -> str:
    """Returns the value that `encode` was given."""
    return unquote_to_bytes(name.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _unsafe(char: str) -> bool:
    if char == "/":
        return True
    category = unicodedata.category(char)
    escapes_bytes = "\udc80" <= char <= "\udcff"  # how Python holds file names that are no UTF-8
    return category in ("Cc", "Zl", "Zp") or (category == "Cs" and not escapes_bytes)


def _escaped(char: str) -> str:
    return quote(char.encode("utf-8", "surrogatepass"), safe="")


def expand(template: str, fields: Mapping[str, str]) -> Path:
    """Returns the name a template gives for one item: relative, or absolute if its text is.

    Join it to the pipeline's folder. No step of it is `..`, whatever the fields hold.
    Raises TemplateError for a wrong template, BadInput (`name`) when the name cannot be a file's.
    """
    parsed = parse(template)
    text = "".join(
        encode(fields[part], folders=part == "source.path") if n % 2 else part
        for n, part in enumerate(parsed.parts)
    )
    if parsed.head.startswith("~/"):
        text = str(Path("~").expanduser()) + text[1:]
    steps = [step for step in text.split("/") if step not in ("", ".")]
    last = text.rpartition("/")[2]
    if last in ("", ".") or ".." in steps:
        raise BadInput("name", f"{template!r} gives no file name for {fields.get('source.name')!r}")
    for step in steps:
        if len(os.fsencode(step)) > _LONGEST_NAME_BYTES:
            raise BadInput(
                "name",
                f"the output's name is longer than {_LONGEST_NAME_BYTES} bytes: {step[:40]}…",
                hint="shorten the file's name, or use {item} in the output's name",
            )
    rooted = parsed.head.startswith(("/", "~/"))  # never because of what a field holds
    return Path("/" if rooted else "", *steps)


def collisions(names: Iterable[tuple[T, Path]]) -> list[tuple[Path, list[T]]]:
    """Returns every path that more than one owner would write, with its owners.

    A path that another one needs as a folder counts as well.
    """
    owners: dict[Path, list[T]] = {}
    for owner, path in names:
        owners.setdefault(path, []).append(owner)
    as_folder: dict[Path, list[T]] = {}
    for path, who in owners.items():
        for parent in path.parents:
            if parent in owners:
                as_folder.setdefault(parent, []).extend(who)
    return [
        (path, [*who, *as_folder.get(path, [])])
        for path, who in sorted(owners.items())
        if len(who) > 1 or path in as_folder
    ]
