"""Encoded segments on their way to a finished file: video-only MP4s with the source's own times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from millrace.engine.errors import DamagedOutput
from millrace.tasks.video import ffmpeg
from millrace.tasks.video.segments import Segment
from millrace.tasks.video.timeline import presented


class Part(BaseModel):
    """An encoded segment: where it lies, and the frames that are really in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    segment: Segment
    frames: int
    first: int
    missing: int = 0


def options(time_base: Fraction) -> ffmpeg.Options:
    """Returns the options of an MP4 that holds times in ticks of `time_base` exactly.

    The movie's own clock, which edit lists count in, ticks as finely as the track's.
    """
    ticks = time_base.denominator
    return {"f": "mp4", "video_track_timescale": ticks, "movie_timescale": ticks}


def verify(part: Part, codec: str, time_base: Fraction) -> None:
    """Reads a part back. Raises DamagedOutput unless it holds just the frames it should."""
    times = presented(part.path, "mov", 0, codec).times
    expected = part.frames if part.missing else part.segment.frames
    if not len(times) == part.frames == expected:
        raise DamagedOutput(
            f"a segment holds {len(times)} frames and should hold {expected}",
            hint="run it again; nothing was joined",
        )
    if times[0] != part.first * time_base.numerator:
        raise DamagedOutput(f"a segment begins at {times[0]} and should at {part.first}")
