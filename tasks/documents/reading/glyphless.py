"""A TrueType font for text that is there and not seen. Built from the tables that the OpenType
specification demands of a font in a PDF.

Its one glyph is a line there and back: nothing is filled, but it has a height and a width. Text of
empty glyphs is left out by pdfium where it runs up or down a page.
"""

from __future__ import annotations

import struct
from functools import cache

EM = 1000  # units
WIDTH = 500  # of every glyph
_GLYPHS = 2


@cache
def glyphless() -> bytes:
    """Returns the font file."""
    tables = {b"cmap": _cmap(), b"glyf": _line(), b"head": _head(), b"hhea": _hhea()}
    tables |= {
        b"hmtx": struct.pack(">Hh", WIDTH, 0) * _GLYPHS,
        b"loca": struct.pack(">3H", 0, 0, len(_line()) // 2),
        b"maxp": struct.pack(">IH13H", 0x00010000, _GLYPHS, 3, 1, 0, 0, 1, *([0] * 8)),
        b"post": struct.pack(">IIhhIIIII", 0x00030000, 0, 0, 0, 1, 0, 0, 0, 0),
    }
    return _assembled(tables)


def _assembled(tables: dict[bytes, bytes]) -> bytes:
    count = len(tables)
    power = count.bit_length() - 1
    search = 16 << power
    head = struct.pack(">IHHHH", 0x00010000, count, search, power, 16 * count - search)
    offset, rows, body = len(head) + 16 * count, b"", b""
    for tag, data in sorted(tables.items()):
        rows += struct.pack(">4sIII", tag, _sum(data), offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    whole = head + rows + body
    place = whole.index(b"\x5f\x0f\x3c\xf5") - 4  # of the sum, just before the magic number
    fix = (0xB1B0AFBA - _sum(whole)) & 0xFFFFFFFF
    return whole[:place] + struct.pack(">I", fix) + whole[place + 4 :]


def _sum(data: bytes) -> int:
    padded = data + bytes(-len(data) % 4)
    numbers: tuple[int, ...] = struct.unpack(f">{len(padded) // 4}I", padded)
    return sum(numbers) & 0xFFFFFFFF


def _line() -> bytes:
    box = struct.pack(">hhhhh", 1, 0, 0, WIDTH, EM)
    return box + struct.pack(">HH3B6hx2x", 2, 0, 1, 1, 1, 0, WIDTH, -WIDTH, 0, EM, -EM)


def _head() -> bytes:
    return struct.pack(
        ">IIIIHHqqhhhhHHhhh",
        0x00010000,
        0x00010000,
        0,  # the sum, put in last
        0x5F0F3CF5,
        0,
        EM,
        0,
        0,
        0,
        0,
        WIDTH,
        EM,
        0,
        8,
        2,
        0,
        0,
    )


def _hhea() -> bytes:
    numbers = (EM, 0, 0, WIDTH, 0, 0, WIDTH, 1, 0, 0, 0, 0, 0, 0, 0, _GLYPHS)
    return struct.pack(">IhhhHhhhhhhhhhhhH", 0x00010000, *numbers)


def _cmap() -> bytes:
    only = struct.pack(">HHHHHHH", 4, 24, 0, 2, 2, 0, 0)
    only += struct.pack(">HHHhH", 0xFFFF, 0, 0xFFFF, 1, 0)
    return struct.pack(">HHHHI", 0, 1, 3, 1, 12) + only
