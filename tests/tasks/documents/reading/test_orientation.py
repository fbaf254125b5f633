"""Skew, width and language, on pages that are drawn here."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw, ImageFont

from millrace.tasks.documents.reading.language import han_share, language_of, spaced
from millrace.tasks.documents.reading.orientation import narrow, skew, upright

TEXT = "The quick brown fox jumps over the lazy dog and is by that tired "


def drawn(lines: int, letters: int, size: int = 32) -> Image.Image:
    """A page of running text."""
    font = ImageFont.load_default(size)
    page = Image.new("L", (round(letters * size * 0.52) + 200, lines * size * 2 + 200), 255)
    pen = ImageDraw.Draw(page)
    text = TEXT * 40
    for n in range(lines):
        pen.text((100, 100 + n * size * 2), text[n * 7 : n * 7 + letters], fill=0, font=font)
    return page


@pytest.mark.parametrize("angle", [-6.0, -1.5, 0.8, 4.0])
def test_a_page_askew_is_levelled(angle: float) -> None:
    page = drawn(20, 60)
    askew = upright(page, rotation=0, skew=angle)
    found = skew(askew)
    assert found == pytest.approx(-angle, abs=0.25)
    assert skew(upright(askew, rotation=0, skew=found)) == 0


def test_a_level_page_and_an_empty_page_are_left_alone() -> None:
    assert skew(drawn(20, 60)) == 0
    assert skew(Image.new("L", (900, 1200), 255)) == 0
    assert skew(Image.new("L", (900, 1200), 0)) == 0


def test_turning_a_page_is_clockwise_and_keeps_all_of_it() -> None:
    page = Image.new("L", (40, 20), 255)
    page.putpixel((0, 0), 0)
    turned = upright(page, rotation=90, skew=0)
    assert turned.size == (20, 40)
    assert turned.getpixel((19, 0)) == 0
    assert upright(turned, rotation=270, skew=0).tobytes() == page.tobytes()


def test_a_slip_is_told_from_a_sheet() -> None:
    assert narrow(drawn(20, 30))
    assert not narrow(drawn(30, 110, 24))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("It was the best of times, it was the worst of times", "eng"),
        ("Der Vertrag wird mit dem Tag der Unterschrift und nicht für immer geschlossen", "deu"),
        ("Le contrat est conclu pour une durée de deux ans avec les parties", "fra"),
        ("申报类别：教研型 Type A", "chi_sim"),
        ("INV-2024 9.00 TOTAL", ""),
        ("", ""),
    ],
)
def test_a_language_is_told_by_its_letters_and_its_commonest_words(
    text: str, language: str
) -> None:
    assert language_of(text) == language


def test_spaces_stand_only_where_the_script_wants_them() -> None:
    assert spaced(["增", "值", "税", "，", "VAT", "5", "%"]) == "增值税， VAT 5 %"
    assert han_share("abc") == 0
    assert han_share("发票ab") == 0.5
