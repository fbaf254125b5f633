"""Plain data to YAML text that `source_map.parse` reads back exactly.

ruamel.yaml's emitter leaves some characters (U+0085 for one) in a form that reads as another text,
so quoting is done here: text that is not plainly safe is written as a JSON string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from millrace.engine.document.yaml_nodes import resolve

_SAFE = re.compile(r"[A-Za-z_./][A-Za-z0-9_./*+-]*(?: [A-Za-z0-9_./*+-]+)*")
_STEP = "  "


def dump(data: dict[str, Any]) -> str:
    """Returns the document; mappings and lists in block style, in the order they have."""
    return "\n".join(_mapping(data, "")) + "\n"


def _mapping(data: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in data.items():
        yield from _entry(f"{indent}{_scalar(key)}:", value, indent + _STEP)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield head
        yield from _mapping(value, indent)
    elif isinstance(value, list | tuple) and value:
        yield head
        for item in value:
            yield from _entry(f"{indent}-", item, indent + _STEP)
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "{}" if isinstance(value, dict) else "[]"
    if not isinstance(value, str):
        return "null" if value is None else json.dumps(value)
    if _SAFE.fullmatch(value) and resolve(value) == value:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() and c != "\ufeff" else _escape(c) for c in quoted)


def _escape(char: str) -> str:
    number = ord(char)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
