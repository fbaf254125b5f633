"""Draws the sample contract and the sample Chinese form; the names in them are invented.

python scripts/sample_documents.py FONT     a font with Han characters, such as
                                            wqy-microhei.ttc of Debian's fonts-wqy-microhei
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

SAMPLES = Path(__file__).resolve().parent.parent / "sample_data" / "documents"
LATIN = "/usr/share/fonts/truetype/liberation/LiberationSerif-{}.ttf"
PAGE = (1240, 1754)  # A4 at 150 dpi

CONTRACT = [
    ("Bold", 40, "SERVICE AGREEMENT"),
    ("Regular", 24, ""),
    ("Regular", 24, "This Agreement is made and entered into as of 1 March 2026 (the “Effective"),
    ("Regular", 24, "Date”) by and between"),
    ("Regular", 24, ""),
    ("Bold", 24, "Harbour Light Logistics Ltd (“Client”), 12 Quay Street, Bristol, and"),
    ("Bold", 24, "Fernhill Document Services Ltd (“Provider”), 8 Mill Lane, Oxford."),
    ("Regular", 24, ""),
    ("Bold", 26, "1. Services"),
    (
        "Regular",
        24,
        "The Provider shall scan and index the incoming mail of the Client on every working",
    ),
    ("Regular", 24, "day, and deliver the results before noon of the following day."),
    ("Regular", 24, ""),
    ("Bold", 26, "2. Term"),
    (
        "Regular",
        24,
        "This Agreement shall commence on the Effective Date and continue for a term of",
    ),
    ("Regular", 24, "twenty-four (24) months, unless terminated earlier under Section 4."),
    ("Regular", 24, ""),
    ("Bold", 26, "3. Fees"),
    (
        "Regular",
        24,
        "The Client shall pay the Provider a monthly fee of GBP 1,850.00, due within thirty",
    ),
    ("Regular", 24, "days of the invoice."),
    ("Regular", 24, ""),
    ("Bold", 26, "4. Termination"),
    (
        "Regular",
        24,
        "Either party may terminate this Agreement with a notice period of three months.",
    ),
    ("Regular", 24, ""),
    ("Bold", 26, "5. Governing Law"),
    (
        "Regular",
        24,
        "This Agreement shall be governed by and construed in accordance with the laws of",
    ),
    ("Regular", 24, "England and Wales."),
    ("Regular", 24, ""),
    ("Regular", 24, "IN WITNESS WHEREOF, the parties have executed this Agreement."),
    ("Regular", 24, ""),
    ("Regular", 24, "Client: ______________________          Provider: ______________________"),
]

FORM = [
    (("姓名", "李明华"), ("性别", "女")),
    (("单位", "江城图书馆"), ("联系电话", "13800001234")),
    (("身份证号", "110101199003070028"),),
    (("地址", "江城市湖滨路八十八号"),),
    (("申请日期", "2026年3月12日"),),
    (("申请事由", "借阅档案资料用于地方志编写"),),
]


def scanned(image: Image.Image, degrees: float) -> Image.Image:
    """Returns a page as a scanner sees it: a little askew, a little soft."""
    turned = image.rotate(degrees, fillcolor=255, resample=Image.Resampling.BICUBIC)
    return turned.filter(ImageFilter.GaussianBlur(0.6))


def contract() -> Image.Image:
    """Returns the page of a contract."""
    page = Image.new("L", PAGE, 255)
    draw, y = ImageDraw.Draw(page), 140
    for face, size, text in CONTRACT:
        draw.text((150, y), text, 15, ImageFont.truetype(LATIN.format(face), size))
        y += int(size * 1.6)
    return scanned(page, 0.4)


def form(font: str) -> Image.Image:
    """Returns the page of a Chinese form: a table of keys and values."""
    page = Image.new("L", PAGE, 255)
    draw = ImageDraw.Draw(page)
    draw.text((430, 150), "档案借阅申请表", 10, ImageFont.truetype(font, 54))
    face, y, height = ImageFont.truetype(font, 34), 300, 90
    for row in FORM:
        width = 960 // len(row)
        for n, (key, value) in enumerate(row):
            x = 140 + n * width
            draw.rectangle((x, y, x + 190, y + height), outline=60, width=2)
            draw.rectangle((x + 190, y, x + width, y + height), outline=60, width=2)
            draw.text((x + 20, y + 24), key, 10, face)
            draw.text((x + 210, y + 24), value, 10, face)
        y += height
    draw.text((140, y + 60), "申请人签名：李明华", 10, face)
    return scanned(page, -0.3)


def main() -> None:
    """Writes both pages."""
    save = {"quality": 80, "dpi": (150, 150)}
    contract().save(SAMPLES / "contracts" / "service_agreement.jpg", **save)
    form(sys.argv[1]).save(SAMPLES / "forms-zh" / "archive_request.jpg", **save)


if __name__ == "__main__":
    main()
