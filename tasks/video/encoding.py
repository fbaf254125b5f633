"""The stage kind `video.encode`: a video encoded anew, everything else of the file kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import ClassVar

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
from millrace.tasks.video import encoders, ffmpeg, jobs
from millrace.tasks.video.jobs import Job
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.transcode import transcode


class Encode:
    """Encodes videos anew as H.264, HEVC or AV1; everything else of the file is kept."""

    kind: ClassVar[str] = "video.encode"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "frame"
    Params: ClassVar[type[EncodeParams]] = EncodeParams
    accepts: ClassVar[tuple[str, ...]] = ("video/*", "image/gif")
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    prior: ClassVar[float] = 20.0  # Mpx a second on two cores, x264 `medium`

    def __init__(self, params: EncodeParams) -> None:
        self._params = params

    def measure(self, item: Staged) -> Outline:
        """Returns the facts of a video. Raises BadInput."""
        return jobs.measure(item)

    def work(self, outline: Outline) -> Work:
        """Returns how much there is to do. Raises BadInput for what cannot be encoded."""
        job, params = self._job(outline), self._params
        job.refuse_container()
        return Work(
            units=job.video.frames,
            load=job.megapixels,
            pace=f"{params.codec} {params.preset or ''}".strip(),
            needs=Needs(cores=encoders.THREADS, memory=job.memory, tools=("ffmpeg", "ffprobe")),
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
        """Returns what changes the output beside input and parameters: FFmpeg's version."""
        return {"ffmpeg": ffmpeg.versions()["ffmpeg"]}

    def open(self, device: Device) -> AbstractContextManager[None]:
        """Opens nothing: FFmpeg is started for each segment. Raises ToolMissing."""
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
        """Returns the finished file of an item whose segments are done."""
        return jobs.finish(batch, self._job(batch.outline), jobs.parts_of(parts), out, {})

    def check(self, batch: Batch, result: Result) -> None:
        """Reads the result back and compares it with its source. Raises DamagedOutput."""
        jobs.confirm(batch, self._job(batch.outline), result)

    def _job(self, outline: Outline) -> Job:
        return Job(outline, self._params)

    def _done(self, batch: Batch, out: Path, progress: Progress) -> Result:
        job = self._job(batch.outline)
        part = transcode(
            batch.item.path,
            job.video,
            jobs.segment_of(batch),
            self._params,
            job.picture,
            out / f"{batch.key[:16]}.part.mp4",
            lambda frames: progress(batch.key, frames),
        )
        if not batch.whole:
            return jobs.part_result(batch, part, {})
        try:
            return jobs.finish(batch, job, [part], out, {})
        finally:
            part.path.unlink(missing_ok=True)
