"""Frames through the network: luma by an Upscaler, chroma by a good filter, several at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

from millrace.tasks.video.colour import Colour, Layout, Plane
from millrace.tasks.video.network import Levels
from millrace.tasks.video.rawpipe import Frame
from millrace.tasks.video.resample import chroma_sites, resample
from millrace.tasks.video.upscaler import Upscaler

Planes = tuple[Plane, ...]

_FLOATS = 12  # float32 bytes a sample of enlarged chroma: one phase, the sum of phases, the product


@dataclass(frozen=True)
class Enlarger:
    """Enlarges frames of one layout and size. Calls may come from several threads."""

    upscaler: Upscaler
    layout: Layout
    colour: Colour
    width: int
    height: int

    def __call__(self, planes: Planes) -> Planes:
        """Returns the planes of a frame, enlarged."""
        levels = Levels(self.layout.depth, self.colour.range == "pc")
        sites = chroma_sites(self.layout, self.colour.chroma_location)
        scale = self.upscaler.scale
        shapes = self.layout.shapes(self.width * scale, self.height * scale)
        chroma = (
            resample(plane, shape, Fraction(scale), levels.peak, sites)
            for plane, shape in zip(planes[1:], shapes[1:], strict=True)
        )
        return (self.upscaler(planes[0], levels), *chroma)

    @property
    def frame_bytes(self) -> int:
        """Bytes that one frame takes while it is enlarged, windows of the network not counted."""
        scale = self.upscaler.scale
        given = self.layout.frame_bytes(self.width, self.height)
        made = self.layout.frame_bytes(self.width * scale, self.height * scale)
        chroma = self.layout.shapes(self.width * scale, self.height * scale)[1:2]
        return given + made + sum(h * w for h, w in chroma) * _FLOATS

    def workers(self, memory: int) -> int:
        """Returns how many frames to work on at once within `memory` bytes, at least one.

        Beside each there may be one that waits for its turn to be written.
        """
        return max(1, min(self.upscaler.lanes, memory // (2 * self.frame_bytes)))


def in_order(
    frames: Iterable[Frame], work: Callable[[Planes], Planes], workers: int
) -> Iterator[tuple[int, Planes]]:
    """Yields (PTS, planes) of each frame after `work`, in order; `workers` frames at a time.

    Holds at most twice as many frames as there are workers. What `work` raises is raised here.
    """
    waiting: deque[tuple[int, Future[Planes]]] = deque()
    with ThreadPoolExecutor(workers, "frame") as pool:
        try:
            for frame in frames:
                kept: Planes = tuple(plane.copy() for plane in frame.planes)
                waiting.append((frame.pts, pool.submit(work, kept)))
                while waiting and (len(waiting) >= 2 * workers or waiting[0][1].done()):
                    pts, future = waiting.popleft()
                    yield pts, future.result()
            while waiting:
                pts, future = waiting.popleft()
                yield pts, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
