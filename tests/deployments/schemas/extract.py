"""Writes the schemas of the Kubernetes kinds that we use, from the API's own description of itself.

    python extract.py SWAGGER_JSON FOLDER

SWAGGER_JSON is `api/openapi-spec/swagger.json` of kubernetes/kubernetes (Apache-2.0). Descriptions
are left out, unknown keys refused, and quantities and int-or-strings may be numbers, as the API
server takes them. FOLDER gets `definitions.json` and, for kubeconform, one file a kind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

KINDS = {
    "configmap-v1": "io.k8s.api.core.v1.ConfigMap",
    "deployment-apps-v1": "io.k8s.api.apps.v1.Deployment",
    "job-batch-v1": "io.k8s.api.batch.v1.Job",
    "namespace-v1": "io.k8s.api.core.v1.Namespace",
    "networkpolicy-networking-v1": "io.k8s.api.networking.v1.NetworkPolicy",
    "resourcequota-v1": "io.k8s.api.core.v1.ResourceQuota",
    "role-rbac-v1": "io.k8s.api.rbac.v1.Role",
    "rolebinding-rbac-v1": "io.k8s.api.rbac.v1.RoleBinding",
    "serviceaccount-v1": "io.k8s.api.core.v1.ServiceAccount",
    "validatingadmissionpolicy-admissionregistration-v1": (
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy"
    ),
    "validatingadmissionpolicybinding-admissionregistration-v1": (
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding"
    ),
}
NUMBERS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
}
PREFIX = "#/definitions/"


def plain(schema: Any) -> Any:
    """Returns a schema without what only people read, refusing keys that it does not name."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: plain(value)
        for key, value in schema.items()
        if (key != "description" or isinstance(value, dict)) and not key.startswith("x-kubernetes")
    }
    if "properties" in kept and isinstance(schema["properties"], dict):
        kept["properties"] = {name: plain(value) for name, value in schema["properties"].items()}
        kept["additionalProperties"] = False
    return kept


def referred(schema: Any) -> set[str]:
    """Returns the names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        return set().union(*(referred(each) for each in schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].removeprefix(PREFIX)} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*(referred(value) for value in schema.values()))


def main() -> None:
    """Writes the files."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    everything = json.loads(source.read_text(encoding="utf-8"))["definitions"] | NUMBERS
    found: dict[str, Any] = {}
    waiting = set(KINDS.values())
    while waiting:
        name = waiting.pop()
        found[name] = plain(everything[name])
        waiting |= referred(found[name]) - found.keys()
    text = json.dumps({"definitions": dict(sorted(found.items()))}, separators=(",", ":"))
    (folder / "definitions.json").write_text(text + "\n", encoding="utf-8")
    for file, name in KINDS.items():
        reference = json.dumps({"$ref": f"definitions.json{PREFIX}{name}"})
        (folder / f"{file}.json").write_text(reference + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
