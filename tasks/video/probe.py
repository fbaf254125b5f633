"""Facts of a video file, read by ffprobe under a demuxer that its content has chosen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from millrace.tasks.video.colour import Colour


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stream(_Frozen):
    """One stream. `type` is video, audio, subtitle, data or attachment."""

    index: int
    type: str
    codec: str
    tag: str = ""
    language: str = ""
    dispositions: tuple[str, ...] = ()

    @property
    def cover(self) -> bool:
        """Whether the stream is a picture that belongs to the file, not a video."""
        return "attached_pic" in self.dispositions


class Chapter(_Frozen):
    """One chapter, from `start` to `end` seconds."""

    start: Fraction
    end: Fraction
    title: str = ""


class Cut(_Frozen):
    """A place where a segment may begin: a key frame's PTS, and the frames presented before it."""

    pts: int
    before: int


class Video(_Frozen):
    """What is known of a video file, as plain data (`model_dump(mode="json")` is JSON).

    Times are in ticks of `time_base` seconds unless they say seconds. `width` and `height` are of
    the coded picture, before `matrix` (the display matrix, nine integers as in the file; () for
    none) turns it.
    """

    demuxer: str
    seconds: float
    streams: tuple[Stream, ...]
    chapters: tuple[Chapter, ...]
    index: int
    codec: str
    width: int
    height: int
    sar: Fraction
    matrix: tuple[int, ...]
    pix_fmt: str
    depth: int
    alpha: bool
    interlaced: bool
    colour: Colour
    rate: Fraction
    time_base: Fraction
    frames: int
    first: int
    last: int
    cuts: tuple[Cut, ...]
    notes: tuple[str, ...] = ()


def probe(path: Path, name: str = "") -> Video:
    """Returns the facts of a video file; `name` is what messages call it (default: the path's).

    Reads the container once (packets, no decoding).
    Raises BadInput: missing, is_folder, no_permission, empty, truncated, damaged, not_media,
    playlist, no_video, no_duration, unsupported.
    """
    raise NotImplementedError
