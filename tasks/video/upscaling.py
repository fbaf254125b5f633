"""The stage kind `video.upscale`: a video made larger by a network, in one pass.

Frames go from the decoder through the network into the encoder; none is stored in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from millrace.engine.errors import ItemError
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
from millrace.tasks.video import ffmpeg, jobs, thumbnail
from millrace.tasks.video.backends import library_advice, library_of, profile_of
from millrace.tasks.video.colour import layout
from millrace.tasks.video.enlarging import Enlarger, Planes, in_order
from millrace.tasks.video.jobs import Job
from millrace.tasks.video.network import Network, Precision, find_network, shipped
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.parts import Part
from millrace.tasks.video.rawpipe import Encoder, Frame, decode
from millrace.tasks.video.upscaler import TILE_PIXELS, Scale, Upscaler, open_upscaler

CORES = 4  # a session of more gains less than a second session does
_NETWORK_BYTES = 350 << 20  # Python, the inference library and the network
_WINDOW_BYTES = 192  # a pixel of our network; another one gets smaller windows if it takes more
_FRAME_SHARE = 0.25  # of the memory, for frames on their way
_VRAM = 2 << 30


class UpscaleParams(EncodeParams):
    """Parameters of `video.upscale`: those of `video.encode`, and these."""

    scale: Scale = Field(default=2, description="how many times larger the sides become")
    model: str = Field(
        default="luma_x2", description="the network's name, or the full path of its .onnx file"
    )
    precision: Precision = Field(
        default="exact",
        description="exact: 32-bit arithmetic, alike on every CPU; fast: 16-bit where it can",
    )
    tile: int | None = Field(
        default=None,
        ge=64,
        le=8192,
        description="side of the largest square worked on at once; default: as memory allows",
    )

    @field_validator("scale", mode="before")
    @classmethod
    def _as_number(cls, value: object) -> object:
        # A command line gives text, which pydantic makes a number of for every type but a Literal.
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("model")
    @classmethod
    def _is_there(cls, value: str) -> str:
        if value.endswith(".onnx"):
            if not Path(value).is_absolute():
                raise ValueError("write the full path of the .onnx file")
        elif value not in shipped():
            raise ValueError(f"the networks are: {', '.join(shipped())}")
        return value


@dataclass(frozen=True)
class Session:
    """An opened network, and how many bytes the frames on their way may take."""

    upscaler: Upscaler
    frame_memory: int


class Upscale:
    """Makes videos 2, 3 or 4 times larger; everything else of the file is kept."""

    kind: ClassVar[str] = "video.upscale"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "frame"
    Params: ClassVar[type[UpscaleParams]] = UpscaleParams
    accepts: ClassVar[tuple[str, ...]] = ("video/*", "image/gif")
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    prior: ClassVar[float] = 2.0  # Mpx of the source a second on two cores, x265 `fast`

    def __init__(self, params: UpscaleParams) -> None:
        self._params = params

    def measure(self, item: Staged) -> Outline:
        """Returns the facts of a video. Raises BadInput."""
        return jobs.measure(item)

    def work(self, outline: Outline) -> Work:
        """Returns how much there is to do. Raises BadInput for what cannot be encoded."""
        job, params = self._job(outline), self._params
        job.refuse_container()
        needs = Needs(
            cores=CORES,
            memory=self._memory(job),
            gpu="prefer",
            vram=_VRAM,
            tools=("ffmpeg", "ffprobe"),
        )
        return Work(
            units=job.video.frames,
            load=job.megapixels,
            pace=f"x{params.scale} {params.precision} {params.codec} {params.preset or ''}".strip(),
            needs=needs,
            scratch=2 * job.encoded_bytes,
            notes=job.picture.notes,
        )

    def forecast(self, outline: Outline) -> Outline:
        """Returns about what the output will be."""
        return self._job(outline).forecast

    def split(self, outline: Outline) -> Sequence[Span]:
        """Returns the segments that a long video is cut into."""
        return self._job(outline).spans

    def profile(self, device: Device) -> Mapping[str, str]:
        """Returns what changes the output beside input and parameters: network, backend, FFmpeg."""
        return {
            **profile_of(self._network, self._params.precision, device),
            "ffmpeg": ffmpeg.versions()["ffmpeg"],
        }

    @classmethod
    def capabilities(cls, device: Device) -> Mapping[str, str]:
        """Returns what of a profile this host's libraries give on a device. Raises ToolMissing."""
        return {**library_of(device), "ffmpeg": ffmpeg.versions()["ffmpeg"]}

    @classmethod
    def advice(cls, name: str, value: str) -> str:
        """Returns what makes a host have a value in its profile, "" for nothing special."""
        return library_advice(name, value)

    def open(self, device: Device) -> AbstractContextManager[Session]:
        """Opens the network on a device. Raises ToolMissing, UsageError, SessionLost."""
        return self._opened(device)

    def run(
        self, session: Session, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        """Upscales each batch; yields its result, or why it cannot be done."""
        for batch in batches:
            try:
                yield self._done(session, batch, out, progress)
            except ItemError as error:
                yield jobs.failure_of(batch, error)

    def join(
        self,
        session: Session,
        batch: Batch,
        parts: Sequence[Result],
        out: Path,
        progress: Progress,
    ) -> Result:
        """Returns the finished file of an item whose segments are done."""
        facts = {k: v for k, v in parts[len(parts) // 2].facts.items() if k != "part"}
        for part in parts:
            if "fallback" in part.facts:
                facts["fallback"] = part.facts["fallback"]
        return _noted(
            jobs.finish(batch, self._job(batch.outline), jobs.parts_of(parts), out, facts)
        )

    def check(self, batch: Batch, result: Result) -> None:
        """Reads the result back and compares it with its source. Raises DamagedOutput."""
        jobs.confirm(batch, self._job(batch.outline), result)

    def _job(self, outline: Outline) -> Job:
        return Job(outline, self._params, self._params.scale)

    @property
    def _network(self) -> Network:
        return find_network(self._params.model)

    def _memory(self, job: Job) -> int:
        passes = 4 if self._params.scale > 2 else 1
        pixels = min(passes * job.video.width * job.video.height, TILE_PIXELS)
        frame = layout(job.picture.pix_fmt).frame_bytes(job.picture.width, job.picture.height)
        windows, frames = CORES * pixels * _WINDOW_BYTES, 6 * CORES * frame
        return _NETWORK_BYTES + job.memory + windows + frames

    @contextmanager
    def _opened(self, device: Device) -> Iterator[Session]:
        params = self._params
        tile = params.tile**2 if params.tile else TILE_PIXELS
        opening = open_upscaler(self._network, params.scale, params.precision, device, tile=tile)
        with opening as upscaler:
            yield Session(upscaler, int((device.memory or 1 << 30) * _FRAME_SHARE))

    def _done(self, session: Session, batch: Batch, out: Path, progress: Progress) -> Result:
        job = self._job(batch.outline)
        part, picture = self._enlarged(session, batch, job, out, progress)
        facts = {**session.upscaler.info, "thumbnail": picture}
        if not batch.whole:
            return _noted(jobs.part_result(batch, part, facts))
        try:
            return _noted(jobs.finish(batch, job, [part], out, facts))
        finally:
            part.path.unlink(missing_ok=True)

    def _enlarged(
        self, session: Session, batch: Batch, job: Job, out: Path, progress: Progress
    ) -> tuple[Part, str]:
        """Returns the encoded segment of a batch, and a picture of what became of it."""
        segment, video, pix_fmt = jobs.segment_of(batch), job.video, job.picture.pix_fmt
        colour, shape = job.picture.colour, layout(pix_fmt)
        enlarge = Enlarger(session.upscaler, shape, colour, video.width, video.height)
        encoder = Encoder(self._params, job.picture, out / f"{batch.key[:16]}.part.mp4")
        sample = _Sample(segment.frames // 2)
        damage = self._params.on_damage
        with (
            encoder,
            decode(batch.item.path, video, segment, pix_fmt, on_damage=damage) as frames,
        ):
            workers = enlarge.workers(session.frame_memory)
            for pts, planes in in_order(sample.before_of(frames), enlarge, workers):
                if encoder.frames == sample.number:
                    sample.after = planes
                encoder.write(pts, planes)
                progress(batch.key, encoder.frames)
        picture = ""
        if sample.after:
            scale = self._params.scale
            picture = thumbnail.before_after(sample.before, sample.after, pix_fmt, colour, scale)
        return encoder.part(segment, frames.missing), picture


@dataclass
class _Sample:
    """One frame of a segment, before and after; () until it has come by."""

    number: int
    before: Planes = ()
    after: Planes = ()

    def before_of(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yields the frames, and keeps one."""
        for number, frame in enumerate(frames):
            if number == self.number:
                self.before = tuple(plane.copy() for plane in frame.planes)
            yield frame


def _noted(result: Result) -> Result:
    """Returns the result with a note where a better device than the one used was passed over."""
    if passed := result.facts.get("fallback") or result.facts.get("passed_over"):
        note = f"computed on {result.facts['device']}: {passed}"
        return result.model_copy(update={"notes": (*result.notes, note)})
    return result
