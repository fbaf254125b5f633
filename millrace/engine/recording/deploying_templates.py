"""Base job templates of work pools: how a pool's worker starts a flow run.

For `process` it is the server's default (our worker ignores it). For containers it is the template
that the pool names, or the server's default, with the command fixed to Millrace's entry point, so
that nobody who can write to the server can have them run another one through a job variable.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from millrace.engine.errors import UsageError
from millrace.engine.fleet.resolved import Pool

COMMAND = "python -m millrace.flows.entry"
_VARIABLE = "{{ command }}"


def template(pool: Pool, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the base job template of a pool. `defaults` are the server's, by type.

    Raises UsageError for a type without a default, or a file
    that holds no template.
    """
    made = copy.deepcopy(_file(pool.template) if pool.template else _default(pool, defaults))
    if pool.spec.type == "process":
        return made
    made["job_configuration"] = _fixed(made["job_configuration"])
    properties = made.get("variables", {}).get("properties", {})
    properties.pop("command", None)
    if not pool.template and "image" in properties:
        kind = "worker-gpu" if pool.gpus else "worker-cpu"
        properties["image"]["default"] = f"millrace/{kind}:{version('millrace')}"
    return made


def by_type(metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the default templates by pool type, from what the server knows of workers."""
    return {
        kind: told["default_base_job_configuration"]
        for package in metadata.values()
        for kind, told in package.items()
    }


def _default(pool: Pool, defaults: Mapping[str, Any]) -> dict[str, Any]:
    if pool.spec.type not in defaults:
        known = ", ".join(sorted(defaults))
        raise UsageError(
            f"the server knows no base job template for pools of type {pool.spec.type}",
            hint=f"name one with `template: FILE` in pools.yaml; it knows {known}",
        )
    found: dict[str, Any] = defaults[pool.spec.type]
    return found


def _file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
        found = json.loads(text) if path.suffix == ".json" else YAML(typ="safe").load(text)
    except (OSError, ValueError, YAMLError) as error:
        raise UsageError(f"the template {path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("job_configuration"), dict):
        raise UsageError(
            f"{path} is no base job template",
            hint="it has `job_configuration` and `variables`; "
            "`prefect work-pool get-default-base-job-template -t TYPE` prints one",
        )
    return found


def _fixed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _fixed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_fixed(each) for each in value]
    return COMMAND if value == _VARIABLE else value
