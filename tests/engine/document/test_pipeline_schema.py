"""The JSON Schema: current, the same every time, and of one mind with the reader."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from millrace.engine.document import schema
from millrace.engine.document.catalogue import Catalogue
from millrace.engine.pipeline import check

pytestmark = pytest.mark.usefixtures("testkinds")

BROKEN = Path(__file__).parent / "broken"
SEEN_BY_A_SCHEMA = [
    "each_and_all", "input_of_nothing", "input_of_two", "kind_needs_parameter",
    "kind_without_parameters", "label_unknown", "name_is_number", "name_missing", "no_source",
    "not_among_choices", "out_of_range", "python_name_in_yaml", "stage_is_text", "stages_is_list",
    "unknown_key_in_stage", "unknown_kind", "unknown_parameter_of_kind", "unknown_section",
    "version_missing", "version_unknown", "wrong_types",
]  # fmt: skip

GOOD = """\
version: 1
name: clips
label: "${label}"
parameters: {label: {default: internal}, crf: {type: int, default: 20}, k: {default: hevc}}
inputs:
  captures: {files: ["in/*.mp4", "${label}/*.mp4"], label: restricted}
  shots: {folders: "shots/*"}
stages:
  proxy:
    uses: test.encode
    each: captures
    with: {crf: "${crf}", codec: "${k}", title: a, size: source, tags: [a], window: {start: 1}}
    resources: {gpu: "no", vram: 2 GiB, memory: 1024, cores: "${crf}"}
  film: {uses: test.assemble, each: shots}
  larger: {uses: test.upscale, each: captures, with: {scale: 2}}
outputs:
  proxies: {from: proxy, to: "out/{source.path}.mp4"}
  films: {from: film, to: "out/films/{source.path}.mp4"}
  larger: {from: larger, to: "out/larger/{source.path}.mp4"}
goal: {prefer: fastest, within: 6h, budget: 20 EUR}
schedule: {cron: "0 1 * * *", timezone: Europe/Berlin}
"""


@pytest.fixture
def validator() -> jsonschema.Draft202012Validator:
    document = schema.document(Catalogue().all())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_the_schema_accepts_what_check_accepts(validator: jsonschema.Draft202012Validator) -> None:
    assert not check(GOOD).problems
    assert [error.message for error in validator.iter_errors(plain(GOOD))] == []


@pytest.mark.parametrize("name", SEEN_BY_A_SCHEMA)
def test_the_schema_refuses_what_check_refuses(
    name: str, validator: jsonschema.Draft202012Validator
) -> None:
    assert not validator.is_valid(plain((BROKEN / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", [path.stem for path in sorted(BROKEN.glob("warning_*.yaml"))])
def test_the_schema_accepts_what_is_only_doubtful(
    name: str, validator: jsonschema.Draft202012Validator
) -> None:
    assert validator.is_valid(plain((BROKEN / f"{name}.yaml").read_text()))


def test_a_kind_brings_its_words_and_its_parameters() -> None:
    document = schema.document(Catalogue().all())
    options = document["$defs"]["stage"]["properties"]["uses"]["anyOf"]
    assert {"const": "test.encode", "description": "Encodes a video."} in options
    encode = document["$defs"]["test.encode"]
    assert encode["description"] == "Encodes a video.\n\nThe second paragraph says more."
    assert encode["properties"]["crf"]["description"] == "Quality; less is better."
    assert encode["properties"]["title"]["anyOf"][0] == {"type": "string"}


def test_a_kind_that_cannot_be_loaded_is_there_and_says_why() -> None:
    document = schema.document(Catalogue().all())
    assert "moon phase" in document["$defs"]["test.broken"]["description"]


def test_the_same_kinds_in_any_order_give_the_same_schema() -> None:
    kinds = Catalogue().all()
    first, second = schema.document(kinds), schema.document(reversed(kinds))
    assert json.dumps(first) == json.dumps(second)


def test_without_any_kind_there_is_still_a_schema() -> None:
    no_entries: dict[str, EntryPoint] = {}
    document = schema.document(Catalogue(no_entries).all())
    jsonschema.Draft202012Validator.check_schema(document)


def test_the_committed_schema_is_that_of_the_kinds_of_this_package(repository: Path) -> None:
    ours = [kind for kind in Catalogue().all() if kind.package == "millrace"]
    assert ours
    assert [kind.broken for kind in ours if kind.broken] == []
    committed = json.loads((repository / "deployments/pipeline.schema.json").read_text())
    assert committed == schema.document(ours), (
        "run `millrace schema --package millrace -o deployments/pipeline.schema.json`"
    )
