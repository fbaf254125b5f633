"""Keys and values on pages that are laid out as forms and invoices are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.tasks.documents.extraction.annotations import Sheet, sheets
from millrace.tasks.documents.extraction.found import Found
from millrace.tasks.documents.extraction.keyed import keyed
from millrace.tasks.documents.extraction.keyvalues import pairs, value_of
from millrace.tasks.documents.extraction.pieces import pieces
from millrace.tasks.documents.extraction.schema import load_schema
from millrace.tasks.documents.pages import Box, Cell, Document, Line, Page, Table, Word

HEIGHT = 20.0


def line(x: float, y: float, text: str) -> Line:
    """A line as a reader gives it: a word for each word, or for each Han character."""
    words, at = [], x
    parts = text.split(" ") if text.isascii() else list(text)
    for part in parts:
        wide = HEIGHT if ord(part[:1] or " ") > 0x2E80 else 0.5 * HEIGHT * len(part)
        if part.strip():
            words.append(Word(part, Box(at, y, at + wide, y + HEIGHT)))
        at += wide + (0.4 * HEIGHT if text.isascii() else 0.0)
    right = max(word.box.x1 for word in words)
    return Line(text, Box(x, y, right, y + HEIGHT), tuple(words))


def page(*lines: tuple[float, float, str], tables: Sequence[Table] = ()) -> Sheet:
    made = tuple(line(*one) for one in sorted(lines, key=lambda one: (one[1], one[0])))
    whole = Page(1, 1240, 1754, 150, "ocr", made, tables=tuple(tables))
    return sheets(Document("a page", "0" * 64, "image/png", (whole,)))[0]


def linked(sheet: Sheet) -> dict[str, str]:
    return {pair.key: pair.value for pair in pairs(sheet)}


def best(found: Sequence[Found]) -> dict[str, str]:
    ordered = sorted((one for one in found if not one.path), key=lambda one: one.score)
    return {one.field: one.value for one in ordered}


def test_a_value_after_a_colon_belongs_to_the_key_before_it() -> None:
    sheet = page((50, 100, "Name: Ada Brown"), (50, 140, "Date of birth: 12/05/1990"))
    assert linked(sheet) == {"Name": "Ada Brown", "Date of birth": "12/05/1990"}


def test_a_value_to_the_right_belongs_to_the_nearest_key() -> None:
    sheet = page(
        (50, 100, "First name"), (300, 100, "Ada"), (600, 100, "Surname"), (800, 100, "Brown")
    )
    assert linked(sheet) == {"First name": "Ada", "Surname": "Brown"}


def test_values_below_their_keys_are_linked() -> None:
    sheet = page(
        (50, 100, "First name"), (600, 100, "Surname"), (52, 130, "Ada"), (604, 130, "Brown")
    )
    assert linked(sheet) == {"First name": "Ada", "Surname": "Brown"}


def test_of_check_boxes_the_ticked_ones_are_the_value() -> None:
    sheet = page((50, 100, "类别"), (200, 100, "□甲类"), (350, 100, "☑乙类"), (500, 100, "□丙类"))
    assert linked(sheet) == {"类别": "乙类"}
    assert value_of(["□ a", "□ b"]) == ""


def test_a_time_is_not_cut_at_its_colon() -> None:
    assert linked(page((50, 100, "Time: 12:30"))) == {"Time": "12:30"}


def test_a_full_width_colon_parts_key_and_value() -> None:
    assert linked(page((50, 100, "申请人\uff1a武风"))) == {"申请人": "武风"}


def test_han_keys_and_values_that_a_reader_put_on_one_line_are_parted() -> None:
    words = [("姓名", 50), ("武风", 110), ("性别", 300), ("男", 400)]
    parts = [
        Word(letter, Box(x + 20 * n, 100, x + 20 * (n + 1), 120))
        for text, x in words
        for n, letter in enumerate(text)
    ]
    one = Line("姓名武风性别男", Box(50, 100, 420, 120), tuple(parts))
    whole = Page(1, 1000, 1000, 150, "ocr", (one,))
    sheet = sheets(Document("a form", "0" * 64, "image/png", (whole,)))[0]
    assert linked(sheet) == {"姓名": "武风", "性别": "男"}


def test_words_of_two_cells_are_two_pieces_though_they_stand_close() -> None:
    row = (Cell("Total", Box(40, 90, 105, 130)), Cell("9.00", Box(105, 90, 200, 130)))
    table = Table(Box(40, 90, 200, 130), (row,))
    assert [p.text for p in pieces(page((50, 100, "Total 9.00")))] == ["Total 9.00"]
    assert [p.text for p in pieces(page((50, 100, "Total 9.00"), tables=[table]))] == [
        "Total",
        "9.00",
    ]


def test_prose_has_no_keys() -> None:
    sheet = page(
        (50, 100, "She walked along the river until the light was gone."),
        (50, 130, "Nobody had told her how far it was, and nobody would."),
    )
    assert linked(sheet) == {}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=12), max_size=6), st.integers(0, 40))
def test_whatever_a_page_says_spans_lie_within_it(texts: list[str], step: int) -> None:
    lines = [(50.0 + 90 * n, 100.0 + step * n, t) for n, t in enumerate(texts) if t.strip()]
    sheet = page(*lines)
    for piece in pieces(sheet):
        assert sheet.text[piece.start : piece.end] == piece.text
    for one in keyed(load_schema("form"), sheet):
        assert 0 <= one.start < one.end <= len(sheet.text)
        assert one.raw == sheet.text[one.start : one.end]


INVOICE = (
    (50, 40, "Harbour Office Supplies Ltd"),
    (800, 40, "INVOICE"),
    (50, 140, "Bill to:"),
    (50, 170, "Northwind Foods GmbH"),
    (700, 140, "Invoice no"),
    (950, 140, "INV-2024-0117"),
    (700, 170, "Invoice date"),
    (950, 170, "17/05/2024"),
    (700, 200, "Due date"),
    (950, 200, "16/06/2024"),
    (50, 300, "Description"),
    (600, 300, "Qty"),
    (750, 300, "Unit price"),
    (1000, 300, "Amount"),
    (50, 340, "Paper A4, box of five"),
    (610, 340, "4"),
    (760, 340, "22.50"),
    (1005, 340, "90.00"),
    (50, 365, "white, 80 g"),
    (50, 400, "Desk lamp"),
    (610, 400, "2"),
    (760, 400, "35.00"),
    (1005, 400, "70.00"),
    (750, 460, "Subtotal"),
    (1005, 460, "160.00"),
    (750, 490, "VAT"),
    (1005, 490, "32.00"),
    (750, 520, "Total due"),
    (1005, 520, "192.00"),
    (50, 620, "IBAN: DE89 3704 0044 0532 0130 00"),
    (50, 650, "VAT No: GB 980 7806 84"),
)


def test_an_invoice_gives_its_fields() -> None:
    found = best(keyed(load_schema("invoice"), page(*INVOICE)))
    wanted = {
        "number": "INV-2024-0117",
        "date": "2024-05-17",
        "due_date": "2024-06-16",
        "customer": "Northwind Foods GmbH",
        "subtotal": "160.00",
        "tax": "32.00",
        "total": "192.00",
        "iban": "DE89370400440532013000",
        "vendor_vat": "GB980780684",
    }
    assert {name: found.get(name) for name in wanted} == wanted


def test_rows_of_a_table_are_items_with_their_number() -> None:
    found = keyed(load_schema("invoice"), page(*INVOICE))
    rows: dict[str, dict[str, str]] = {}
    for one in found:
        if one.path:
            rows.setdefault(one.path, {})[one.field] = one.value
    assert rows == {
        "1": {
            "item": "Paper A4, box of five white, 80 g",
            "item_quantity": "4",
            "item_price": "22.50",
            "item_amount": "90.00",
        },
        "2": {
            "item": "Desk lamp",
            "item_quantity": "2",
            "item_price": "35.00",
            "item_amount": "70.00",
        },
    }


def test_a_chinese_invoice_gives_its_fields() -> None:
    sheet = page(
        (400, 40, "增值税普通发票"),
        (50, 100, "发票代码\uff1a011002100311"),
        (600, 100, "发票号码\uff1a12345678"),
        (50, 140, "开票日期\uff1a2021年03月05日"),
        (50, 500, "价税合计"),
        (600, 500, "(小写)\uff1a1130.00"),
    )
    found = best(keyed(load_schema("invoice-zh"), sheet))
    wanted = {"code": "011002100311", "number": "12345678", "date": "2021-03-05"}
    assert {name: found.get(name) for name in wanted} == wanted


def test_a_generic_form_has_a_field_for_every_key_repeated_ones_by_number() -> None:
    sheet = page((50, 100, "Name: Ada"), (50, 140, "Shoe size: 39"), (50, 180, "Name: Bob"))
    found = keyed(load_schema("form"), sheet)
    told = {(one.field, one.path): one.value for one in found}
    assert told[("Shoe size", "")] == "39"
    assert (told[("Name", "1")], told[("Name", "2")]) == ("Ada", "Bob")
    assert [one.value for one in found if one.field == "applicant"] == ["Ada", "Bob"]


@pytest.mark.parametrize("number", [16, 34, 56, 102])
def test_keys_and_values_of_real_chinese_forms_are_linked(data: Path, number: int) -> None:
    told = json.loads((data / f"chinese_forms/zh_train_{number}.json").read_text("utf-8"))
    by = {entry["id"]: entry for entry in told}
    lines = []
    for entry in told:
        across, down = zip(*entry["points"], strict=True)
        box = Box(min(across), min(down), max(across), max(down))
        lines.append(Line(entry["transcription"], box, (Word(entry["transcription"], box),)))
    lines.sort(key=lambda one: (one.box.y0, one.box.x0))
    whole = Page(1, 2480, 3508, 300, "ocr", tuple(lines))
    sheet = sheets(Document("a form", "0" * 64, "image/jpeg", (whole,)))[0]
    truth = {
        (by[a]["transcription"], by[b]["transcription"]) for e in told for a, b in e["linking"]
    }
    found = {
        (key.text, value.text)
        for pair in pairs(sheet)
        for key in pair.keys
        for value in pair.values
    }
    plain = {(key.rstrip(":\uff1a"), value) for key, value in truth}
    assert len(plain & found) >= 0.9 * len(plain)
    wrong = [pair for pair in pairs(sheet) if not any((k.text, v.text) in plain
             for k in pair.keys for v in pair.values)]  # fmt: skip
    assert len(wrong) <= 1
