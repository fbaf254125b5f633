"""The finished file: encoded segments joined, with everything else of the source copied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from millrace.tasks.video.encoders import EncodeParams, Picture
from millrace.tasks.video.parts import Part
from millrace.tasks.video.probe import Video


def suffix_for(video: Video, params: EncodeParams, wanted: str) -> str:
    """Returns the suffix (".mp4", ".mkv", ".mov") of the container that carries every stream.

    `wanted` is the suffix a person asked for, or "". Pure.
    Raises BadInput `unsupported_stream` when the one asked for cannot carry a stream.
    """
    raise NotImplementedError


def mux(
    source: Path, video: Video, parts: Sequence[Part], picture: Picture, out: Path
) -> tuple[str, ...]:
    """Joins the parts and copies every other stream of the source beside them; returns notes.

    Raises DamagedOutput when a part does not hold the frames it should.
    """
    raise NotImplementedError


def check(source: Path, video: Video, picture: Picture, out: Path, missing: int = 0) -> None:
    """Reads the output back and compares it with its source.

    Compared: frame count, every PTS, streams, copied packets, chapters, size, colour, rotation.
    Raises DamagedOutput naming the first difference.
    """
    raise NotImplementedError
