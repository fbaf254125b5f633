"""When the frames of a video are shown, and where it may be cut."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from millrace.tasks.video import ffmpeg
from millrace.tasks.video.tool import Tool

CUT_SECONDS = 2
"""Least distance of two places where a video may be cut; keeps all-intra files small facts."""

_SEEKABLE = frozenset(("mov", "matroska"))
_HIDDEN_FRAMES = frozenset(("vp8", "vp9"))


class Cut(BaseModel):
    """A place where a segment may begin: a key frame's PTS, and the frames presented before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pts: int
    before: int


@dataclass(frozen=True)
class Table:
    """Sorted PTS of the presented frames, PTS of clean key frames, and complaints of FFmpeg."""

    times: array[int]
    keys: array[int]
    said: tuple[str, ...]


def presented(path: Path, demuxer: str, index: int, codec: str) -> Table:
    """Returns when the frames of stream `index` are presented, in ticks of its time base.

    Read from the packets, less those that an edit list discards. Decoded instead where packets do
    not tell: codecs with hidden frames, and containers without presentation times.
    """
    packets = _from_packets(path, demuxer, index, codec)
    if packets and codec not in _HIDDEN_FRAMES:
        return packets
    times, said = _from_frames(path, demuxer, index)
    return Table(times, packets.keys if packets else array("q"), said)


def _from_packets(path: Path, demuxer: str, index: int, codec: str) -> Table | None:
    """Reads packets in decoding order. A key frame is clean if no later packet is shown before it:
    what follows it can then be decoded without what precedes it. HEVC marks such later packets as
    ones to skip when decoding begins at the key frame, so there every key frame is clean."""
    times, keys = array("q"), array("q")
    ask = (f"-select_streams {index} -show_entries packet=pts,flags -of csv=p=0").split()
    with Tool(ffmpeg.inspection(path, demuxer, *ask)) as tool:
        for line in tool.stdout:
            fields = line.rstrip().split(b",")
            if len(fields) < 2 or not fields[0]:
                continue
            if fields[0] == b"N/A":
                return None
            pts = int(fields[0])
            while codec != "hevc" and keys and keys[-1] > pts:
                keys.pop()
            if b"D" not in fields[1]:
                times.append(pts)
                if b"K" in fields[1]:
                    keys.append(pts)
        tool.finish()
        said = tool.words()
    return Table(array("q", sorted(times)), array("q", sorted(keys)), said)


def _from_frames(path: Path, demuxer: str, index: int) -> tuple[array[int], tuple[str, ...]]:
    times, source = array("q"), ffmpeg.opened(path, demuxer)
    output = ffmpeg.target([source[str(index)]], "pipe:1", TIMES_ONLY)
    with Tool(ffmpeg.command([output], ("-copyts",))) as tool:
        for line in tool.stdout:
            if not line.startswith(b"#"):
                times.append(pts_of(line))
        tool.finish()
        return times, tool.words()


TIMES_ONLY: ffmpeg.Options = {
    "f": "framecrc",
    "c:v": "wrapped_avframe",
    "fps_mode": "passthrough",
    "enc_time_base": "-1",
    "flush_packets": 1,
    "avoid_negative_ts": "disabled",
}
"""Options of an output that tells the time of each frame, in ticks of the input, and no more."""


def pts_of(line: bytes) -> int:
    """Returns the PTS in a line of FFmpeg's `framecrc` format."""
    return int(line.split(b",")[2])


def cuts_of(table: Table, time_base: Fraction, demuxer: str) -> tuple[Cut, ...]:
    """Returns where a video may be cut; none where a demuxer cannot be told to go to a time."""
    if demuxer not in _SEEKABLE or not len(table.times):
        return ()
    found: list[Cut] = []
    last = table.times[0]
    for pts in table.keys:
        if (pts - last) * time_base >= CUT_SECONDS:
            found.append(Cut(pts=pts, before=bisect_left(table.times, pts)))
            last = pts
    return tuple(found)
