"""Facts of a video file, read by ffprobe under the demuxer that the file's content has chosen."""

from __future__ import annotations

import json
from array import array
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from millrace.engine.errors import BadInput
from millrace.tasks.video import colour, ffmpeg, sniff
from millrace.tasks.video.colour import Colour
from millrace.tasks.video.timeline import Cut, Table, cuts_of, presented
from millrace.tasks.video.tool import Tool

MAX_SIDE = 16384
"""Greatest width or height that is decoded, in pixels: twice 8K. Bounds memory before any work."""

_FIRST_FRAMES = 4


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stream(_Frozen):
    """One stream. `type` is video, audio, subtitle, data or attachment; `codec` "" is unknown."""

    index: int
    type: str
    codec: str
    tag: str = ""
    language: str = ""
    title: str = ""
    filename: str = ""
    time_base: Fraction = Fraction(0)
    sample_rate: int = 0
    dispositions: tuple[str, ...] = ()

    @property
    def cover(self) -> bool:
        """Whether the stream is a picture that belongs to the file, not a video."""
        return "attached_pic" in self.dispositions

    @property
    def chapters(self) -> bool:
        """Whether the stream is QuickTime's own track of chapter titles, told as chapters too."""
        return self.codec == "bin_data" and self.tag == "text"


class Chapter(_Frozen):
    """One chapter, from `start` to `stop` seconds."""

    start: Fraction
    stop: Fraction
    title: str = ""


