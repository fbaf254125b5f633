"""Raw frames out of a decoder and into an encoder, each with its exact presentation time.

Raw video has no times of its own. Out of FFmpeg they come on a second pipe, from the same graph
(`framecrc`); into FFmpeg the frames go as IVF, whose 12-byte frame header holds a 64-bit PTS and
whose file header holds any time base.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

import numpy as np

from millrace.engine.errors import BadInput, DamagedOutput
from millrace.tasks.video import encoders, ffmpeg, mp4, parts
from millrace.tasks.video.colour import Plane, layout
from millrace.tasks.video.decoding import KEEP_TIMES, STOP_AT_DAMAGE, frames_of
from millrace.tasks.video.encoders import EncodeParams, Picture
from millrace.tasks.video.parts import Part
from millrace.tasks.video.probe import Video
from millrace.tasks.video.segments import Segment
from millrace.tasks.video.timeline import TIMES_ONLY, pts_of
from millrace.tasks.video.tool import Tool


@dataclass(frozen=True)
class Frame:
    """A decoded frame: PTS in ticks of the source's time base, and planes shaped (height, width).

    The planes are views of a buffer that is used again: copy what must outlive the next frame.
    """

    pts: int
    planes: tuple[Plane, ...]


class Decoder:
    """The frames of a segment, decoded as they are asked for: iterate it once."""

    def __init__(
        self, tool: Tool, video: Video, segment: Segment, pix_fmt: str, keep: bool
    ) -> None:
        self.missing = 0
        """Frames that should have been there and did not decode; known after the last frame."""
        self._tool, self._video, self._segment, self._keep = tool, video, segment, keep
        self._layout = layout(pix_fmt)

    def __iter__(self) -> Iterator[Frame]:
        width, height = self._video.width, self._video.height
        buffer = bytearray(self._layout.frame_bytes(width, height))
        planes = self._layout.split(buffer, width, height)
        lines = (line for line in self._tool.extra if not line.startswith(b"#"))
        count = 0
        while _filled(self._tool.stdout, buffer):
            yield Frame(pts_of(next(lines)), planes)
            count += 1
        self.missing = missing_frames(self._tool, self._video, self._segment, count, self._keep)


@contextmanager
def decode(
    path: Path,
    video: Video,
    segment: Segment,
    pix_fmt: str,
    *,
    on_damage: Literal["fail", "keep"] = "fail",
) -> Iterator[Decoder]:
    """Decodes a segment into frames of `pix_fmt` (interlaced video is deinterlaced).

    Use as `with decode(…) as frames: for frame in frames: …`. Leaving the block early ends FFmpeg.
    Raises BadInput `damaged` while iterating when frames do not decode (unless kept), and at the
    end when there are not as many as the segment should have.
    """
    ends = os.pipe()
    both = ffmpeg.forked(frames_of(path, video, segment, pix_fmt))
    raw = {"f": "rawvideo", "c:v": "rawvideo", "pix_fmt": pix_fmt, "fps_mode": "passthrough"}
    outputs = (
        ffmpeg.target([both[0]], "pipe:1", raw),
        ffmpeg.target([both[1]], f"pipe:{ends[1]}", TIMES_ONLY),
    )
    flags = KEEP_TIMES if on_damage == "keep" else (*KEEP_TIMES, *STOP_AT_DAMAGE)
    with Tool(ffmpeg.command(outputs, flags), extra=ends) as tool:
        yield Decoder(tool, video, segment, pix_fmt, on_damage == "keep")


def missing_frames(tool: Tool, video: Video, segment: Segment, count: int, keep: bool) -> int:
    """Returns how many frames of a segment were not decoded, once FFmpeg has ended.

    Raises BadInput `damaged` if there are any and they are not to be kept out, or if none decoded.
    """
    code = tool.finish()
    if failed := [line for line in tool.words() if _ENCODING.search(line)]:
        raise DamagedOutput(f"the encoder failed: {tool.words()[0]}; {failed[0]}")
    expected = max(segment.frames, video.declared if segment.whole else 0)
    if keep and 0 < count <= expected:
        return expected - count
    if code != 0 or count != expected:
        raise BadInput(
            "damaged",
            f"{count} of {expected} frames decode before an error: {tool.reason()}",
            hint="on_damage: keep encodes the frames that decode",
        )
    return 0


class Encoder:
    """Encodes frames into a video-only MP4; a context manager.

    Leaving the block finishes the file; leaving it by an exception removes the file.
    """

    def __init__(self, params: EncodeParams, picture: Picture, out: Path) -> None:
        self.frames = 0
        self.first = 0
        self._picture, self._out, self._layout = picture, out, layout(picture.pix_fmt)
        self.shapes = self._layout.shapes(picture.width, picture.height)
        """Shape (height, width) of each plane of a frame."""
        source = ffmpeg.raw_frames({"c:v": "rawvideo", "tag:v": _tag(picture.pix_fmt), **_HASTE})
        stream = ffmpeg.filtered(source["v"], encoders.tagging(picture))
        options = {**encoders.options(params, picture), **parts.options(picture.time_base)}
        output = ffmpeg.target([stream], f"file:{out}", options)
        self._tool = Tool(ffmpeg.command([output], KEEP_TIMES), feed=True)

    def write(self, pts: int, planes: Sequence[Plane]) -> None:
        """Gives one frame, in order of presentation; planes as `colour.layout` of the picture says.

        Raises DamagedOutput with FFmpeg's own words once it has ended.
        """
        given = tuple((p.shape, p.dtype) for p in planes)
        if given != tuple((shape, self._layout.dtype) for shape in self.shapes):
            raise ValueError(f"planes {given} are not those of {self._picture.pix_fmt}")
        size = sum(p.nbytes for p in planes)
        try:
            if not self.frames:
                self.first = pts
                self._tool.stdin.write(self._header())
            self._tool.stdin.write(struct.pack("<Iq", size, pts))
            for plane in planes:
                self._tool.stdin.write(np.ascontiguousarray(plane).data.cast("B"))
        except BrokenPipeError as error:
            self._tool.finish()
            raise DamagedOutput(f"the encoder stopped: {self._tool.reason()}") from error
        self.frames += 1

    def part(self, segment: Segment, missing: int = 0) -> Part:
        """Returns the record of the finished file."""
        return Part(
            path=self._out, segment=segment, frames=self.frames, first=self.first, missing=missing
        )

    def _header(self) -> bytes:
        base, picture = self._picture.time_base, self._picture
        return struct.pack(
            "<4sHH4sHHIIII",
            b"DKIF",
            0,
            32,
            b"I420",
            picture.width,
            picture.height,
            base.denominator,
            base.numerator,
            0,
            0,
        )

    def _finish(self) -> None:
        with suppress(BrokenPipeError):
            self._tool.stdin.close()
        if self._tool.finish() != 0:
            raise DamagedOutput(f"the encoder failed: {self._tool.reason()}")
        mp4.stamp(self._out, self._picture.matrix, self._picture.colour)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        done = False
        try:
            if error is None:
                self._finish()
                done = True
        finally:
            self._tool.close()
            if not done:
                self._out.unlink(missing_ok=True)


_ENCODING = re.compile(r"output stream|while opening encoder|Video encoding failed")
_HASTE = {"probesize": 32, "analyzeduration": 0}


def _tag(pix_fmt: str) -> int:
    """The tag that FFmpeg's raw decoder knows a planar format by (libavcodec/raw.c)."""
    shape = layout(pix_fmt)
    if shape.planes == 1:
        tag = b"Y800" if shape.depth == 8 else bytes((ord("Y"), ord("1"), 0, shape.depth))
    elif shape.depth == 8:
        tag = {"420": b"I420", "422": b"I422", "444": b"444P"}[pix_fmt[3:6]]
    else:
        places = {"420": 11, "422": 10, "444": 0}
        tag = bytes((ord("Y"), ord("3"), places[pix_fmt[3:6]], shape.depth))
    return int.from_bytes(tag, "little")


def _filled(pipe: IO[bytes], buffer: bytearray) -> bool:
    """Fills the buffer from the pipe; False at the end of the stream."""
    view, got = memoryview(buffer), 0
    while got < len(buffer):
        count = pipe.readinto(view[got:])  # type: ignore[attr-defined]
        if not count:
            return False
        got += count
    return True
