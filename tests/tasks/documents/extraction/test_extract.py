"""What a receipt says, by the shipped model and by rules alone."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from PIL import Image

from millrace.tasks.documents import facts as written
from millrace.tasks.documents.extraction.annotations import Annotation, sheets
from millrace.tasks.documents.extraction.extract import extract
from millrace.tasks.documents.extraction.model import Model, model_for
from millrace.tasks.documents.extraction.rows import laid_out
from millrace.tasks.documents.extraction.schema import load_schema
from millrace.tasks.documents.facts import Fact
from millrace.tasks.documents.pages import Box, Document, Line, Page, Reading, Word

RECEIPT = (
    ("KEDAI BUKU HARAPAN SDN BHD", 80, 40, 1.4),
    ("(482910-T)", 150, 75, 1.0),
    ("NO. 17, JALAN MERANTI 3,", 90, 100, 1.0),
    ("TAMAN SERI INDAH,", 110, 125, 1.0),
    ("81100 JOHOR BAHRU, JOHOR.", 90, 150, 1.0),
    ("TEL: 07-3551234", 120, 175, 1.0),
    ("TAX INVOICE", 150, 210, 1.0),
    ("DATE: 17/03/2018 10:15 AM", 40, 240, 1.0),
    ("NOTEBOOK A5", 40, 280, 1.0),
    ("7.50", 360, 280, 1.0),
    ("BALL PEN BLUE", 40, 305, 1.0),
    ("2.40", 360, 305, 1.0),
    ("TOTAL:", 40, 350, 1.0),
    ("9.90", 360, 350, 1.0),
    ("CASH", 40, 375, 1.0),
    ("20.00", 355, 375, 1.0),
    ("CHANGE", 40, 400, 1.0),
    ("10.10", 355, 400, 1.0),
    ("THANK YOU, PLEASE COME AGAIN", 70, 440, 1.0),
)


def _line(text: str, left: float, top: float, size: float = 1.0) -> Line:
    box = Box(left, top, left + 9 * size * len(text), top + 18 * size)
    return Line(text, box, (Word(text, box),))


def receipt(preview: bytes = b"", *readings: Reading) -> Document:
    lines = tuple(_line(*told) for told in RECEIPT)
    given = Reading("given", "1", "layer", lines)
    page = Page(1, 450, 480, 150, "text", lines, readings=(given, *readings), preview=preview)
    return Document("receipt.png", "a" * 64, "image/png", (page,))


def _by_field(facts: Sequence[Fact]) -> dict[str, Fact]:
    return {fact.field: fact for fact in facts}


def test_the_shipped_model_reads_a_receipt_it_has_never_seen() -> None:
    found = extract(receipt(), [], load_schema("receipt"), model_for("receipt"))
    values = {fact.field: fact.value for fact in found.facts}
    assert values["company"] == "KEDAI BUKU HARAPAN SDN BHD"
    assert values["date"] == "2018-03-17"
    assert values["total"] == "9.90"
    assert values["address"].startswith("NO. 17, JALAN MERANTI 3,")
    assert written.load(written.dump(found)).facts[0].field == found.facts[0].field


def test_a_fact_stands_where_its_words_stand() -> None:
    found = _by_field(extract(receipt(), [], load_schema("receipt"), model_for("receipt")).facts)
    total = found["total"].evidence[0]
    assert (total.page, total.text, total.reader) == (1, "9.90", "given layer")
    assert (total.box.x0, total.box.y0) == (360, 350)
    assert found["date"].raw == "17/03/2018"


def test_probabilities_decide_what_is_accepted() -> None:
    shipped = model_for("receipt")
    for threshold, state in ((0.0, "accepted"), (1.1, "doubtful")):
        told = Model("receipt", "t", threshold, shipped.lexicon, shipped.gazetteer, shipped.rankers)
        found = extract(receipt(), [], load_schema("receipt"), told)
        assert {fact.state for fact in found.facts} == {state}
        assert all(0 < fact.probability < 1 for fact in found.facts)


def test_without_a_model_rules_find_what_has_a_name_and_nothing_is_accepted() -> None:
    found = _by_field(extract(receipt(), [], load_schema("receipt"), Model()).facts)
    assert found["total"].value == "9.90"
    assert found["date"].value == "2018-03-17"
    assert {fact.state for fact in found.values()} == {"doubtful"}


def test_a_field_of_rules_is_taken_from_an_annotator_where_no_key_names_it() -> None:
    document = receipt()
    text = sheets(document)[0].text
    start = text.index("NO. 17")
    end = text.index("\nTEL")
    note = Annotation("entity", "address", start, end, text[start:end])
    found = _by_field(extract(document, [[note]], load_schema("receipt"), Model()).facts)
    assert found["address"].value == (
        "NO. 17, JALAN MERANTI 3, TAMAN SERI INDAH, 81100 JOHOR BAHRU, JOHOR."
    )


def test_a_doubtful_fact_carries_the_picture_of_its_place() -> None:
    told = io.BytesIO()
    Image.new("L", (450, 480), 255).save(told, "JPEG")
    found = extract(receipt(told.getvalue()), [], load_schema("receipt"), Model())
    for fact in found.facts:
        with Image.open(io.BytesIO(fact.crop)) as picture:
            assert picture.format == "JPEG"
            assert picture.width <= 900


@pytest.mark.parametrize("preview", [b"", b"not a picture"])
def test_a_page_without_a_good_preview_has_no_crops(preview: bytes) -> None:
    found = extract(receipt(preview), [], load_schema("receipt"), Model())
    assert {fact.crop for fact in found.facts} == {b""}


def test_a_second_pass_that_agrees_is_evidence_too() -> None:
    lines = tuple(_line(told[0], told[1] + 1, told[2], told[3]) for told in RECEIPT)
    second = Reading("other", "2", "fast", lines)
    document = receipt(b"", second)
    found = _by_field(extract(document, [], load_schema("receipt"), model_for("receipt")).facts)
    assert {one.reader for one in found["total"].evidence} == {"given layer", "other fast"}
    assert "voting" in found["total"].methods


def test_an_empty_document_has_no_facts() -> None:
    blank = Document("blank.png", "b" * 64, "image/png", (Page(1, 10, 10, 100, "none"),))
    for learnt in (Model(), model_for("receipt")):
        assert extract(blank, [], load_schema("receipt"), learnt).facts == ()


def test_a_label_and_its_amount_at_one_height_are_one_row() -> None:
    layout = laid_out(sheets(receipt())[0])
    assert "TOTAL:  9.90" in [row.text for row in layout.rows]
    assert layout.rows[0].text == "KEDAI BUKU HARAPAN SDN BHD"