class Video(_Frozen):
    """What is known of a video file, as plain data (`model_dump(mode="json")` is JSON).

    Times are in ticks of `time_base` seconds unless they say seconds. `width` and `height` are of
    the coded picture, before `matrix` (the display matrix, nine integers as in the file; () for
    none) turns it. `frames` are presented, from `first` to `last`; `declared` is how many the file
    says it has (0: it does not say), `cut_short` why it is thought to end early ("" if whole).
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
    dolby_vision: bool
    colour: Colour
    rate: Fraction
    time_base: Fraction
    frames: int
    first: int
    last: int
    declared: int
    cut_short: str
    cuts: tuple[Cut, ...]

    @property
    def others(self) -> tuple[Stream, ...]:
        """Every stream beside the one that is worked on."""
        return tuple(s for s in self.streams if s.index != self.index)


def probe(path: Path, name: str = "") -> Video:
    """Returns the facts of a video file; `name` is what messages call it (default: the path's).

    Reads the container once and decodes the first frames; VP8 and VP9 are decoded whole, because
    their packets do not tell which frames are shown.
    Raises BadInput: missing, is_folder, no_permission, empty, truncated, damaged, not_media,
    playlist, no_video, no_duration, unsupported.
    """
    return probe_with_times(path, name)[0]


def probe_with_times(path: Path, name: str = "") -> tuple[Video, Table]:
    """Returns what `probe` does, and the times of all frames. Raises what it raises."""
    name = name or path.name
    demuxer = sniff.demuxer_of(path, name)
    short = demuxer == "mov" and sniff.ends_early(path)
    found, said = _describe(path, demuxer, name, short)
    main = _main_stream(found, name)
    index = int(main["index"])
    width, height = int(main.get("width", 0)), int(main.get("height", 0))
    if max(width, height) > MAX_SIDE:
        raise BadInput(
            "unsupported", f"{name} is {width}x{height}; the limit is {MAX_SIDE} pixels a side"
        )
    time_base = Fraction(main["time_base"])
    table = presented(path, demuxer, index, main["codec_name"])
    if not len(table.times):
        raise BadInput("no_duration", f"{name} has a video stream without a single frame")
    if not width or not height or "pix_fmt" not in main:
        raise BadInput("damaged", f"{name} holds a video stream that does not say what it shows")
    if any(a >= b for a, b in zip(table.times, table.times[1:], strict=False)):
        raise BadInput("unsupported", f"{name} shows two frames at one time")
    first = _first_frames(path, demuxer, index)
    sides = [*main.get("side_data_list", ()), *first.get("side_data_list", ())]
    pix_fmt = main["pix_fmt"]
    video = Video(
        demuxer=demuxer,
        seconds=_seconds(table.times, time_base),
        streams=tuple(_stream(s) for s in found["streams"]),
        chapters=tuple(_chapter(c) for c in found["chapters"]),
        index=index,
        codec=main["codec_name"],
        width=width,
        height=height,
        sar=_ratio(main.get("sample_aspect_ratio", "")) or Fraction(1),
        matrix=_matrix(sides),
        pix_fmt=pix_fmt,
        depth=colour.depth(pix_fmt),
        alpha=colour.has_alpha(pix_fmt),
        interlaced=_interlaced(main, first),
        dolby_vision=any("DOVI" in s["side_data_type"] for s in sides),
        colour=colour.colour_of({**first, **_known(main)}, sides, pix_fmt),
        rate=_rate(main, table.times, time_base),
        time_base=time_base,
        frames=len(table.times),
        first=table.times[0],
        last=table.times[-1],
        declared=_declared(main, short),
        cut_short=_cut_short(short, [*said, *table.said], name),
        cuts=cuts_of(table, time_base, demuxer),
    )
    return video, table


def _describe(
    path: Path, demuxer: str, name: str, short: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    ask = ("-show_streams", "-show_format", "-show_chapters", "-of", "json")
    with Tool(ffmpeg.inspection(path, demuxer, *ask)) as tool:
        answer = tool.read()
        code = tool.finish()
        if code == 0:
            found: dict[str, Any] = json.loads(answer)
            return found, tool.words()
        reason = tool.reason()
        early = any("ended prematurely" in line for line in tool.words())
    if short or early:
        raise BadInput("truncated", f"{name} ends too early to be opened: {reason}")
    raise BadInput("damaged", f"{name} cannot be opened: {reason}")


def _main_stream(found: dict[str, Any], name: str) -> dict[str, Any]:
    videos = [
        s
        for s in found["streams"]
        if s.get("codec_type") == "video" and not s["disposition"]["attached_pic"]
    ]
    if not videos:
        raise BadInput("no_video", f"{name} has no video stream")
    preferred = [s for s in videos if s["disposition"]["default"]]
    main: dict[str, Any] = (preferred or videos)[0]
    if main.get("codec_name", "unknown") == "unknown":
        raise BadInput("unsupported", f"{name} holds video that FFmpeg has no decoder for")
    return main


def _first_frames(path: Path, demuxer: str, index: int) -> dict[str, Any]:
    ask = (
        f"-select_streams {index} -read_intervals %+#{_FIRST_FRAMES} -show_frames -of json"
    ).split()
    with Tool(ffmpeg.inspection(path, demuxer, *ask)) as tool:
        answer = tool.read()
        tool.finish()
    frames: list[dict[str, Any]] = json.loads(answer or b"{}").get("frames", [])
    if not frames:
        return {}
    return {**frames[0], "interlaced_frame": max(int(f["interlaced_frame"]) for f in frames)}


def _stream(found: dict[str, Any]) -> Stream:
    tags = found.get("tags", {})
    codec = found.get("codec_name", "unknown")
    return Stream(
        index=found["index"],
        type=found.get("codec_type", "data"),
        codec="" if codec == "unknown" else codec,
        tag=found.get("codec_tag_string", "").replace("[0][0][0][0]", ""),
        language=tags.get("language", ""),
        title=tags.get("title", ""),
        filename=tags.get("filename", ""),
        time_base=Fraction(found["time_base"]),
        sample_rate=int(found.get("sample_rate", 0)),
        dispositions=tuple(k for k, on in found["disposition"].items() if on),
    )


def _chapter(found: dict[str, Any]) -> Chapter:
    base = Fraction(found["time_base"])
    title = found.get("tags", {}).get("title", "")
    return Chapter(start=found["start"] * base, stop=found["end"] * base, title=title)


def _known(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if v != "unknown"}


def _ratio(text: str) -> Fraction | None:
    parts = text.replace("/", ":").split(":")
    if len(parts) != 2 or not all(p.isdigit() for p in parts) or "0" in parts:
        return None
    return Fraction(int(parts[0]), int(parts[1]))


def _matrix(sides: list[dict[str, Any]]) -> tuple[int, ...]:
    for side in sides:
        if "displaymatrix" in side:
            rows = (
                line.split(":")[1].split() for line in side["displaymatrix"].strip().split("\n")
            )
            return tuple(int(value) for row in rows for value in row)
    return ()


def _interlaced(main: dict[str, Any], first: dict[str, Any]) -> bool:
    fields = main.get("field_order", "unknown") in ("tt", "bb", "tb", "bt")
    return fields or first.get("interlaced_frame") == 1


def _seconds(times: array[int], time_base: Fraction) -> float:
    """How long the video stream is shown, its last frame as long as the others on average."""
    span = times[-1] - times[0]
    return float(time_base * (span + Fraction(span, max(1, len(times) - 1)))) or 0.04


def _rate(main: dict[str, Any], times: array[int], time_base: Fraction) -> Fraction:
    """The frame rate declared where it agrees with the times, else their mean."""
    declared = _ratio(main.get("avg_frame_rate", "")) or _ratio(main.get("r_frame_rate", ""))
    if len(times) < 2:
        return declared or Fraction(25)
    mean = Fraction(len(times) - 1) / ((times[-1] - times[0]) * time_base)
    if declared and abs(declared / mean - 1) < Fraction(1, 20):
        return declared
    return mean.limit_denominator(1001)


def _declared(main: dict[str, Any], short: bool) -> int:
    return int(main.get("nb_frames", 0)) if short else 0


def _cut_short(short: bool, said: list[str], name: str) -> str:
    early = [line for line in said if "ended prematurely" in line or "partial file" in line]
    if short or early:
        return f"{name} ends early"
    return ""
