"""A video made of a video: what the kinds that read one and write one share.

`Job` is the pure part: what the output will be, how much work that is, where it is cut. `finish`
and `confirm` are the end: parts put together with the rest of the source, the result read back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from millrace.engine.errors import BadInput, DamagedOutput, ItemError
from millrace.engine.stages import Batch, Failure, Outline, Result, Span, Staged
from millrace.tasks.video import parts, streams
from millrace.tasks.video.check import check
from millrace.tasks.video.colour import layout
from millrace.tasks.video.mux import mux
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.parts import Part
from millrace.tasks.video.picture import Picture, picture_for
from millrace.tasks.video.probe import Video, probe
from millrace.tasks.video.segments import Segment, plan_segments

MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
}
PART_TYPE = "video/mp4"

# Bits a pixel at the default quality, and frames' worth of memory that an encoder holds with four
# frame threads: measured on Debian's FFmpeg 5.1 with 320x180 to 3840x2160 test pictures.
_BITS_A_PIXEL = {"h264": 0.12, "hevc": 0.08, "av1": 0.06}
_FRAMES_HELD = {"h264": 150, "hevc": 150, "av1": 200}
_DECODED_FRAMES_HELD = 40
_PROGRAM_BYTES = 300 << 20
_SLACK = 1.5


def outline_of(video: Video, media_type: str, size: int) -> Outline:
    """Returns the outline of a video file of `size` bytes."""
    facts: dict[str, Any] = {
        "frames": video.frames,
        "width": video.width,
        "height": video.height,
        "seconds": video.seconds,
        "video": video.model_dump(mode="json"),
    }
    return Outline(media_type=media_type, size=size, facts=facts)


def measure(item: Staged) -> Outline:
    """Returns the outline of an item, read by ffprobe. Raises BadInput."""
    video = probe(item.path, item.name)
    return outline_of(video, item.media_type or "video/*", item.path.stat().st_size)


@dataclass(frozen=True)
class Job:
    """What is to become of one video. Pure; `picture` and what needs it raise BadInput."""

    outline: Outline
    params: EncodeParams
    scale: int = 1

    @cached_property
    def video(self) -> Video:
        """The source."""
        return Video.model_validate(self.outline.facts["video"])

    @cached_property
    def picture(self) -> Picture:
        """The frames of the output."""
        return picture_for(self.video, self.params, self.scale)

    @property
    def container(self) -> str:
        """The suffix of the output, ".mp4"; raises BadInput where it cannot carry a stream."""
        return streams.suffix_for(self.video, self.params, self.outline.output_suffix)

    def refuse_container(self) -> None:
        """Raises BadInput where the container cannot carry a stream: before any work, that is."""
        _ = self.container

    @property
    def megapixels(self) -> float:
        """Millions of pixels in all frames of the source."""
        return self.video.frames * self.video.width * self.video.height / 1e6

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Where it is cut."""
        return plan_segments(self.video, self.params.segment_seconds)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where it is cut, in frames."""
        return tuple(
            Span(start=s.before, stop=s.before + s.frames, data=s.model_dump(mode="json"))
            for s in self.segments
        )

    @property
    def encoded_bytes(self) -> int:
        """About how many bytes the encoded frames will take."""
        pixels = self.megapixels * 1e6 * self.scale**2
        return round(pixels * _BITS_A_PIXEL[self.params.codec] / 8) + 50_000

    @property
    def memory(self) -> int:
        """Bytes that decoding and encoding may take together, with room to spare."""
        shape = layout(self.picture.pix_fmt)
        given = shape.frame_bytes(self.video.width, self.video.height)
        made = shape.frame_bytes(self.picture.width, self.picture.height)
        held = _DECODED_FRAMES_HELD * given + _FRAMES_HELD[self.params.codec] * made
        return round(_PROGRAM_BYTES + _SLACK * held)

    @property
    def forecast(self) -> Outline:
        """About what the output will be, for planning what comes after it."""
        picture, video = self.picture, self.video
        suffix = self.container
        main = tuple(
            s.model_copy(update={"codec": self.params.codec, "tag": ""})
            if s.index == video.index
            else s
            for s in video.streams
        )
        made = video.model_copy(
            update={
                "demuxer": "matroska" if suffix in (".mkv", ".webm") else "mov",
                "streams": main,
                "codec": self.params.codec,
                "width": picture.width,
                "height": picture.height,
                "matrix": picture.matrix,
                "pix_fmt": picture.pix_fmt,
                "depth": layout(picture.pix_fmt).depth,
                "alpha": False,
                "interlaced": False,
                "dolby_vision": False,
                "colour": picture.colour,
                "cut_short": "",
            }
        )
        size = self.encoded_bytes + self.outline.size
        return outline_of(made, MEDIA_TYPES[suffix], size)


def segment_of(batch: Batch) -> Segment:
    """Returns the segment that a batch covers."""
    return Segment.model_validate(batch.span.data)


def part_result(batch: Batch, part: Part, facts: dict[str, Any]) -> Result:
    """Returns the result of a batch that is one part of its item."""
    about = part.model_dump(mode="json", exclude={"path"})
    return Result(
        key=batch.key,
        path=part.path,
        media_type=PART_TYPE,
        units=batch.span.units,
        facts={**facts, "part": about},
    )


def parts_of(results: Sequence[Result]) -> tuple[Part, ...]:
    """Returns the parts that results stand for. Raises DamagedOutput for other results."""
    found = []
    for result in results:
        about = result.facts.get("part")
        if not isinstance(about, dict):
            raise DamagedOutput(f"{result.path.name} is not a part of a video")
        found.append(Part.model_validate({**about, "path": result.path}))
    return tuple(found)


def finish(
    batch: Batch, job: Job, found: Sequence[Part], out: Path, facts: dict[str, Any]
) -> Result:
    """Puts the parts together under `out` and returns the finished result of an item.

    Raises BadInput when the container asked for cannot carry a stream, DamagedOutput when something
    was lost on the way.
    """
    suffix = job.container
    path = out / f"{batch.key[:16]}{suffix}"
    missing = sum(part.missing for part in found)
    notes = mux(batch.item.path, job.video, found, job.params, path)
    moved = check(batch.item.path, job.video, job.picture, path, missing)
    picture = job.picture
    about = {"width": picture.width, "height": picture.height, "frames": job.video.frames - missing}
    return Result(
        key=batch.key,
        path=path,
        media_type=MEDIA_TYPES[suffix],
        units=job.video.frames,
        facts={**facts, **about, "missing": missing},
        notes=(*picture.notes, *notes, *moved),
    )


def confirm(batch: Batch, job: Job, result: Result) -> None:
    """Reads a part or a finished file back. Raises DamagedOutput unless it is what it should be."""
    if "part" in result.facts:
        for part in parts_of([result]):
            parts.verify(part, job.params.codec, job.video.time_base)
        return
    missing = result.facts.get("missing", 0)
    if not isinstance(missing, int):
        raise DamagedOutput("the result does not say how many frames are missing")
    check(batch.item.path, job.video, job.picture, result.path, missing)


def failure_of(batch: Batch, error: ItemError) -> Failure:
    """Returns the failure of a batch that an error means, under the item's own name."""
    name = batch.item.name
    message = error.message if name in error.message else f"{name}: {error.message}"
    return Failure(
        key=batch.key,
        code=error.code,
        message=message,
        hint=error.hint,
        fault="input" if isinstance(error, BadInput) else "stage",
    )
