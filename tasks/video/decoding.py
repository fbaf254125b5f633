"""How a source is opened and turned into the frames that an encoder or a network is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from millrace.tasks.video import ffmpeg
from millrace.tasks.video.ffmpeg import Filter
from millrace.tasks.video.picture import is_rgb
from millrace.tasks.video.probe import Video
from millrace.tasks.video.segments import Segment

KEEP_TIMES = ("-copyts",)
STOP_AT_DAMAGE = ("-xerror",)


def frames_of(path: Path, video: Video, segment: Segment, pix_fmt: str) -> Any:
    """Returns the graph of a segment's frames: PTS in ticks of the source, pixels in `pix_fmt`.

    Seeking goes to the segment's key frame or an earlier one; the trim then takes exactly the
    frames between its bounds, whatever was decoded before them.
    """
    seek: dict[str, str | int | None] = {"noautorotate": None}
    if segment.start is not None:
        microseconds = -(-segment.start * video.time_base * 1_000_000 // 1)
        seek |= {"ss": f"{microseconds}us", "seek_timestamp": 1, "noaccurate_seek": None}
    source = ffmpeg.opened(path, video.demuxer, seek)
    return ffmpeg.filtered(source[str(video.index)], filters(video, segment, pix_fmt))


def filters(video: Video, segment: Segment, pix_fmt: str) -> list[Filter]:
    """Returns the filters of a segment. Deinterlacing comes before the cut, so that it sees the
    fields after it."""
    found: list[Filter] = []
    if video.interlaced:
        base = f"{video.time_base.numerator}/{video.time_base.denominator}"
        found += [
            Filter("bwdif", {"mode": "send_frame", "parity": "auto", "deint": "interlaced"}),
            Filter("settb", {"expr": base}),
        ]
    bounds = {"start_pts": segment.start, "end_pts": segment.stop}
    if given := {k: v for k, v in bounds.items() if v is not None}:
        found.append(Filter("trim", given))
    if video.alpha:
        found += [
            Filter("format", {"pix_fmts": "gbrap" if video.depth == 8 else "gbrap12le"}),
            Filter("premultiply", {"inplace": 1}),
            Filter("format", {"pix_fmts": "gbrp" if video.depth == 8 else "gbrp12le"}),
        ]
    if video.pix_fmt != pix_fmt:
        found += [Filter("scale", _conversion(video)), Filter("format", {"pix_fmts": pix_fmt})]
    return found


def _conversion(video: Video) -> dict[str, str | int]:
    how: dict[str, str | int] = {"flags": "lanczos+accurate_rnd+full_chroma_int"}
    if is_rgb(video.pix_fmt):
        return {**how, "out_color_matrix": "bt709", "out_range": "tv"}
    if video.colour.range:
        return {**how, "in_range": video.colour.range, "out_range": video.colour.range}
    return how
