"""The finished file: encoded segments joined, with everything else of the source copied."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from millrace.engine.errors import DamagedOutput
from millrace.tasks.video import covers, ffmpeg, parts
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.parts import Part
from millrace.tasks.video.probe import Stream, Video
from millrace.tasks.video.streams import CONTAINERS, copied, dropped
from millrace.tasks.video.tool import Tool

REPEATABLE: dict[str, str | int | None] = {"fflags": "+bitexact"}
"""Options that make the same file of the same streams: Matroska would get random identifiers."""

_FINEST_CLOCK = 2**31 - 1


def mux(
    source: Path, video: Video, segments: Sequence[Part], params: EncodeParams, out: Path
) -> tuple[str, ...]:
    """Joins the parts into `out` beside a copy of every other stream of the source.

    The suffix of `out` names the container (`streams.suffix_for`). Streams keep their order, times,
    language and dispositions (Matroska has attachments last); chapters and tags are kept. Returns
    what a person should know.
    Raises DamagedOutput when a part does not hold the frames it should, or FFmpeg fails.
    """
    for part in segments:
        parts.verify(part, params.codec, video.time_base)
    listing = out.with_name(out.name + ".parts")
    try:
        joined, options = joined_parts(segments, video.time_base, listing)
        with tempfile.TemporaryDirectory() as folder:
            pictures = covers.attached(copied(video, out.suffix), out.suffix)
            files = covers.extracted(source, video, pictures, Path(folder))
            outputs = [_output(joined, source, video, params, out, options, files)]
            _write(outputs, source, video, out)
    finally:
        listing.unlink(missing_ok=True)
    return _notes(video, segments, out.suffix)


def _write(outputs: Sequence[Any], source: Path, video: Video, out: Path) -> None:
    with Tool(ffmpeg.command(outputs, ("-copyts",), (source, video.demuxer))) as tool:
        tool.read()
        if tool.finish() != 0:
            out.unlink(missing_ok=True)
            raise DamagedOutput(f"the streams could not be put together: {tool.reason()}")


def joined_parts(
    segments: Sequence[Part], time_base: Fraction, listing: Path
) -> tuple[Any, dict[str, str | int]]:
    """Returns a graph's input of all parts in order, and the options that give them their times.

    One part is taken as it is. Several are listed, in a file written at `listing`, with the time
    from each to the next; the list begins at zero, so what precedes the first frame is added to
    every time."""
    if len(segments) == 1:
        return ffmpeg.opened(segments[0].path, "mov"), {}
    micro = [round(part.first * time_base * 1_000_000) for part in segments]
    lines = ["ffconcat version 1.0"]
    for place, part in enumerate(segments):
        quoted = str(part.path.absolute()).replace("'", r"'\''")
        lines.append(f"file 'file:{quoted}'")
        if place + 1 < len(segments):
            lines.append(f"duration {micro[place + 1] - micro[place]}us")
    listing.write_text("\n".join(lines) + "\n")
    ticks = segments[0].first * time_base.numerator
    return ffmpeg.listed(listing), {"bsf": f"setts=pts=PTS+({ticks}):dts=DTS+({ticks})"}


def _output(
    joined: Any,
    source: Path,
    video: Video,
    params: EncodeParams,
    out: Path,
    options: dict[str, str | int],
    pictures: Sequence[Path],
) -> Any:
    other = ffmpeg.opened(source, video.demuxer)
    taken = copied(video, out.suffix)
    main = next(s for s in video.streams if s.index == video.index)
    attached = covers.attached(taken, out.suffix)
    mapped = (main, *(s for s in taken if s not in attached))
    order = sorted(mapped, key=lambda s: s.index)
    place = order.index(main)
    number = ffmpeg.input_number(source)
    chosen: dict[str, str | int | Sequence[str] | None] = {
        "f": CONTAINERS[out.suffix].muxer,
        "c": "copy",
        "copy_unknown": None,
        **REPEATABLE,
        "map_metadata": number,
        "map_chapters": number,
        **{f"{name}:{place}": value for name, value in options.items()},
    }
    if out.suffix in (".mp4", ".mov"):
        chosen |= {
            "video_track_timescale": video.time_base.denominator,
            "movie_timescale": _clock(video.time_base, taken),
            "movflags": "+faststart",
        }
        if params.codec == "hevc":
            chosen[f"tag:{place}"] = "hvc1"
    for index, stream in enumerate(order):
        chosen[f"map_metadata:s:{index}"] = f"{number}:s:{stream.index}"
        chosen[f"disposition:{index}"] = "+".join(stream.dispositions) or "0"
    chosen |= covers.options(attached, pictures, len(order), number)
    streams = [joined["v:0"] if s is main else other[str(s.index)] for s in order]
    return ffmpeg.target(streams, f"file:{out}", chosen)


def _clock(time_base: Fraction, taken: Sequence[Stream]) -> int:
    """Ticks a second in which the start of every stream is a whole number, if there are such."""
    clocks = {s.sample_rate or s.time_base.denominator for s in taken}
    exact = math.lcm(time_base.denominator, *clocks)
    return exact if exact <= _FINEST_CLOCK else time_base.denominator


def _notes(video: Video, segments: Sequence[Part], suffix: str) -> tuple[str, ...]:
    found = [
        f"stream {s.index} ({s.type} {s.codec or s.tag or 'unknown'}) was left out: "
        f"{suffix} cannot carry it"
        for s in dropped(video, suffix)
    ]
    if renamed := covers.renamed(covers.attached(copied(video, suffix), suffix)):
        found.append(f"{renamed} of its pictures did not keep the name of a file")
    if missing := sum(part.missing for part in segments):
        found.append(f"{missing} frames are missing: they did not decode")
    elif video.cut_short:
        found.append(video.cut_short)
    return tuple(found)
