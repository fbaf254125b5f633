"""The stage kind `video.assemble`: a video made of a sequence of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from millrace.engine.errors import BadInput, DamagedOutput, ItemError
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import (
    Batch,
    Failure,
    Needs,
    Outline,
    Progress,
    Result,
    Span,
    Staged,
    Work,
)
from millrace.tasks.video import decoding, encoders, ffmpeg, images, jobs, mp4, parts
from millrace.tasks.video.jobs import MEDIA_TYPES, Job
from millrace.tasks.video.mux import REPEATABLE, joined_parts
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.parts import Part
from millrace.tasks.video.probe import Video
from millrace.tasks.video.rawpipe import missing_frames
from millrace.tasks.video.segments import Segment
from millrace.tasks.video.streams import CONTAINERS
from millrace.tasks.video.timeline import TIMES_ONLY, presented, pts_of
from millrace.tasks.video.tool import Tool


class AssembleParams(EncodeParams):
    """Parameters of `video.assemble`: those of `video.encode`, and the frame rate."""

    fps: str = Field(default="25", description='frames a second: 25, 23.976 or "24000/1001"')

    @field_validator("fps", mode="before")
    @classmethod
    def _rate(cls, value: Any) -> str:
        try:
            rate = _broadcast(str(value))
        except (ValueError, ZeroDivisionError):
            raise ValueError('must be a number or a fraction such as "24000/1001"') from None
        if not Fraction(1, 100) <= rate <= 1000:
            raise ValueError("must be between 0.01 and 1000")
        return str(rate)

    @property
    def rate(self) -> Fraction:
        """Frames a second."""
        return Fraction(self.fps)


def _broadcast(text: str) -> Fraction:
    """A rate as it is meant: 23.976, 29.97 and their like are the rounded form of n·1000/1001."""
    given = Fraction(text)
    exact = Fraction(round(given * 1001 / 1000) * 1000, 1001)
    if "." in text and given.denominator > 1 and abs(given - exact) < Fraction(1, 2000):
        return exact
    return given.limit_denominator(1001)


class Assemble:
    """Makes a video of images, in natural order of their names."""

    kind: ClassVar[str] = "video.assemble"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "frame"
    Params: ClassVar[type[AssembleParams]] = AssembleParams
    accepts: ClassVar[tuple[str, ...]] = ("image/*", "inode/directory")
    gathers: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    prior: ClassVar[float] = 15.0  # Mpx a second on two cores, PNG to x265 `fast`

    def __init__(self, params: AssembleParams) -> None:
        self._params = params

    def measure(self, item: Staged) -> Outline:
        """Returns the facts of the images. Raises BadInput."""
        return images.measure(item)

    def work(self, outline: Outline) -> Work:
        """Returns how much there is to do. Raises BadInput for what cannot be encoded."""
        damaged = outline.facts["damaged"]
        if damaged and self._params.on_damage == "fail":
            raise BadInput(
                "damaged",
                f"{len(damaged)} images do not decode, the first is {damaged[0]}",  # type: ignore[arg-type,index]
                hint="on_damage: keep leaves them out",
            )
        job, params = self._job(outline), self._params
        job.refuse_container()
        return Work(
            units=job.video.frames,
            load=job.megapixels,
            pace=f"{outline.facts['decoder']} {params.codec} {params.preset or ''}".strip(),
            needs=Needs(cores=encoders.THREADS, memory=job.memory, tools=("ffmpeg", "ffprobe")),
            scratch=2 * job.encoded_bytes,
            notes=job.picture.notes,
        )

    def forecast(self, outline: Outline) -> Outline:
        """Returns about what the output will be."""
        made = self._job(outline).forecast
        return made.model_copy(update={"size": max(made.size - outline.size, 1)})

    def split(self, outline: Outline) -> Sequence[Span]:
        """Returns the parts that a long sequence is cut into."""
        total = self._job(outline).video.frames
        step = max(1, round(self._params.segment_seconds * self._params.rate))
        starts = list(range(0, max(total - step // 2, 1), step))
        return [
            Span(start=start, stop=stop)
            for start, stop in zip(starts, [*starts[1:], total], strict=True)
        ]

    def profile(self, device: Device) -> Mapping[str, str]:
        """Returns what changes the output beside input and parameters: FFmpeg's version."""
        return {"ffmpeg": ffmpeg.versions()["ffmpeg"]}

    def open(self, device: Device) -> AbstractContextManager[None]:
        """Opens nothing: FFmpeg is started for each part. Raises ToolMissing."""
        ffmpeg.versions()
        return nullcontext()

    def run(
        self, session: None, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        """Encodes each batch; yields its result, or why it cannot be done."""
        for batch in batches:
            try:
                yield self._done(batch, out, progress)
            except ItemError as error:
                yield jobs.failure_of(batch, error)

    def join(
        self, session: None, batch: Batch, parts: Sequence[Result], out: Path, progress: Progress
    ) -> Result:
        """Returns the finished file of an item whose parts are done."""
        return self._finished(batch, jobs.parts_of(parts), out)

    def check(self, batch: Batch, result: Result) -> None:
        """Reads the result back. Raises DamagedOutput unless every frame is there in its time."""
        job = self._job(batch.outline)
        if "part" in result.facts:
            for part in jobs.parts_of([result]):
                parts.verify(part, self._params.codec, job.video.time_base)
            return
        demuxer = "mov" if result.path.suffix in (".mp4", ".mov") else "matroska"
        times = presented(result.path, demuxer, 0, self._params.codec).times
        if len(times) != result.facts["frames"]:
            raise DamagedOutput(
                f"the video holds {len(times)} frames and should hold {result.facts['frames']}"
            )

    def _job(self, outline: Outline) -> Job:
        """The images as the video that they are at this rate."""
        video = Video.model_validate(outline.facts["video"])
        rate = self._params.rate
        moving = video.model_copy(
            update={"rate": rate, "time_base": 1 / rate, "seconds": float(video.frames / rate)}
        )
        facts = {
            **outline.facts,
            "seconds": moving.seconds,
            "video": moving.model_dump(mode="json"),
        }
        return Job(outline.model_copy(update={"facts": facts}), self._params)

    def _done(self, batch: Batch, out: Path, progress: Progress) -> Result:
        part = self._encoded(batch, out / f"{batch.key[:16]}.part.mp4", progress)
        if not batch.whole:
            return jobs.part_result(batch, part, {})
        try:
            return self._finished(batch, [part], out)
        finally:
            part.path.unlink(missing_ok=True)

    def _encoded(self, batch: Batch, out: Path, progress: Progress) -> Part:
        job = self._job(batch.outline)
        video, picture, before = job.video, job.picture, int(batch.span.start)
        segment = Segment(start=None, stop=None, before=before, frames=int(batch.span.units))
        source = ffmpeg.opened(
            images.pattern(batch.item.path, len(batch.item.members)),
            "image2",
            {
                "framerate": self._params.fps,
                "start_number": before + 1,
                "c:v": str(batch.outline.facts["decoder"]),
                "err_detect": images.STRICT,
            },
        )
        chain = [
            ffmpeg.Filter("trim", {"end_frame": segment.frames}),
            ffmpeg.Filter("setpts", {"expr": f"PTS+{before}"}),
            *decoding.filters(video, segment, picture.pix_fmt),
            *encoders.tagging(picture),
        ]
        shown, timed = ffmpeg.forked(ffmpeg.filtered(source["v"], chain))
        options = {**encoders.options(self._params, picture), **parts.options(picture.time_base)}
        outputs = (
            ffmpeg.target([shown], f"file:{out}", options),
            ffmpeg.target([timed], "pipe:1", TIMES_ONLY),
        )
        keep = self._params.on_damage == "keep"
        flags = () if keep else decoding.STOP_AT_DAMAGE
        count = first = 0
        with Tool(ffmpeg.command(outputs, flags)) as tool:
            for line in tool.stdout:
                if not line.startswith(b"#"):
                    first = first if count else pts_of(line)
                    count += 1
                    progress(batch.key, count)
            missing = missing_frames(tool, video, segment, count, keep)
            if tool.finish() != 0 and not missing:
                raise DamagedOutput(f"the encoder failed: {tool.reason()}")
        mp4.stamp(out, picture.matrix, picture.colour)
        return Part(path=out, segment=segment, frames=count, first=first, missing=missing)

    def _finished(self, batch: Batch, found: Sequence[Part], out: Path) -> Result:
        job, params = self._job(batch.outline), self._params
        suffix = job.container
        path, listing = out / f"{batch.key[:16]}{suffix}", out / f"{batch.key[:16]}.parts"
        for part in found:
            parts.verify(part, params.codec, job.video.time_base)
        joined, options = joined_parts(found, job.video.time_base, listing)
        chosen: dict[str, str | int | None] = {"f": CONTAINERS[suffix].muxer, "c": "copy"}
        chosen |= {f"{name}:0": value for name, value in options.items()}
        chosen |= REPEATABLE
        if suffix in (".mp4", ".mov"):
            clock = job.video.time_base.denominator
            chosen |= {"video_track_timescale": clock, "movie_timescale": clock}
            chosen |= {"movflags": "+faststart"}
            if params.codec == "hevc":
                chosen["tag:0"] = "hvc1"
        output = ffmpeg.target([joined["v:0"]], f"file:{path}", chosen)
        with Tool(ffmpeg.command([output], decoding.KEEP_TIMES)) as tool:
            tool.read()
            if tool.finish() != 0:
                raise DamagedOutput(f"the parts could not be put together: {tool.reason()}")
        listing.unlink(missing_ok=True)
        missing = sum(part.missing for part in found)
        left_out = (f"{missing} images are missing: they did not decode",) if missing else ()
        return Result(
            key=batch.key,
            path=path,
            media_type=MEDIA_TYPES[suffix],
            units=job.video.frames,
            facts={
                "width": job.picture.width,
                "height": job.picture.height,
                "frames": job.video.frames - missing,
                "missing": missing,
            },
            notes=(*job.picture.notes, *left_out),
        )
