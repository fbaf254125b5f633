"""What FFmpeg cannot be told to write into an MP4: a mirroring display matrix, and HDR10 boxes.

Works on a video-only file just written by FFmpeg, whose `moov` box comes last, so that it can grow
without moving what it points to. Boxes: ISO/IEC 14496-12 (tkhd, stsd), 23001-8 (mdcv, clli).
"""

from __future__ import annotations

import struct
from pathlib import Path

from millrace.tasks.video.colour import Colour, Light, Mastering
from millrace.tasks.video.sniff import boxes

_PATH_TO_ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_STSD_HEADER = 16
_SAMPLE_ENTRY_HEADER = 86
_MATRIX_AT = {0: 48, 1: 60}


def stamp(path: Path, matrix: tuple[int, ...], colour: Colour) -> None:
    """Writes the display matrix (nine integers, () for none) and HDR10 metadata into a file.

    Raises ValueError if the file is not one that FFmpeg has just written.
    """
    if not matrix and not colour.mastering and not colour.light:
        return
    *_, (kind, start, length) = boxes(path)
    if kind != b"moov":
        raise ValueError(f"the last box of {path.name} is not moov")
    with path.open("r+b") as file:
        file.seek(start)
        moov = bytearray(file.read(length))
        if matrix:
            _turn(moov, matrix)
        _describe_light(moov, colour)
        file.seek(start)
        file.write(moov)


def _turn(moov: bytearray, matrix: tuple[int, ...]) -> None:
    at, _ = _child(moov, _child(moov, (0, len(moov)), b"trak"), b"tkhd")
    place = at + _MATRIX_AT[moov[at + 8]]
    struct.pack_into(">9i", moov, place, *matrix)


def _describe_light(moov: bytearray, colour: Colour) -> None:
    chain = [(0, len(moov))]
    for kind in _PATH_TO_ENTRY[1:]:
        chain.append(_child(moov, chain[-1], kind))
    entry = chain[-1][0] + _STSD_HEADER
    length = int.from_bytes(moov[entry : entry + 4], "big")
    present = {
        bytes(moov[at + 4 : at + 8])
        for at, _ in _inside(moov, entry + _SAMPLE_ENTRY_HEADER, entry + length)
    }
    added = b""
    if colour.mastering and b"mdcv" not in present:
        added += _mdcv(colour.mastering)
    if colour.light and b"clli" not in present:
        added += _clli(colour.light)
    moov[entry + length : entry + length] = added
    for at in (entry, *(at for at, _ in chain)):
        size = int.from_bytes(moov[at : at + 4], "big") + len(added)
        struct.pack_into(">I", moov, at, size)


def _mdcv(mastering: Mastering) -> bytes:
    points = (*mastering.green, *mastering.blue, *mastering.red, *mastering.white)
    low, high = (round(value * 10000) for value in mastering.luminance)
    body = struct.pack(">8H2I", *(round(value * 50000) for value in points), high, low)
    return struct.pack(">I4s", 8 + len(body), b"mdcv") + body


def _clli(light: Light) -> bytes:
    return struct.pack(">I4s2H", 12, b"clli", light.max_content, light.max_average)


def _child(data: bytearray, parent: tuple[int, int], kind: bytes) -> tuple[int, int]:
    at, length = parent
    for inner, size in _inside(data, at + 8, at + length):
        if data[inner + 4 : inner + 8] == kind:
            return inner, size
    raise ValueError(f"there is no {kind.decode()} box")


def _inside(data: bytearray, at: int, stop: int) -> list[tuple[int, int]]:
    found = []
    while at + 8 <= stop:
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:
            break
        found.append((at, size))
        at += size
    return found
