"""A searchable PDF has its words where they are seen, and its pictures as they were."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from millrace.tasks.documents.pages import Box, Document, Line, Page, Word
from millrace.tasks.documents.reading import opening, searchable
from millrace.tasks.documents.reading.glyphless import glyphless
from millrace.tasks.documents.reading.pdf import Pdf
from millrace.tasks.documents.reading.textlayer import lines_of
from tests.tasks.documents.reading.paper import scan, scan_pdf


def page_of(words: list[tuple[str, Box]], size: tuple[float, float], **more: float) -> Page:
    lines = tuple(Line(text, box, (Word(text, box),)) for text, box in words)
    values = {"dpi": 150.0, "rotation": 0, "skew": 0.0, **more}
    return Page(
        number=1,
        width=size[0],
        height=size[1],
        origin="ocr",
        lines=lines,
        dpi=values["dpi"],
        rotation=int(values["rotation"]),
        skew=values["skew"],
    )


def found(path: Path) -> list[Word]:
    pdf = Pdf(path, "out.pdf", [])
    with pdf.page(1) as page:
        return [word for line in lines_of(page.layer()) for word in line.words]


WORDS = [("Rechnung", Box(150, 300, 400, 340)), ("发票号码", Box(600, 900, 800, 950))]


def test_words_of_any_script_stand_where_they_are_seen(tmp_path: Path) -> None:
    source = scan_pdf(tmp_path / "a.pdf", [scan([])])
    document = Document("a", "0", opening.PDF, (page_of(WORDS, (1240, 1754)),))

    searchable.write(document, source, (), tmp_path / "out.pdf")

    words = found(tmp_path / "out.pdf")
    assert [word.text for word in words] == ["Rechnung", "发票号码"]
    for word, (_, box) in zip(words, WORDS, strict=True):
        assert word.box.x0 == pytest.approx(box.x0 * 72 / 150, abs=1)
        assert word.box.x1 == pytest.approx(box.x1 * 72 / 150, abs=1)
        assert word.box.y1 == pytest.approx(box.y1 * 72 / 150, abs=1)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_page_that_lay_on_its_side_is_set_upright(tmp_path: Path, rotation: int) -> None:
    lying = scan([]).rotate(rotation, expand=True)
    source = scan_pdf(tmp_path / "a.pdf", [lying])
    page = page_of(WORDS, (1240, 1754), rotation=rotation)

    searchable.write(Document("a", "0", opening.PDF, (page,)), source, (), tmp_path / "out.pdf")

    word = found(tmp_path / "out.pdf")[0]
    assert word.text == "Rechnung"
    assert word.box.x0 == pytest.approx(72, abs=2)
    assert word.box.y1 == pytest.approx(340 * 72 / 150, abs=2)


def test_a_page_askew_has_its_words_on_the_slant(tmp_path: Path) -> None:
    source = scan_pdf(tmp_path / "a.pdf", [scan([])])
    middle = ("middle", Box(640, 900, 700, 920))
    page = page_of([WORDS[0], middle], (1360, 1837), skew=4.0)  # larger: turning adds corners

    searchable.write(Document("a", "0", opening.PDF, (page,)), source, (), tmp_path / "out.pdf")

    words = found(tmp_path / "out.pdf")
    centre = next(word for word in words if word.text == "middle").box
    # What is near the centre of the level page is near the centre of the slanted one.
    assert centre.x0 == pytest.approx(580 * 72 / 150, abs=8)
    assert centre.y1 == pytest.approx(878 * 72 / 150, abs=12)


def test_pictures_stay_as_they_are(tmp_path: Path) -> None:
    source = scan_pdf(tmp_path / "a.pdf", [scan([(100, 100, "Rechnung")])])
    document = Document("a", "0", opening.PDF, (page_of(WORDS, (1240, 1754)),))

    searchable.write(document, source, (), tmp_path / "out.pdf")

    assert pictures(tmp_path / "out.pdf") == pictures(source)


def test_a_jpeg_goes_into_its_pdf_byte_for_byte(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    scan([(100, 100, "Rechnung")]).save(source, "JPEG", dpi=(150, 150))
    document = Document("a", "0", opening.JPEG, (page_of(WORDS, (1240, 1754)),))

    searchable.write(document, source, (), tmp_path / "out.pdf")

    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        image = next(iter(pdf.pages[0].get_images().values()))
        assert image.read_raw_bytes() == source.read_bytes()
    assert found(tmp_path / "out.pdf")[0].box.x0 == pytest.approx(72, abs=1)


def test_every_page_of_a_tiff_becomes_a_page_without_loss(tmp_path: Path) -> None:
    source, images = tmp_path / "a.tif", [scan([(90, 90, "one")]), scan([(90, 90, "two")])]
    images[0].save(source, "TIFF", save_all=True, append_images=images[1:], dpi=(150, 150))
    page = page_of(WORDS, (1240, 1754))

    searchable.write(
        Document("a", "0", opening.TIFF, (page, page)), source, (), tmp_path / "out.pdf"
    )

    assert searchable.count(tmp_path / "out.pdf") == 2
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        for page_of_pdf, image in zip(pdf.pages, images, strict=True):
            held = pikepdf.PdfImage(next(iter(page_of_pdf.get_images().values()))).as_pil_image()
            assert held.tobytes() == image.tobytes()


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    source = scan_pdf(tmp_path / "a.pdf", [scan([])])
    document = Document("a", "0", opening.PDF, (page_of(WORDS, (1240, 1754)),))
    for name in ("one", "two"):
        searchable.write(document, source, (), tmp_path / name)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_font_is_one_that_others_read(tmp_path: Path) -> None:
    from PIL import ImageFont

    (tmp_path / "font.ttf").write_bytes(glyphless())
    font = ImageFont.truetype(str(tmp_path / "font.ttf"), 100)

    assert font.getlength("any text") == pytest.approx(8 * 50)
    assert not any(font.getmask("any text"))


def pictures(path: Path) -> list[str]:
    with pikepdf.open(path) as pdf:
        streams = [image for page in pdf.pages for image in page.get_images().values()]
        return [hashlib.sha256(stream.read_bytes()).hexdigest() for stream in streams]


def test_a_picture_turned_by_its_record_is_shown_upright(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    scan([]).rotate(90, expand=True).save(source, "JPEG", dpi=(150, 150), exif=exif)
    document = Document("a", "0", opening.JPEG, (page_of(WORDS, (1240, 1754)),))

    searchable.write(document, source, (), tmp_path / "out.pdf")

    assert found(tmp_path / "out.pdf")[0].box.x0 == pytest.approx(72, abs=2)
