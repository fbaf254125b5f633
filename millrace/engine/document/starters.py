"""Documents to start from: commented, valid, made for one kind."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from millrace.engine.document.catalogue import Catalogue, Kind
from millrace.engine.errors import UsageError

_GLOBS = {"video": "*.mp4", "image": "*.png", "audio": "*.wav", "text": "*.txt"}

_TEXT = """\
# yaml-language-server: $schema=pipeline.schema.json
# An editor completes from that file; `millrace schema -o pipeline.schema.json` writes it.
version: 1
name: @name@
label: restricted    # or internal, public; it decides where the data may go

# Values that `--set` may change: millrace run FILE --set folder=/data/films
parameters:
  folder: {type: path, default: material, description: "where the files lie"}

# What comes in. Relative paths start from the folder of this file.
inputs:
  material:
    @source@
    # exclude: "**/draft/**"
    # or `manifest: list.txt`, a file with one path a line

# What is done. `each:` takes the items of an input or stage one by one, `all:` gathers them.
stages:
  @stage@:
    uses: @kind@
    each: material
@params@
    # resources: {gpu: prefer, vram: 2 GiB, cores: 2}

# Where results go. {source.path} is the path below the folder of the glob, without suffix.
outputs:
  results: {from: @stage@, to: "@to@"}

# Both are checked and shown; this version does not act on them.
# goal: {prefer: cheapest, within: 6h, budget: 20 EUR}      # or prefer: fastest, by: "07:00"
# schedule: {cron: "0 1 * * *", timezone: Europe/Berlin}    # every night at one
"""


def pipeline(name: str, kind: str | None, kinds: Catalogue) -> str:
    """Returns a document that uses `kind`, by default the first installed one that needs nothing.

    Raises UsageError when there is no such kind, or none that can be loaded.
    """
    chosen = _chosen(kind, kinds)
    folders = bool(getattr(chosen.cls, "gathers", False))
    accepts = tuple(getattr(chosen.cls, "accepts", ()))
    glob = _GLOBS.get(accepts[0].partition("/")[0], "*") if accepts else "*"
    source = (
        'folders: "${folder}/*"    # each folder is one item'
        if folders
        else f'files: "${{folder}}/**/{glob}"'
    )
    words = {
        "name": name if re.fullmatch(r"[a-z][a-z0-9_-]*", name) else json.dumps(name),
        "source": source,
        "stage": re.sub(r"[^A-Za-z0-9_]", "_", chosen.name.rpartition(".")[2]),
        "kind": chosen.name,
        "params": _params(chosen),
        "to": "out/{source.path}" + ("" if folders else "{source.suffix}"),
    }
    return re.sub(r"@(\w+)@", lambda match: words[match[1]], _TEXT)


def _chosen(name: str | None, kinds: Catalogue) -> Kind:
    if name is not None:
        kind = kinds.get(name)
        if kind is None:
            raise UsageError(kinds.unknown(name))
        if kind.cls is None:
            raise UsageError(f"the stage kind {name!r} cannot be loaded: {kind.broken}")
        return kind
    usable = [kind for kind in kinds.all() if kind.cls is not None]
    usable.sort(key=lambda kind: (_needs(kind), bool(getattr(kind.cls, "gathers", False))))
    if not usable:
        raise UsageError("no stage kind is installed", hint="pip install 'millrace[video]'")
    return usable[0]


def _needs(kind: Kind) -> bool:
    """True when a kind has parameters without a default."""
    params = kind.params
    return params is not None and any(f.is_required() for f in params.model_fields.values())


def _params(kind: Kind) -> str:
    """Returns the lines of `with:`; what has a default stands there as a comment."""
    try:
        schema = kind.params.model_json_schema(by_alias=True) if kind.params is not None else {}
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        schema = {}
    required = schema.get("required", [])
    lines = ["    with:" if required else "    # with:"]
    properties = schema.get("properties", {})
    for name in sorted(properties, key=lambda name: name not in required):
        entry = properties[name]
        words = str(entry.get("description", "")).splitlines()[:1]
        note = f"    # {words[0]}" if words and words[0] else ""
        if name in required:
            lines.append(f"      {name}: {_example(entry)}{note}")
        elif entry.get("default") not in (None, [], {}) and "$ref" not in entry:
            lines.append(f"      # {name}: {json.dumps(entry['default'])}{note}")
        else:
            lines.append(f"      # {name}:{note}")
    return "\n".join(lines) if len(lines) > 1 else "    # this kind has no parameters"


def _example(entry: dict[str, Any]) -> str:
    """Returns a value that fits a schema, for a person to change."""
    for key in ("examples", "enum"):
        if entry.get(key):
            return json.dumps(entry[key][0])
    least = entry.get("minimum", entry.get("exclusiveMinimum", 0))
    values = {"integer": max(2, int(least) + 1), "number": max(1.0, float(least) + 1.0)}
    defaults: dict[str, Any] = {"boolean": True, "array": [], "object": {}, **values}
    return json.dumps(defaults.get(str(entry.get("type")), "change this"))
