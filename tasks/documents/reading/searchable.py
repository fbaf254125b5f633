"""pikepdf: a document with its text laid invisibly under its pages, so that it can be searched and
copied from. Pictures stay as they are: a PDF's own, a JPEG's bytes; TIFF and PNG without loss.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream

from millrace.engine.errors import BadInput
from millrace.tasks.documents.pages import Document, Page, Word
from millrace.tasks.documents.reading import opening
from millrace.tasks.documents.reading.glyphless import EM, WIDTH, glyphless

if TYPE_CHECKING:
    from millrace.tasks.documents.reading.images import Embedded

Matrix = tuple[float, float, float, float, float, float]
_FONT = "/MillraceText"
_UNICODE = b"""/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
1 beginbfrange
<0000> <FFFF> <0000>
endbfrange
endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


def write(document: Document, source: Path, passwords: Sequence[str], to: Path) -> None:
    """Writes a document that was read as a searchable PDF.

    What was read by OCR is added; a text layer that was trusted stays alone. One that was not
    trusted stays too: taking it out could change what is seen. Raises BadInput (`damaged`,
    `needs_password`) for a PDF that cannot be written anew.
    """
    with _opened(document, source, passwords) as pdf:
        font: Any = None
        for number, page in enumerate(document.pages):
            words = _words(page)
            if not words or number >= len(pdf.pages):
                continue
            font = font if font is not None else _font(pdf)
            _lay(pdf, pdf.pages[number], page, words, font)
        pdf.remove_unreferenced_resources()
        pdf.save(to, deterministic_id=True)


def _opened(document: Document, source: Path, passwords: Sequence[str]) -> Pdf:
    if document.media_type != opening.PDF:
        return _of_pictures(document, source)
    for password in ("", *passwords):
        try:
            return pikepdf.open(source, password=password)
        except pikepdf.PasswordError:
            continue
        except pikepdf.PdfError:
            raise BadInput(
                "damaged",
                f"{document.name} can be read, but not written anew",
                hint="repair it (`qpdf in.pdf out.pdf`), or print it to a PDF",
            ) from None
    raise opening.needs_password(document.name, len(passwords))


def _of_pictures(document: Document, source: Path) -> Pdf:
    from millrace.tasks.documents.reading.images import embedded

    pdf = Pdf.new()
    for picture in embedded(source, document.media_type, document.name):
        wide, high = picture.width * 72 / picture.dpi, picture.height * 72 / picture.dpi
        pdf.add_blank_page(page_size=(wide, high))
        page = pdf.pages[-1]
        page.obj.Rotate = picture.turned
        page.obj.Resources = Dictionary(XObject=Dictionary(Scan=_image(pdf, picture)))
        page.obj.Contents = pdf.make_stream(b"q %.4f 0 0 %.4f 0 0 cm /Scan Do Q\n" % (wide, high))
    return pdf


def _image(pdf: Pdf, picture: Embedded) -> Stream:
    told: dict[str, Any] = {
        "Type": Name.XObject,
        "Subtype": Name.Image,
        "Width": picture.width,
        "Height": picture.height,
        "BitsPerComponent": picture.bits,
        "ColorSpace": Name("/" + picture.colours),
    }
    if picture.inverted:
        told["Decode"] = Array([1, 0, 1, 0, 1, 0, 1, 0])
    stream = Stream(pdf, b"", **told)
    data = picture.data if picture.is_jpeg else zlib.compress(picture.data, 6)
    stream.write(data, filter=Name.DCTDecode if picture.is_jpeg else Name.FlateDecode)
    return stream


def _words(page: Page) -> list[Word]:
    """Returns the words that the page's own text layer lacks."""
    if page.origin not in ("ocr", "mixed"):
        return []
    own: set[Word] = set()
    if page.origin == "mixed":
        layers = [reading for reading in page.readings if reading.mode == "layer"]
        own = {word for reading in layers for line in reading.lines for word in line.words}
    return [word for line in page.lines for word in line.words if word not in own]


def _lay(pdf: Pdf, target: pikepdf.Page, page: Page, words: Sequence[Word], font: Any) -> None:
    """Puts a page's words before its content, drawn by nothing."""
    to_page = _to_page(target, page)
    parts = [b"q BT 3 Tr"]
    for word in words:
        if (shown := _shown(word, to_page)) is not None:
            parts.append(shown)
    parts.append(b"ET Q\n")
    target.contents_coalesce()
    target.contents_add(pdf.make_stream(b"\n".join(parts)), prepend=True)
    resources = target.obj.get("/Resources")
    resources = target.resources if resources is None else resources
    fonts = dict(resources.get("/Font", Dictionary()).items())
    own = Dictionary(dict(resources.items()))  # resources may be shared between pages
    own["/Font"] = Dictionary({**fonts, _FONT: font})
    target.obj["/Resources"] = own
    if page.rotation:
        target.rotate(page.rotation, relative=True)


