"""What contracts say: made-up ones in several styles, and texts that are no contracts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.extraction.clauses import clauses
from millrace.tasks.documents.extraction.schema import load_schema

SAMPLES = YAML(typ="safe").load(
    (Path(__file__).parent / "samples" / "contracts.yaml").read_text("utf-8")
)
FIELDS = [field.name for field in load_schema("contract").fields]


def said(text: str) -> dict[str, list[str]]:
    """What is found for each field: all of one with many, else the surest."""
    told: dict[str, list[str]] = {}
    schema = load_schema("contract")
    for one in sorted(
        clauses(schema, Sheet("x", "1", (), text)), key=lambda o: (-o.score, o.start)
    ):
        field = schema.field(one.field)
        assert field is not None
        if field.many or one.field not in told:
            told.setdefault(one.field, []).append(one.value)
    return told


def missing(sample: Mapping[str, Any], text: str) -> list[str]:
    found = said(text)
    return [
        f"{field}: {value}"
        for field in FIELDS
        for value in sample.get(field, [])
        if value not in found.get(field, []) and len(sample[field]) == len(found.get(field, []))
    ] + [field for field in FIELDS if field in sample and not found.get(field)]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "saas, ocr breaks"])
def test_a_contract_gives_its_facts(name: str) -> None:
    assert missing(SAMPLES[name], SAMPLES[name]["text"]) == []


@pytest.mark.parametrize("name", list(SAMPLES))
def test_nothing_is_said_of_parties_that_is_not_there(name: str) -> None:
    found = said(SAMPLES[name]["text"])
    assert set(found.get("party", [])) <= set(SAMPLES[name].get("party", []))
    assert set(found.get("party_role", [])) <= set(SAMPLES[name].get("party_role", []))


@pytest.mark.parametrize("name", ["services, one paragraph", "loan", "German services"])
def test_line_breaks_elsewhere_change_nothing(name: str) -> None:
    words = SAMPLES[name]["text"].split()
    for width in (5, 9):
        lines = [" ".join(words[at : at + width]) for at in range(0, len(words), width)]
        assert missing(SAMPLES[name], "\n".join(lines)) == []


def test_every_find_has_its_place() -> None:
    schema = load_schema("contract")
    for sample in SAMPLES.values():
        for one in clauses(schema, Sheet("x", "1", (), sample["text"])):
            assert one.raw == sample["text"][one.start : one.end]
            assert 0 < one.score <= 0.9


def test_a_role_has_the_number_of_its_party() -> None:
    found = clauses(load_schema("contract"), Sheet("x", "1", (), SAMPLES["loan"]["text"]))
    told = {(one.field, one.path): one.value for one in found if one.path}
    assert told[("party", "2")] == "Tallgrass Farms Ltd."
    assert told[("party_role", "2")] == "Borrower"


def test_a_word_parted_by_a_line_break_is_whole_in_the_value() -> None:
    assert "Hollow Pine Software Limited" in said(SAMPLES["saas, ocr breaks"]["text"])["party"]


def test_prose_that_is_no_contract_has_no_parties() -> None:
    text = "The river runs between Ashford and Binley. Between them stands an old mill."
    assert "party" not in said(text)


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=400))
def test_no_text_stops_it(text: str) -> None:
    for one in clauses(load_schema("contract"), Sheet("x", "1", (), "between " + text)):
        assert one.start < one.end
