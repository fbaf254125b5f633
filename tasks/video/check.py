"""Reads a finished file back and compares it with its source: nothing may be lost or moved."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from millrace.engine.errors import BadInput, DamagedOutput
from millrace.tasks.video import ffmpeg
from millrace.tasks.video.picture import Picture
from millrace.tasks.video.probe import Stream, Video, probe_with_times
from millrace.tasks.video.streams import copied
from millrace.tasks.video.timeline import presented
from millrace.tasks.video.tool import Tool

MATROSKA_TICK = Fraction(1, 1000)
_HALF_A_PIXEL = Fraction(1, 2)  # WebM has the width that is shown in whole pixels


@dataclass
class _Packets:
    """What one stream's packets hold: a digest over all of them, and the time of each."""

    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    times: array[int] = field(default_factory=lambda: array("q"))


def check(
    source: Path, video: Video, picture: Picture, out: Path, missing: int = 0
) -> tuple[str, ...]:
    """Compares `out` with its source; returns how far times had to move (nothing, as a rule).

    Compared: number of frames, every PTS, size, pixel format, colour, aspect ratio and rotation;
    codec, language, dispositions, packets and times of every other stream; chapters. Times are
    equal exactly, or to half a tick where the container's time base is coarser.
    Raises DamagedOutput naming the first difference.
    """
    try:
        made, table = probe_with_times(out, "the output")
    except BadInput as error:
        raise DamagedOutput(f"the output cannot be read back: {error.message}") from error
    _same("frames", made.frames, max(video.frames, video.declared) - missing)
    shift = _moved(source, video, made, table.times)
    _same_picture(picture, made)
    _same_streams(source, video, copied(video, out.suffix), out, made, shift)
    _same_chapters(video, made, shift)
    return _notes(video, made, shift)


