"""Segments of a video: where long files are cut so that parts can be encoded on their own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from millrace.tasks.video.probe import Video


class Segment(BaseModel):
    """Frames with `start` ≤ PTS < `stop` (ticks of the source's time base; None: no bound).

    `before` frames precede it, `frames` are in it. A whole file is one segment without bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int | None
    stop: int | None
    before: int
    frames: int

    @property
    def whole(self) -> bool:
        """Whether the segment covers its file."""
        return self.start is None and self.stop is None


def plan_segments(video: Video, target_seconds: float) -> tuple[Segment, ...]:
    """Returns the segments of a video, each about `target_seconds` long and begun at a key frame.

    Pure: depends on the facts and the target only. One segment where cutting is not safe.
    """
    raise NotImplementedError
