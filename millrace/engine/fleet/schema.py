"""The JSON Schema of `pools.yaml`, from which an editor completes and checks while typing."""

from __future__ import annotations

from typing import Any

from millrace.engine.document.schema import tidied
from millrace.engine.fleet import catalogue
from millrace.engine.fleet.pools import FleetSpec

_POOL_NAME = {"pattern": "^[a-z][a-z0-9-]{0,39}$"}
_CURRENCY = {"pattern": "^[A-Z]{3}$"}


def document() -> dict[str, Any]:
    """Returns the schema of fleets; the same every time."""
    schema = tidied(FleetSpec.model_json_schema(by_alias=True))
    properties, definitions = schema["properties"], schema["$defs"]
    for section, names in (("pools", _POOL_NAME), ("stores", _POOL_NAME), ("exchange", _CURRENCY)):
        properties[section]["propertyNames"] = names
    properties["stores"]["required"] = ["home"]
    pool = definitions["PoolSpec"]["properties"]
    pool["device"] = {
        "description": "The class of its device.",
        "default": catalogue.CPU,
        "anyOf": [
            {"const": name, "description": entry.title}
            for name, entry in catalogue.classes().items()
        ],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Millrace fleet",
        **{key: schema[key] for key in schema if key not in ("description", "title")},
    }
