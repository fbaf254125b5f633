"""Segments of a video: where long files are cut so that parts can be encoded on their own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from millrace.tasks.video.probe import Video

MAX_TICKS = 400_000
"""Finest time base, in ticks a second, whose times survive being joined in microseconds."""


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

    Pure: depends on the facts and the target only. One segment where cutting is not safe: no clean
    key frames, a container that cannot be entered at a time, a file that ends early.
    """
    ticks = target_seconds / video.time_base
    at: list[tuple[int | None, int]] = [(None, 0)]
    last = video.first
    safe = not video.cut_short and video.time_base.denominator <= MAX_TICKS
    for cut in video.cuts if safe else ():
        if cut.pts - last >= ticks and video.last - cut.pts >= ticks / 2:
            at.append((cut.pts, cut.before))
            last = cut.pts
    stops = [*at[1:], (None, video.frames)]
    return tuple(
        Segment(start=start, stop=stop, before=before, frames=after - before)
        for (start, before), (stop, after) in zip(at, stops, strict=True)
    )
