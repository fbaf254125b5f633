"""Spark NLP, run: the same annotations one by one and as a table, at the right places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.engine.errors import UsageError
from millrace.tasks.documents.extraction.annotations import Annotation
from millrace.tasks.documents.extraction.nlp import SparkAnnotator
from millrace.tasks.documents.extraction.nlp_rules import Rules, rules_of
from millrace.tasks.documents.extraction.schema import Field, Schema, load_schema

HARD = "\U00020bb7"  # a Han character that Java counts as two
TEXTS = [
    "Müller & Söhne GmbH\nRechnung Nr. 4711\nGRAND TOTAL: 12.50\n",
    f"{HARD}野家 发票号码 12345678 {HARD} Total 7.00\nÜber ☃ total amount 9.10",
    "",
    "   \n",
    "Subtotal 5.00",
    "no rule finds anything here",
]
KNOWN = {("receipt", "company"): ["Müller & Söhne GmbH"]}
SCHEMA = Schema(
    name="receipt",
    fields=(
        Field(name="company", type="company"),
        Field(name="number", type="id", synonyms=("发票号码", "Rechnung Nr.")),
        Field(name="total", type="money", synonyms=("total", "total amount", "grand total")),
    ),
)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return rules_of([SCHEMA], KNOWN)


@pytest.fixture(scope="module")
def light(spark_session: Any, rules: Rules) -> SparkAnnotator:
    return SparkAnnotator(spark_session, rules, light_up_to=1_000)


def of(found: tuple[Annotation, ...], method: str) -> list[tuple[str, str]]:
    return [(note.label, note.text) for note in found if note.method == method]


def test_every_annotation_stands_where_it_says(light: SparkAnnotator) -> None:
    found = light.annotate(TEXTS)
    assert sum(map(len, found)) > 8
    for text, notes in zip(TEXTS, found, strict=True):
        assert all(text[note.start : note.end] == note.text for note in notes)


def test_patterns_keywords_and_known_values_are_found(light: SparkAnnotator) -> None:
    first, second, *_ = light.annotate(TEXTS)
    assert of(first, "pattern") == [("number", "4711"), ("total", "12.50")]
    assert ("total", "GRAND TOTAL") in of(first, "entity")
    assert of(first, "gazetteer") == [("company", "Müller & Söhne GmbH")]
    assert of(second, "pattern") == [("number", "12345678"), ("total", "7.00"), ("total", "9.10")]
    assert {("number", "发票号码"), ("total", "Total"), ("total", "total amount")} <= set(
        of(second, "entity")
    )


def test_texts_without_anything_give_nothing(light: SparkAnnotator) -> None:
    assert light.annotate(TEXTS)[2:] == [(), (), (), ()]
    assert light.annotate([]) == []


def test_a_table_gives_what_one_by_one_gives(
    spark_session: Any, rules: Rules, light: SparkAnnotator
) -> None:
    table = SparkAnnotator(spark_session, rules, light_up_to=0)
    texts = TEXTS * 4
    assert table.annotate(texts) == light.annotate(texts)
    assert table.by_schema(texts) == light.by_schema(texts)


def test_a_text_that_is_the_path_of_a_file_is_a_text(light: SparkAnnotator, tmp_path: Path) -> None:
    place = tmp_path / "total 5.00"
    place.write_bytes(b"no picture")
    assert of(light.annotate([str(place)])[0], "pattern") == [("total", "5.00")]


def test_a_pattern_that_java_cannot_read_is_named_with_its_field(spark_session: Any) -> None:
    field = Field(name="odd", type="text", patterns=(r"(a)(?(1)b|c)",))
    with pytest.raises(UsageError, match=r"of order\.odd"):
        SparkAnnotator(spark_session, rules_of([Schema(name="order", fields=(field,))]))


@pytest.mark.parametrize("name", ["receipt", "invoice", "contract", "form-zh"])
def test_java_reads_the_patterns_of_the_shipped_schemas_as_python_does(
    spark_session: Any, name: str
) -> None:
    compiler = spark_session._jvm.java.util.regex.Pattern
    for pattern in rules_of([load_schema(name)]).patterns:
        java = compiler.compile(pattern.java)
        for text in [*TEXTS[:1], "Total: 12.50", "Datum: 3. März 2024", "发票号码：12345678"]:
            matcher = java.matcher(text)
            told = matcher.group() if matcher.find() else None
            match = pattern.python.search(text)
            assert told == (match and match[0]), pattern.expression
