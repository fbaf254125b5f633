"""What a file is, told by its first bytes alone: the one demuxer that may read it.

A name says nothing. Formats that name other files (playlists, DASH, concat lists, image lists) have
no place in the table, so that nothing they name is ever opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from millrace.engine.errors import BadInput

_HEAD_BYTES = 4096

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"FLV\x01", "flv"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"OggS", "ogg"),
    (0, b"DKIF", "ivf"),
    (0, b"YUV4MPEG2", "yuv4mpegpipe"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "mxf"),
    (0, b"nut/multimedia container\x00", "nut"),
)
_BOXES = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx", b"moof")
)
_SOUND = (b"ID3", b"fLaC", b"#!AMR", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\xff\xf9", b".snd")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"BM", b"\x76\x2f\x31\x01")
_BARE = (b"\x00\x00\x00\x01", b"\x00\x00\x01\xb3", b"\x00\x00\x01\x67")
_PLAYLISTS = (
    b"#extm3u",
    b"ffconcat",
    b"[playlist]",
    b"<mpd",
    b"<smil",
    b"<asx",
    b"<playlist",
    b"<smoothstreamingmedia",
    b"[internetshortcut]",
    b"rtsptext",
)


def demuxer_of(path: Path, name: str = "") -> str:
    """Returns the name of the FFmpeg demuxer that a file's content calls for.

    `name` is what messages call the file. Raises BadInput: missing, is_folder, no_permission,
    empty, playlist, not_media, no_video, unsupported.
    """
    name = name or path.name
    head = _head(path, name)
    for offset, magic, demuxer in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return demuxer
    if head[4:8] in _BOXES:
        return "mov"
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        return "avi"
    if _transport(head):
        return "mpegts"
    raise _refusal(head, name)


def ends_early(path: Path) -> bool:
    """Returns whether an MP4 or QuickTime file is shorter than its boxes say."""
    size = path.stat().st_size
    return any(start + length > size for _, start, length in boxes(path))


def boxes(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yields (type, start, length) of the outermost boxes of an MP4 or QuickTime file, in bytes.

    Stops at the first length that is none; a length of zero reaches to the end of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            elif length == 0:
                length = size - at
            yield kind, at, length
            if length < 8:
                return
            at += length


def _head(path: Path, name: str) -> bytes:
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise BadInput("is_folder", f"{name} is a folder, not a video file")
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadInput("not_media", f"{name} is not a regular file")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise BadInput("missing", f"{name} does not exist") from error
    except PermissionError as error:
        raise BadInput(
            "no_permission",
            f"{name} may not be read by this user",
            hint=f"give user {os.geteuid()} read permission",
        ) from error
    except OSError as error:
        raise BadInput("unreadable", f"{name} cannot be read: {error.strerror}") from error
    if not head:
        raise BadInput("empty", f"{name} is empty")
    return head


def _transport(head: bytes) -> bool:
    return any(
        len(head) > start + packet and all(byte == 0x47 for byte in head[start::packet])
        for packet, start in ((188, 0), (192, 4), (204, 0))
    )


def _refusal(head: bytes, name: str) -> BadInput:
    text = head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower().replace(b"\x00", b"")
    marks = text[:1024] if text[:1] == b"<" else text[:20]
    if any(mark in marks for mark in _PLAYLISTS):
        return BadInput(
            "playlist",
            f"{name} is a playlist or manifest, not a video; what it names was not opened",
            hint="give the video files themselves",
        )
    if head.startswith(_SOUND) or (head[:4] == b"RIFF" and head[8:12] == b"WAVE"):
        return BadInput("no_video", f"{name} holds sound only")
    if head.startswith(_PICTURES) or head[8:12] == b"WEBP":
        return BadInput(
            "unsupported", f"{name} is a picture", hint="video.assemble makes a video of pictures"
        )
    if head.startswith(_BARE):
        return BadInput(
            "unsupported",
            f"{name} is a bare video stream, which says nothing of when its frames are shown",
            hint="put it into a container first: ffmpeg -framerate 25 -i FILE -c copy FILE.mkv",
        )
    return BadInput("not_media", f"{name} is not a video file that we know by its content")
