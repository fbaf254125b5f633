"""What the tests of deployments read: the files of `deployments/`, and the checker of images."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(scope="session")
def deployments(repository: Path) -> Path:
    return repository / "deployments"


@pytest.fixture(scope="session")
def compose(deployments: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((deployments / "compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="session")
def manifests(deployments: Path) -> list[dict[str, Any]]:
    """Every object that `kubectl apply -k` would send."""
    folder = deployments / "kubernetes"
    files = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [part for file in files for part in yaml.safe_load_all((folder / file).read_text())]


@pytest.fixture(scope="session")
def is_valid() -> Any:
    """A function that fails unless a Kubernetes object is what the API server's schema allows."""
    definitions = json.loads((SCHEMAS / "kubernetes-1.32" / "definitions.json").read_text())
    resource = Resource(contents=definitions, specification=DRAFT7)
    registry = Registry().with_resource("definitions.json", resource)

    def check(manifest: dict[str, Any]) -> None:
        group, _, version = manifest["apiVersion"].rpartition("/")
        group = group.removesuffix(".k8s.io").removesuffix(".authorization") or "core"
        name = f"io.k8s.api.{group}.{version}.{manifest['kind']}"
        reference = {"$ref": f"definitions.json#/definitions/{name}"}
        validator = Draft202012Validator(reference, registry=registry)
        problems = [
            f"{list(each.path)}: {each.message}" for each in validator.iter_errors(manifest)
        ]
        assert not problems, problems

    return check


@pytest.fixture
def imagecheck(repository: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of `scripts/imagecheck`."""
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    from imagecheck import dockerfile, layers

    modules: dict[str, ModuleType] = {"dockerfile": dockerfile, "layers": layers}
    return SimpleNamespace(**modules)
