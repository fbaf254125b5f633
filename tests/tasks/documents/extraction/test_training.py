"""Training: documents alike stay together, and what is learnt holds on those that were not seen."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from millrace.tasks.documents.extraction.folds import groups_of_texts, groups_of_values, parts
from millrace.tasks.documents.extraction.schema import load_schema
from millrace.tasks.documents.extraction.training import Example, prepared, train
from millrace.tasks.documents.pages import Box, Document, Line, Page, Word

REPOSITORY = Path(__file__).parents[4]


def _benchmark() -> ModuleType:
    place = REPOSITORY / "benchmarks" / "receipts.py"
    spec = importlib.util.spec_from_file_location("receipts", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["receipts"] = module
    spec.loader.exec_module(module)
    return module


def _document(name: str, *texts: str) -> Document:
    lines = []
    for number, text in enumerate(texts):
        box = Box(10, 20.0 * number, 10 + 8 * len(text), 20.0 * number + 15)
        lines.append(Line(text, box, (Word(text, box),)))
    return Document(name, name, "image/png", (Page(1, 400, 400, 100, "text", tuple(lines)),))


def test_near_copies_are_never_in_two_parts() -> None:
    documents = [
        _document(
            f"{n}", f"SHOP NUMBER {n // 2} IN THE {'HIGH' if n % 4 < 2 else 'LOW'} ROAD", "X" * n
        )
        for n in range(4)
    ]
    groups = groups_of_texts([*documents, _document("0", "ANOTHER READING OF THE FIRST")])
    assert groups[4] == groups[0]
    split = parts(groups, 2)
    assert split[4] == split[0]


def test_receipts_of_one_company_are_never_in_two_parts() -> None:
    labels = [{"company": name} for name in ("ACME SDN BHD", "Acme Sdn. Bhd.", "OTHER", "THIRD")]
    groups = groups_of_values(labels, load_schema("receipt"))
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3


def test_parts_are_of_like_size_and_the_same_each_time() -> None:
    groups = [0] * 5 + list(range(1, 16))
    split = parts(groups, 4, seed=3)
    assert split == parts(groups, 4, seed=3)
    assert [split.count(part) for part in range(4)] == [5, 5, 5, 5]
    assert len({part for part, group in zip(split, groups, strict=True) if group == 0}) == 1


def test_a_schema_is_learnt_from_labelled_documents() -> None:
    examples = [
        Example(
            _document(
                f"d{n}", f"SHOP {chr(65 + n)} LTD", "DATE 01/02/2020", "ITEM 1.50",
                f"TOTAL {n + 3}.20", f"CASH {n + 9}.00",
            ),
            {"company": f"SHOP {chr(65 + n)} LTD", "total": f"{n + 3}.20"},
        )
        for n in range(20)
    ]  # fmt: skip
    learnt = train(examples, load_schema("receipt"), folds=2)
    assert set(learnt.rankers) == {"company", "total"}
    assert learnt.gazetteer.values["company"]["SHOP A LTD"] == 1
    assert learnt.threshold <= 1.0
    from millrace.tasks.documents.extraction.extract import extract

    unseen = _document(
        "u", "SHOP Z LTD", "DATE 01/02/2020", "ITEM 2.50", "TOTAL 77.20", "CASH 80.00"
    )
    found = extract(unseen, [], load_schema("receipt"), learnt).facts
    assert {f.field: f.value for f in found if f.field != "address"}["total"] == "77.20"


def test_a_field_with_few_labels_is_left_to_the_rules() -> None:
    examples = [Example(_document(f"d{n}", "A"), {"total": "1.00"}) for n in range(3)]
    assert train(examples, load_schema("receipt")).rankers == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_receipts_that_were_not_seen_are_read_well(data: Path) -> None:
    receipts = _benchmark()
    schema = load_schema("receipt")
    ready = prepared(receipts.given(data / "receipts")[::2])
    measured = receipts.figures(receipts.crossed(ready, schema, "text", 2))
    assert measured["fields"] == 400
    assert measured["right"] >= 0.7
    assert measured["accepted right"] >= 0.85
    assert measured["ECE"] <= 0.12