def _same(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise DamagedOutput(f"the output's {what}: {got}, and should be {expected}")


def _moved(source: Path, video: Video, made: Video, after: array[int]) -> Fraction:
    """Compares every PTS with those `after`; returns by how many seconds all of them moved.

    Matroska holds no negative times, so FFmpeg moves all streams when one begins before zero.
    """
    before = presented(source, video.demuxer, video.index, video.codec).times
    shift = Fraction(0)
    slack = _slack(video.time_base, made.time_base)
    if made.demuxer == "matroska":
        moved = after[0] * made.time_base - before[0] * video.time_base
        shift = moved if moved > slack else shift
        slack += MATROSKA_TICK if shift else 0
    if len(before) == len(after):
        pairs: Iterator[tuple[int, int]] = zip(before, after, strict=True)
    else:
        pairs = ((_nearest(before, video, made, pts, shift), pts) for pts in after)
    for old, new in pairs:
        difference = new * made.time_base - old * video.time_base - shift
        if abs(difference) > slack:
            at = float(old * video.time_base)
            raise DamagedOutput(f"the frame at {at:.6f} s is off by {float(difference):.6f} s")
    return shift


def _nearest(times: array[int], video: Video, made: Video, pts: int, shift: Fraction) -> int:
    """The source's PTS nearest to one of the output, where frames are missing."""
    at = (pts * made.time_base - shift) / video.time_base
    place = bisect_left(times, at)
    return min(times[max(0, place - 1) : place + 1], key=lambda t: abs(t - at))


def _slack(old: Fraction, new: Fraction) -> Fraction:
    return Fraction(0) if (old / new).denominator == 1 else new / 2


def _same_picture(picture: Picture, made: Video) -> None:
    _same("size", (made.width, made.height), (picture.width, picture.height))
    _same("pixel format", made.pix_fmt.replace("yuvj", "yuv"), picture.pix_fmt)
    if made.demuxer != "matroska" or abs(made.sar - picture.sar) * made.width > _HALF_A_PIXEL:
        _same("aspect ratio", made.sar, picture.sar)
    _same("rotation", made.matrix, picture.matrix)
    _same("scan", made.interlaced, False)
    _same("range", made.colour.range or "tv", picture.colour.range or "tv")
    for name in ("primaries", "transfer", "matrix"):
        if expected := getattr(picture.colour, name):
            _same(f"colour {name}", getattr(made.colour, name), expected)
    if (light := picture.colour.light) is not None:
        _same("light level", made.colour.light, light)
    if (mastering := picture.colour.mastering) is not None:
        if made.colour.mastering is None:
            raise DamagedOutput("the output has lost its mastering display metadata")
        _same("mastering display", made.colour.mastering.rounded(), mastering.rounded())


def _same_streams(
    source: Path,
    video: Video,
    expected: tuple[Stream, ...],
    out: Path,
    made: Video,
    shift: Fraction,
) -> None:
    found = sorted((s for s in made.others if not s.chapters), key=_rank)
    expected = tuple(sorted(expected, key=_rank))
    _same("other streams", [_face(s) for s in found], [_face(s) for s in expected])
    for old, new in zip(expected, found, strict=True):
        if "default" in old.dispositions and "default" not in new.dispositions:
            raise DamagedOutput(f"stream {new.index} is no longer a default one")
    if not expected:
        return  # two passes over the files would find nothing to compare
    before, after = _packets(source, video), _packets(out, made)
    for old, new in zip(expected, found, strict=True):
        what = f"stream {new.index} ({new.type} {new.codec})"
        was, now = before.get(old.index, _Packets()), after.get(new.index, _Packets())
        _same(f"number of packets of {what}", len(now.times), len(was.times))
        _same(f"packets of {what}", now.digest.hexdigest(), was.digest.hexdigest())
        slack = _slack(old.time_base, new.time_base) + (MATROSKA_TICK if shift else 0)
        if old.type == "audio" and old.time_base > new.time_base:
            slack = old.time_base  # FFmpeg spaces the samples evenly again
        for a, b in zip(was.times, now.times, strict=True):
            if abs(b * new.time_base - a * old.time_base - shift) > slack:
                at = float(a * old.time_base)
                raise DamagedOutput(f"{what} has moved at {at:.6f} s")


def _rank(stream: Stream) -> int:
    """Tracks, then attachments, then covers: the order of these among each other has no meaning."""
    return 2 if stream.cover else int(stream.type == "attachment")


def _face(stream: Stream) -> tuple[object, ...]:
    """What must not change. FFmpeg makes some stream of each type the default one by itself."""
    language = "" if stream.language == "und" else stream.language
    return stream.type, stream.codec, language, frozenset(stream.dispositions) - {"default"}


def _packets(path: Path, video: Video) -> dict[int, _Packets]:
    """Reads the packets of every stream but the main one, in one pass."""
    found: dict[int, _Packets] = {}
    wanted = "packet=stream_index,pts,data_hash"
    ask = ("-show_entries", wanted, "-show_data_hash", "sha256", "-of", "default")
    with Tool(ffmpeg.inspection(path, video.demuxer, *ask)) as tool:
        index = 0
        for line in tool.stdout:
            key, _, value = line.rstrip().partition(b"=")
            if key == b"stream_index":
                index = int(value)
            elif index == video.index:
                continue
            elif key == b"pts":
                found.setdefault(index, _Packets()).times.append(
                    0 if value == b"N/A" else int(value)
                )
            elif key == b"data_hash":
                found.setdefault(index, _Packets()).digest.update(value)
        tool.finish()
    return found


def _same_chapters(video: Video, made: Video, shift: Fraction) -> None:
    _same("chapters", [c.title for c in made.chapters], [c.title for c in video.chapters])
    for old, new in zip(video.chapters, made.chapters, strict=True):
        if abs(new.start - old.start - shift) > MATROSKA_TICK:
            raise DamagedOutput(f"the chapter {new.title!r} has moved to {float(new.start):.3f} s")


def _notes(video: Video, made: Video, shift: Fraction) -> tuple[str, ...]:
    found = []
    if shift:
        found.append(
            f"all times moved by {float(shift):.3f} s: a stream begins before zero, "
            "which Matroska cannot hold"
        )
    if made.demuxer == "matroska" and _slack(video.time_base, made.time_base):
        found.append("times are rounded to milliseconds, which is what Matroska counts in")
    return tuple(found)
