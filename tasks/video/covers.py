"""Pictures that belong to a file (cover art) on their way into Matroska.

FFmpeg copies such a picture as a video of one frame, which players then show; Matroska has it as an
attachment, so that is what it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from millrace.engine.errors import DamagedOutput
from millrace.tasks.video import ffmpeg
from millrace.tasks.video.probe import Stream, Video
from millrace.tasks.video.tool import Tool

_USUAL = frozenset(
    f"{small}cover{land}.{suffix}"
    for small in ("", "small_")
    for land in ("", "_land")
    for suffix in ("jpg", "png")
)  # by which players know a cover, says Matroska's specification
_MEDIA = {"mjpeg": ("image/jpeg", ".jpg"), "png": ("image/png", ".png")}


def attached(taken: Sequence[Stream], suffix: str) -> tuple[Stream, ...]:
    """Returns the streams that a container of this suffix takes as attached pictures."""
    return tuple(s for s in taken if s.cover and suffix == ".mkv")


def extracted(
    source: Path, video: Video, covers: Sequence[Stream], folder: Path
) -> tuple[Path, ...]:
    """Writes each picture as it is into `folder`; returns the files. Raises DamagedOutput."""
    if not covers:
        return ()
    opened = ffmpeg.opened(source, video.demuxer)
    paths = tuple(folder / str(number) for number in range(len(covers)))
    how: ffmpeg.Options = {"f": "data", "c": "copy", "frames:v": 1}
    outputs = [
        ffmpeg.target([opened[str(cover.index)]], f"file:{path}", how)
        for cover, path in zip(covers, paths, strict=True)
    ]
    with Tool(ffmpeg.command(outputs)) as tool:
        tool.read()
        if tool.finish() != 0:
            raise DamagedOutput(f"a cover picture could not be copied: {tool.reason()}")
    return paths


def options(
    covers: Sequence[Stream], paths: Sequence[Path], first: int, number: str
) -> ffmpeg.Options:
    """Returns the options that attach the pictures as streams `first` and following.

    What is told of them comes from input `number`. A command line can be read by every user of the
    host, so nothing from the file is in it: a picture with a name of its own gets a usual one.
    """
    found: dict[str, str | int | Sequence[str] | None] = {}
    for place, cover in enumerate(covers, first):
        media, suffix = _MEDIA.get(cover.codec, (f"image/{cover.codec}", f".{cover.codec}"))
        name = cover.filename if _usual(cover) else f"cover{suffix}"
        found[f"map_metadata:s:{place}"] = f"{number}:s:{cover.index}"
        found[f"metadata:s:{place}"] = [f"mimetype={media}", f"filename={name}"]
    return {**found, "attach": [f"file:{path}" for path in paths]} if covers else {}


def renamed(covers: Sequence[Stream]) -> int:
    """Returns how many pictures lose a name of their own."""
    return sum(bool(cover.filename) and not _usual(cover) for cover in covers)


def _usual(cover: Stream) -> bool:
    return cover.filename in _USUAL
