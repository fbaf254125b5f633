"""A broken text layer is noticed; a good one, whatever it says, is not suspected."""

from __future__ import annotations

import pytest

from millrace.tasks.documents.pages import Box
from millrace.tasks.documents.reading.pdf import Drawn, Layer
from millrace.tasks.documents.reading.textlayer import fault_of, judge, lines_of

ENGLISH = ["The", "parties", "agree", "that", "this", "contract", "is", "governed", "by", "law"]
GERMAN = ["Die", "Rechnung", "ist", "innerhalb", "von", "vierzehn", "Tagen", "zu", "überweisen"]
CIPHER = ["Wkh", "sduwlhv", "djuhh", "wkdw", "wklv", "frqwudfw", "lv", "jryhuqhg", "eb", "wkh"]
CIPHER += ["odz", "ri", "Hqjodqg", "dqg", "Zdohv", "wrgdb"]
NOTHING = Drawn((), 0, 0)


def layer(texts: list[str], *, invisible: float = 0.0, unmapped: float = 0.0) -> Layer:
    words = [(text, 50.0 * n, 20.0, 50.0 * n + 40, 32.0) for n, text in enumerate(texts)]
    return Layer(words, [0], unmapped, invisible)


@pytest.mark.parametrize(
    "words",
    [
        ENGLISH,
        GERMAN,
        ["发票号码:", "0123456789", "价税合计", "人民币"],
        ["1", "2.50", "17", "42.50", "(3)", "-", "8", "7,5", "9", "11", "4"],
        ["Contents", ".........................", "7"],
        ["Total"],
        ["A", "B"],
        ["Πληρωμή", "εντός", "δεκατεσσάρων", "ημερών"],
    ],
)
def test_a_good_text_is_not_suspected(words: list[str]) -> None:
    assert fault_of(words) == ""


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (list("Invoicenumber"), "spaced glyphs"),
        (["\ufffd\ufffd\ufffd", "Total"], "stand for nothing"),
        (["\ue001\ue002\ue003", "\ue010"], "stand for nothing"),
        (["StraÃ\x9fe", "GrÃ¼Ã\x9fe".replace("¼", "\xbc")], "another encoding"),
        (['"7+%-'], "hardly a letter"),
        (CIPHER, "make no words"),
    ],
)
def test_a_broken_text_is_noticed(words: list[str], fault: str) -> None:
    assert fault in fault_of(words)


def test_glyphs_without_characters_are_noticed() -> None:
    verdict = judge(layer(ENGLISH, unmapped=0.2), NOTHING, 595, 842)

    assert verdict.choice == "ocr"
    assert "glyphs without characters" in verdict.reason


def test_text_that_is_not_seen_is_not_believed() -> None:
    verdict = judge(layer(ENGLISH, invisible=1.0), NOTHING, 595, 842)

    assert verdict.choice == "ocr"
    assert "invisible" in verdict.reason


def test_a_page_without_text_is_read_by_ocr() -> None:
    assert judge(layer([]), NOTHING, 595, 842).choice == "ocr"


def test_pictures_that_touch_are_read_as_one_and_specks_not_at_all() -> None:
    pictures = (
        (Box(50, 100, 300, 200), 800, 320),
        (Box(50, 200, 300, 300), 800, 320),
        (Box(10, 10, 14, 14), 20, 20),
        (Box(400, 700, 700, 800), 900, 300),
    )

    verdict = judge(layer(ENGLISH), Drawn(pictures, 3, 0), 595, 842)

    assert verdict.choice == "mixed"
    assert verdict.regions == (Box(50, 100, 300, 300), Box(400, 700, 595, 800))


def test_text_drawn_as_curves_is_looked_for() -> None:
    assert judge(layer(["Page", "1"]), Drawn((), 400, 0), 595, 842).choice == "mixed"
    assert judge(layer(ENGLISH), Drawn((), 60, 0), 595, 842).choice == "trusted"


def test_what_stands_in_a_row_becomes_a_line() -> None:
    words = [
        ("Total", 50.0, 100.0, 80.0, 112.0),
        ("12,50", 400.0, 101.0, 430.0, 112.0),
        ("Thank", 50.0, 130.0, 80.0, 142.0),
    ]

    lines = lines_of(Layer(words, [0, 1, 2]))

    assert [line.text for line in lines] == ["Total 12,50", "Thank"]
    assert lines[0].box == Box(50.0, 100.0, 430.0, 112.0)
    assert lines[0].confidence == 1.0


def test_han_characters_stand_without_spaces() -> None:
    words = [("价税", 50.0, 100.0, 80.0, 112.0), ("合计", 84.0, 100.0, 110.0, 112.0)]

    assert lines_of(Layer(words, [0]))[0].text == "价税合计"
