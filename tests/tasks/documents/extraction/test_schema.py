"""Schemas: those that are shipped, a person's own, and what is wrong with a broken one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from millrace.engine.errors import DocumentError, UsageError
from millrace.tasks.documents.extraction import schema_json
from millrace.tasks.documents.extraction.schema import load_schema, read_schema, shipped

BROKEN = Path(__file__).parent / "broken"
OWN = """\
version: 1
name: order
fields:
  number: {type: id, synonyms: [order no]}
  total: {type: money}
"""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    document = schema_json.document()
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize(
    "name", ["contract", "form", "form-zh", "invoice", "invoice-zh", "receipt"]
)
def test_every_shipped_schema_is_sound(name: str) -> None:
    schema = load_schema(name)
    assert schema.name == name
    assert schema.cues and schema.title
    assert name in shipped()


def test_a_persons_own_schema_is_a_file_and_no_code(tmp_path: Path) -> None:
    path = tmp_path / "order.yaml"
    path.write_text(OWN, "utf-8")
    schema = load_schema(path)
    number = schema.field("number")
    assert number is not None and number.synonyms == ("order no",)
    assert schema.field("nothing") is None


def test_the_digest_follows_what_the_schema_says_and_not_how(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        path = tmp_path / "order.yaml"
        path.write_text(text, "utf-8")
        return load_schema(path).digest

    first = digest(OWN)
    assert digest("# a comment\n" + OWN) == first
    assert digest(OWN.replace("order no", "order number")) != first
    assert digest(OWN.replace("total:", "sum:")) != first


def test_every_mistake_is_told_in_one_pass_with_its_place_and_what_was_meant() -> None:
    schema, report = read_schema(BROKEN / "order.yaml")
    told = [str(problem).split("order.yaml:", 1)[1] for problem in report.problems]
    assert schema is None
    expected = (BROKEN / "order.expected").read_text("utf-8")
    assert "\n".join(told) + "\n" == expected


def test_loading_a_broken_schema_raises_with_every_problem() -> None:
    with pytest.raises(DocumentError) as raised:
        load_schema(BROKEN / "order.yaml")
    assert len(raised.value.problems) >= 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("- a\n", "a schema is a mapping"),
        ("version: 2\nname: x\nfields: {a: {type: text}}\n", "reads version 1, not 2"),
        ("version: 1\nname: x\n", "a schema needs fields"),
        ("version: 1\nname: x\nfields: [a]\n", "must be a mapping"),
        ("version: 1\nname: x\nfields: {a: {type: text}}\nrelations: {}\n", "must be a list"),
        ("version: 1\nname: x\nfields: {a: {type: text, name: b}}\n", "named by its key"),
    ],
)
def test_what_is_no_schema_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, "utf-8")
    schema, report = read_schema(path)
    assert schema is None
    assert any(words in str(problem) for problem in report.problems)


def test_a_name_that_is_not_shipped_gets_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'invoice'"):
        load_schema("invoce")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DocumentError):
        load_schema(tmp_path / "none.yaml")


def test_the_committed_json_schema_is_current(repository: Path) -> None:
    committed = json.loads((repository / "deployments/schema.schema.json").read_text("utf-8"))
    assert committed == schema_json.document(), (
        "write `millrace.tasks.documents.extraction.schema_json.document()` to "
        "deployments/schema.schema.json"
    )


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_schema_names_the_json_schema_and_is_valid_by_it(
    name: str, repository: Path, validator: jsonschema.Draft202012Validator
) -> None:
    text = (repository / "deployments" / "schemas" / f"{name}.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=../schema.schema.json\n")
    assert [error.message for error in validator.iter_errors(plain(text))] == []


def test_the_json_schema_refuses_what_reading_refuses(
    validator: jsonschema.Draft202012Validator,
) -> None:
    told = {
        error.message for error in validator.iter_errors(plain((BROKEN / "order.yaml").read_text()))
    }
    assert any("idd" in message for message in told)
    assert any("synonims" in message for message in told)
    assert any("colour" in message for message in told)


def test_the_schema_of_the_guide_can_be_loaded(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "schemas.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(# yaml-language-server.*?)```", text, re.DOTALL)
    path = tmp_path / "order.yaml"
    path.write_text(example, "utf-8")
    assert load_schema(path).name == "order"
