"""Real readers on real and drawn pages."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from millrace.engine.errors import ItemError, ToolMissing
from millrace.tasks.documents.page_json import dump, load
from millrace.tasks.documents.pages import Document, Page
from millrace.tasks.documents.reading.ocr import read_page
from millrace.tasks.documents.reading.params import ReadParams
from millrace.tasks.documents.reading.rapid import MODE, Rapid, rapid
from millrace.tasks.documents.reading.tesseract import Tesseract, tesseract

FAST = ReadParams(speed="fast")
LETTER = [
    "This letter was written for the tests of a reader of pages.",
    "It has some lines of running text that are easy to read,",
    "and a sum at the end that is not to be mistaken: 1,284.50",
]


@pytest.fixture(scope="session")
def second() -> Rapid:
    """The second reader, loaded once."""
    return rapid(2)


def letter() -> Image.Image:
    font = ImageFont.load_default(36)
    page = Image.new("L", (1240, 900), 255)
    pen = ImageDraw.Draw(page)
    for n in range(9):
        pen.text((90, 80 + 80 * n), LETTER[n % 3], fill=0, font=font)
    return page


def solid(text: str) -> list[str]:
    """Lines without their spaces: how close words stand is the font's doing."""
    return ["".join(line.split()) for line in text.splitlines()]


def read(image: Image.Image, params: ReadParams, dpi: float = 150) -> Page:
    return read_page(image, number=1, dpi=dpi, params=params)


def test_a_clean_page_is_believed_after_one_pass() -> None:
    page = read(letter(), ReadParams())
    assert solid(page.text) == solid("\n".join(LETTER * 3))
    assert [reading.reader for reading in page.readings] == ["tesseract"]
    assert page.readings[0].lines == page.lines
    assert (page.language, page.origin, page.rotation, page.skew) == ("eng", "ocr", 0, 0)
    assert load(dump(Document("a", "0", "image/png", (page,)))).pages[0].text == page.text


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_a_page_on_its_side_or_head_is_set_upright(angle: int) -> None:
    page = read(letter().rotate(angle, expand=True), FAST)  # counterclockwise
    assert page.rotation == angle
    assert solid(page.text) == solid("\n".join(LETTER * 3))
    assert (page.width, page.height) == (1240, 900)


def test_a_page_askew_is_levelled_and_its_boxes_are_of_the_level_page() -> None:
    page = read(letter().rotate(3, expand=True, fillcolor=255), FAST)
    assert page.skew == pytest.approx(3, abs=0.2)
    assert solid(page.text) == solid("\n".join(LETTER * 3))
    assert all(line.box.height < 60 for line in page.lines)


def test_an_empty_page_has_no_lines() -> None:
    page = read(Image.new("RGB", (600, 800), (255, 255, 255)), FAST)
    assert (page.lines, page.origin) == ((), "none")


def test_a_language_without_data_names_the_package_to_install() -> None:
    lacking = Tesseract("5", frozenset({"eng"}))
    with pytest.raises(ToolMissing, match="chi_sim") as told:
        lacking.read(letter(), language="eng+chi_sim", mode="psm 6", dpi=150)
    assert "apt-get install tesseract-ocr-chi-sim" in told.value.hint


def test_a_pass_that_takes_too_long_is_given_up() -> None:
    hasty = Tesseract(tesseract().version, tesseract().languages, seconds=0.01)
    with pytest.raises(ItemError, match="longer"):
        hasty.read(letter(), language="eng", mode="psm 6", dpi=150)


def test_no_picture_is_left_in_memory_or_on_disk() -> None:
    read(letter(), FAST)
    mine = f"millrace-{os.getpid()}-*"
    folders = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    assert [path for folder in folders for path in folder.glob(mine)] == []


def test_a_receipt_is_read_by_both_and_the_first_readers_pass_is_kept(
    data: Path, second: Rapid
) -> None:
    with Image.open(data / "receipts/img/611.jpg") as image:
        page = read(image, ReadParams())
    readers = [reading.reader for reading in page.readings]
    assert readers == ["rapidocr", "tesseract"]
    assert page.readings[0].version == second.version
    key = json.loads((data / "receipts/key/611.json").read_text())
    plain = "".join(filter(str.isalnum, page.text.casefold()))
    for field in ("company", "date", "total"):
        assert "".join(filter(str.isalnum, key[field].casefold())) in plain


def test_a_chinese_page_is_noticed_and_read_without_spaces(data: Path, second: Rapid) -> None:
    with Image.open(data / "chinese_forms/zh_train_16.jpg") as image:
        page = read(image, ReadParams(), 300)
    assert page.language == "chi_sim"
    assert "教师专业技术职务晋升申报表" in page.text
    modes = [reading.mode for reading in page.readings]
    assert modes[0] == MODE
    assert "psm 6 chi_sim" in modes


@pytest.mark.slow
def test_thorough_makes_every_pass(data: Path, second: Rapid) -> None:
    with Image.open(data / "receipts/img/611.jpg") as image:
        page = read(image, ReadParams(speed="thorough"))
    modes = {reading.mode for reading in page.readings}
    assert modes == {MODE, "psm 6 eng", "psm 4 eng", "psm 11 eng"}