def _shown(word: Word, to_page: Matrix) -> bytes | None:
    """Returns what shows a word: set to its box's height, stretched to its width."""
    codes = word.text.encode("utf-16-be", "ignore")
    size, wide = word.box.height, word.box.width
    if not codes or size <= 0 or wide <= 0:
        return None
    natural = len(codes) / 2 * size * WIDTH / EM
    # The baseline is the lower edge; y runs down on the read page and up in a PDF.
    a, b, c, d, e, f = _times((wide / natural, 0, 0, -1, word.box.x0, word.box.y1), to_page)
    place = b"%.5f %.5f %.5f %.5f %.3f %.3f Tm" % (a, b, c, d, e, f)
    return b"%s %.3f Tf %s <%s> Tj" % (_FONT.encode(), size, place, codes.hex().encode())


def _to_page(target: pikepdf.Page, page: Page) -> Matrix:
    """Returns what takes a point of the upright, straightened page to the PDF page's own space."""
    box = [float(n) for n in target.cropbox]
    left, right = sorted((box[0], box[2]))
    low, high = sorted((box[1], box[3]))
    turned = int(target.obj.get("/Rotate", 0)) % 360
    wide, tall = (right - left, high - low) if turned % 180 == 0 else (high - low, right - left)
    scale = 72 / page.dpi
    quarter = page.rotation % 360
    seen = (wide / scale, tall / scale)  # the page as it was rendered, in its own units
    upright = seen if quarter % 180 == 0 else (seen[1], seen[0])
    whole = _slanted(page, upright)
    for step in (
        _turn(-quarter, upright),
        (scale, 0.0, 0.0, scale, 0.0, 0.0),
        _turn(-turned, (wide, tall)),
        (1.0, 0.0, 0.0, -1.0, left, high),
    ):
        whole = _times(whole, step)
    return whole


def _slanted(page: Page, upright: tuple[float, float]) -> Matrix:
    """Returns what takes a point of the straightened page back to the slanted one of that size."""
    if not page.skew:
        return (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    angle, x, y = math.radians(page.skew), page.width / 2, page.height / 2
    cos, sin = math.cos(angle), math.sin(angle)
    across, down = upright[0] / 2, upright[1] / 2
    return (cos, -sin, sin, cos, across - cos * x - sin * y, down + sin * x - cos * y)


def _turn(degrees: int, size: tuple[float, float]) -> Matrix:
    """Returns a turn by quarters clockwise of a page of `size`, y down, its corner at 0 again."""
    wide, tall = size
    match degrees % 360:
        case 90:
            return (0.0, 1.0, -1.0, 0.0, tall, 0.0)
        case 180:
            return (-1.0, 0.0, 0.0, -1.0, wide, tall)
        case 270:
            return (0.0, -1.0, 1.0, 0.0, 0.0, wide)
    return (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def _times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    p, q, r, s, t, u = then
    return (
        a * p + b * r,
        a * q + b * s,
        c * p + d * r,
        c * q + d * s,
        e * p + f * r + t,
        e * q + f * s + u,
    )


def _font(pdf: Pdf) -> Any:
    """Returns a font of all of Unicode's first plane whose every glyph is empty."""
    file = pdf.make_stream(glyphless())
    file.Length1 = len(glyphless())
    descriptor = Dictionary(
        Type=Name.FontDescriptor,
        FontName=Name.GlyphLess,
        FontFile2=file,
        FontBBox=Array([0, 0, WIDTH, EM]),
        Flags=4,
        Ascent=EM,
        Descent=0,
        CapHeight=EM,
        ItalicAngle=0,
        StemV=80,
    )
    below = Dictionary(
        Type=Name.Font,
        Subtype=Name.CIDFontType2,
        BaseFont=Name.GlyphLess,
        CIDSystemInfo=Dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0),
        FontDescriptor=pdf.make_indirect(descriptor),
        DW=WIDTH,
        CIDToGIDMap=pdf.make_stream(b"\0\1" * 65536),
    )
    return pdf.make_indirect(
        Dictionary(
            Type=Name.Font,
            Subtype=Name.Type0,
            BaseFont=Name.GlyphLess,
            Encoding=Name("/Identity-H"),
            DescendantFonts=Array([pdf.make_indirect(below)]),
            ToUnicode=pdf.make_stream(_UNICODE),
        )
    )


def count(path: Path) -> int:
    """Returns the number of pages of a written PDF. Raises BadInput (`damaged`)."""
    try:
        with pikepdf.open(path) as pdf:
            return len(pdf.pages)
    except pikepdf.PdfError as error:
        raise BadInput("damaged", f"it is no PDF: {error}") from None
