"""The JSON Schema of fleets: current, and of one mind with the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from millrace.engine.fleet import catalogue, schema

BROKEN = Path(__file__).parent / "broken"
SEEN_BY_A_SCHEMA = [
    "alerts_wrong", "budget_zero", "currency_symbol", "exchange_zero", "floor_label",
    "floors_is_a_mapping", "machines_without_max", "machines_wrong", "numbers_as_text",
    "own_without_watts", "pool_is_text", "pool_missing_keys", "pool_name", "pools_is_a_list",
    "price_missing", "price_without_date", "price_without_source", "price_zero",
    "spot_without_interruptions", "store_home_missing", "unknown_device", "unknown_key_in_pool",
    "unknown_key_in_price", "unknown_section", "version_missing", "version_unknown", "wrong_types",
]  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    document = schema.document()
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def plain(path: Path) -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.constructor.yaml_constructors["tag:yaml.org,2002:timestamp"] = (
        lambda self, node: node.value  # a date is text to an editor's schema
    )
    return reader.load(path.read_text())


def test_the_committed_schema_is_current(repository: Path) -> None:
    committed = json.loads((repository / "deployments" / "pools.schema.json").read_text())
    assert committed == schema.document(), (
        "run `millrace pools schema -o deployments/pools.schema.json`"
    )


def test_the_fleet_that_ships_names_its_schema_and_is_valid_by_it(
    repository: Path, validator: jsonschema.Draft202012Validator
) -> None:
    path = repository / "deployments" / "pools.yaml"
    assert path.read_text().startswith("# yaml-language-server: $schema=pools.schema.json\n")
    assert [error.message for error in validator.iter_errors(plain(path))] == []


@pytest.mark.parametrize("path", sorted(BROKEN.glob("warning_*.yaml")), ids=lambda path: path.stem)
def test_the_schema_accepts_what_is_only_doubtful(
    path: Path, validator: jsonschema.Draft202012Validator
) -> None:
    assert [error.message for error in validator.iter_errors(plain(path))] == []


@pytest.mark.parametrize("name", SEEN_BY_A_SCHEMA)
def test_the_schema_refuses_what_check_refuses(
    name: str, validator: jsonschema.Draft202012Validator
) -> None:
    assert not validator.is_valid(plain(BROKEN / f"{name}.yaml"))


def test_an_editor_offers_every_device_class() -> None:
    options = schema.document()["$defs"]["PoolSpec"]["properties"]["device"]["anyOf"]
    assert [option["const"] for option in options] == list(catalogue.classes())
