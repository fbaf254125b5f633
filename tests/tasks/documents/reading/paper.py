"""Documents made for tests: PDFs of given content, scans with given words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name
from PIL import Image, ImageDraw, ImageFont

A4 = (595, 842)


def text_pdf(
    path: Path,
    pages: Sequence[Sequence[tuple[float, float, str]]],
    *,
    rotate: int = 0,
    crop: tuple[float, float, float, float] | None = None,
    before: bytes = b"",
    password: str = "",
) -> Path:
    """Writes a PDF of pages of (x, y from below, text) in 12 point Helvetica."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(
        Dictionary(
            Type=Name.Font,
            Subtype=Name.Type1,
            BaseFont=Name.Helvetica,
            Encoding=Name.WinAnsiEncoding,
        )
    )
    for texts in pages:
        pdf.add_blank_page(page_size=A4)
        page = pdf.pages[-1]
        page.obj.Rotate = rotate
        if crop:
            page.obj.CropBox = Array(list(crop))
        page.obj.Resources = Dictionary(Font=Dictionary(F=font))
        shown = [_shown(x, y, text) for x, y, text in texts]
        page.obj.Contents = pdf.make_stream(before + b"\n".join(shown))
    locked = pikepdf.Encryption(owner="o" + password, user=password) if password else False
    pdf.save(path, encryption=locked)
    return path


def scan(
    words: Sequence[tuple[int, int, str]], size: tuple[int, int] = (1240, 1754), points: int = 40
) -> Image.Image:
    """Returns a grey picture of words at (x, y), as a scanner would see them at 150 dpi."""
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    for x, y, text in words:
        draw.text((x, y), text, fill=0, font=ImageFont.load_default(points))
    return image


def scan_pdf(path: Path, images: Sequence[Image.Image], dpi: float = 150, hidden: str = "") -> Path:
    """Writes a PDF of scans; `hidden`: invisible text over each."""
    pdf = pikepdf.new()
    for image in images:
        wide, high = image.width * 72 / dpi, image.height * 72 / dpi
        pdf.add_blank_page(page_size=(wide, high))
        page = pdf.pages[-1]
        stream = pdf.make_stream(image.tobytes())
        told: dict[str, Any] = {
            "/Type": Name.XObject,
            "/Subtype": Name.Image,
            "/Width": image.width,
            "/Height": image.height,
            "/BitsPerComponent": 8,
            "/ColorSpace": Name.DeviceGray,
        }
        for name, value in told.items():
            stream[name] = value
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        page.obj.Resources = Dictionary(XObject=Dictionary(S=stream), Font=Dictionary(F=font))
        content = b"q %f 0 0 %f 0 0 cm /S Do Q " % (wide, high)
        if hidden:
            content += b"BT 3 Tr /F 12 Tf 50 50 Td (%s) Tj ET" % hidden.encode()
        page.obj.Contents = pdf.make_stream(content)
    pdf.save(path)
    return path


def huge_pdf(path: Path, side: int) -> Path:
    """Writes a PDF of one small page with a one-bit picture of `side` × `side` pixels."""
    pdf = pikepdf.new()
    pdf.add_blank_page(page_size=A4)
    page = pdf.pages[-1]
    stream = pdf.make_stream(bytes(side * side // 8))
    stream["/Type"], stream["/Subtype"] = Name.XObject, Name.Image
    stream["/Width"], stream["/Height"], stream["/BitsPerComponent"] = side, side, 1
    stream["/ColorSpace"] = Name.DeviceGray
    page.obj.Resources = Dictionary(XObject=Dictionary(S=stream))
    page.obj.Contents = pdf.make_stream(b"q 595 0 0 842 0 0 cm /S Do Q")
    pdf.save(path, compress_streams=True, recompress_flate=True)
    return path


def _shown(x: float, y: float, text: str) -> bytes:
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return b"BT /F 12 Tf %f %f Td (%s) Tj ET" % (x, y, escaped.encode("cp1252"))
