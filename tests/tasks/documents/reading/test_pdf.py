"""Words and boxes of a PDF's own text, as the page is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.errors import BadInput
from millrace.tasks.documents.pages import Page
from millrace.tasks.documents.reading import opening
from millrace.tasks.documents.reading.pageview import Opened
from millrace.tasks.documents.reading.params import ReadParams
from millrace.tasks.documents.reading.pdf import Pdf
from tests.tasks.documents.reading.paper import huge_pdf, scan, scan_pdf, text_pdf

FAST = ReadParams(speed="fast")
LETTER = [(72.0, 742.0, "Total due: 12,50 EUR"), (72.0, 700.0, "Payable within 14 days")]


def read(path: Path, number: int = 1, params: ReadParams = FAST) -> Page:
    opened = Opened(path, opening.PDF, path.name, ())
    try:
        return opened.read(number, params)
    finally:
        opened.close()


def test_a_trusted_layer_is_taken_word_by_word(tmp_path: Path) -> None:
    page = read(text_pdf(tmp_path / "a.pdf", [LETTER]))

    assert page.origin == "text"
    assert page.text == "Total due: 12,50 EUR\nPayable within 14 days"
    assert [reading.mode for reading in page.readings] == ["layer"]
    first = page.lines[0].words[0]
    assert first.box.x0 == pytest.approx(72, abs=2)
    assert first.box.y1 == pytest.approx(842 - 742, abs=3)  # the baseline, from above
    assert (page.width, page.height, page.dpi) == (595, 842, 72)


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_boxes_are_those_of_the_page_as_it_is_seen(tmp_path: Path, rotate: int) -> None:
    page = read(text_pdf(tmp_path / "a.pdf", [LETTER], rotate=rotate))
    (box,) = (word.box for line in page.lines for word in line.words if word.text == "Total")

    # "Total" begins 72 from the left and 100 from the top of the page before it was turned.
    near = {90: (842 - 100, 72), 180: (595 - 72, 842 - 100), 270: (100, 595 - 72)}[rotate]
    corner = {
        90: (box.x0, box.y0),
        180: (box.x1, box.y0),
        270: (box.x1, box.y1),
    }[rotate]
    assert corner == pytest.approx(near, abs=4)
    assert (page.width, page.height) == ((595, 842) if rotate == 180 else (842, 595))


def test_what_lies_off_the_page_is_left_out(tmp_path: Path) -> None:
    texts = [*LETTER, (72.0, 20.0, "printer's mark")]
    page = read(text_pdf(tmp_path / "a.pdf", [texts], crop=(50, 100, 545, 800)))

    assert "mark" not in page.text
    assert page.lines[0].words[0].box.x0 == pytest.approx(22, abs=2)
    assert page.lines[0].words[0].box.y1 == pytest.approx(58, abs=3)


def test_a_locked_pdf_opens_with_a_password_of_the_list(tmp_path: Path) -> None:
    path = text_pdf(tmp_path / "a.pdf", [LETTER], password="sésame")

    with pytest.raises(BadInput) as refusal:
        Pdf(path, "a.pdf", ["wrong"])
    assert refusal.value.code == "needs_password"
    assert Pdf(path, "a.pdf", ["wrong", "sésame"]).count == 1


def test_damage_after_a_locked_file_is_not_called_locked(tmp_path: Path) -> None:
    locked = text_pdf(tmp_path / "a.pdf", [LETTER], password="x")
    broken = tmp_path / "b.pdf"
    broken.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 10)
    with pytest.raises(BadInput):
        Pdf(locked, "a.pdf", [])

    with pytest.raises(BadInput) as refusal:
        Pdf(broken, "b.pdf", [])
    assert refusal.value.code == "damaged"


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = huge_pdf(tmp_path / "a.pdf", 16_000)
    assert path.stat().st_size < 100_000

    with pytest.raises(BadInput) as refusal:
        read(path)
    assert refusal.value.code == "too_large"


@pytest.mark.slow
def test_a_large_page_is_rendered_with_fewer_pixels(tmp_path: Path) -> None:
    path = scan_pdf(tmp_path / "a.pdf", [scan([(90, 90, "POSTER")], (600, 600), 90)], dpi=30)

    page = read(path, params=ReadParams(speed="fast", max_pixels=1_000_000))

    assert page.width * page.height <= 1_010_000
    assert "POSTER" in page.text


def test_text_that_is_not_seen_is_replaced_by_what_is(tmp_path: Path) -> None:
    image = scan([(100, 200, "Invoice 4711 of today")])
    page = read(scan_pdf(tmp_path / "a.pdf", [image], hidden="lorem ipsum"))

    assert page.origin == "ocr"
    assert "4711" in page.text
    assert "lorem" not in page.text
    layers = [reading for reading in page.readings if reading.mode == "layer"]
    assert [line.text for line in layers[0].lines] == ["lorem ipsum"]
    assert any("invisible" in note for note in page.notes)


def test_pictures_beside_text_are_read_too(data: Path) -> None:
    page = read(data / "nasty_pdfs" / "paperless__single-page-mixed.pdf")

    assert page.origin == "mixed"
    assert "normal text" in page.text
    assert "in an image" in page.text
    assert page.preview.startswith(b"\xff\xd8")


@pytest.mark.slow
def test_a_layer_without_characters_for_its_glyphs_is_not_believed(data: Path) -> None:
    page = read(data / "nasty_pdfs" / "ocrmypdf__truetype_font_nomapping.pdf")

    assert page.origin == "ocr"
    assert '"7+%-' not in page.text


def test_a_form_that_a_program_puts_together_is_refused(data: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        Pdf(data / "nasty_pdfs" / "ocrmypdf__livecycle.pdf", "form.pdf", [])

    assert refusal.value.code == "unsupported"


def test_an_empty_page_is_a_page(tmp_path: Path) -> None:
    page = read(text_pdf(tmp_path / "a.pdf", [[]]))

    assert (page.origin, page.lines, page.trouble) == ("none", (), None)
