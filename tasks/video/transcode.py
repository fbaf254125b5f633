"""A segment of a file encoded in one FFmpeg, no frame passing through Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from millrace.engine.errors import DamagedOutput
from millrace.tasks.video import decoding, encoders, ffmpeg, mp4, parts
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.parts import Part
from millrace.tasks.video.picture import Picture
from millrace.tasks.video.probe import Video
from millrace.tasks.video.rawpipe import missing_frames
from millrace.tasks.video.segments import Segment
from millrace.tasks.video.timeline import TIMES_ONLY, pts_of
from millrace.tasks.video.tool import Tool


def transcode(
    path: Path,
    video: Video,
    segment: Segment,
    params: EncodeParams,
    picture: Picture,
    out: Path,
    progress: Callable[[int], None] = lambda frames: None,
) -> Part:
    """Encodes a segment into the video-only MP4 `out`; `progress` gets the frames decoded so far.

    Raises BadInput `damaged` as `rawpipe.decode` does, DamagedOutput when the encoder fails; then
    no file is left.
    """
    frames = decoding.frames_of(path, video, segment, picture.pix_fmt)
    tagged = ffmpeg.filtered(frames, encoders.tagging(picture))
    shown, timed = ffmpeg.forked(tagged)
    outputs = (
        ffmpeg.target(
            [shown],
            f"file:{out}",
            {**encoders.options(params, picture), **parts.options(picture.time_base)},
        ),
        ffmpeg.target([timed], "pipe:1", TIMES_ONLY),
    )
    keep = params.on_damage == "keep"
    flags = decoding.KEEP_TIMES if keep else (*decoding.KEEP_TIMES, *decoding.STOP_AT_DAMAGE)
    done = False
    try:
        with Tool(ffmpeg.command(outputs, flags)) as tool:
            count, first = 0, 0
            for line in tool.stdout:
                if not line.startswith(b"#"):
                    first = first if count else pts_of(line)
                    count += 1
                    progress(count)
            missing = missing_frames(tool, video, segment, count, keep)
            if tool.finish() != 0 and not missing:
                raise DamagedOutput(f"the encoder failed: {tool.reason()}")
        mp4.stamp(out, picture.matrix, picture.colour)
        done = True
    finally:
        if not done:
            out.unlink(missing_ok=True)
    return Part(path=out, segment=segment, frames=count, first=first, missing=missing)
