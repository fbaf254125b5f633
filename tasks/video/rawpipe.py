"""Raw frames out of a decoder and into an encoder, each with its exact presentation time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from millrace.tasks.video.encoders import EncodeParams, Picture
from millrace.tasks.video.probe import Video
from millrace.tasks.video.segments import Segment

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Frame:
    """A decoded frame: PTS in ticks of the source's time base, and planes shaped (height, width).

    The planes are views of a buffer that is reused: copy what must outlive the next frame.
    """

    pts: int
    planes: tuple[Plane, ...]


class Decoder:
    """Decoded frames of a segment; iterate it, then read `missing`."""

    missing: int
    """Frames that should have been there and could not be decoded (`on_damage="keep"` only)."""

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError


def decode(
    path: Path,
    video: Video,
    segment: Segment,
    pix_fmt: str,
    *,
    on_damage: Literal["fail", "keep"] = "fail",
    threads: int = 0,
    name: str = "",
) -> AbstractContextManager[Decoder]:
    """Decodes a segment into frames of `pix_fmt` (interlaced video is deinterlaced).

    Use as `with decode(…) as frames: for frame in frames: …`. Leaving the block early ends FFmpeg.
    Raises BadInput `damaged` while iterating when frames do not decode (unless kept) and at the end
    when their number or times are not those of the segment.
    """
    raise NotImplementedError


class Encoder:
    """Encodes frames into a video-only file; a context manager.

    `out` becomes an MP4 whose first frame is at the PTS given by the first `write`; leaving the
    block finishes the file, leaving it by an exception removes it.
    """

    def __init__(
        self, params: EncodeParams, picture: Picture, out: Path, *, threads: int = 0
    ) -> None:
        raise NotImplementedError

    def __enter__(self) -> Encoder:
        raise NotImplementedError

    def __exit__(self, *exc: Any) -> None:
        raise NotImplementedError

    def write(self, pts: int, planes: Sequence[Plane]) -> None:
        """Gives one frame, in order of presentation; planes as in `colour.layout(pix_fmt)`.

        Never blocks for ever: raises DamagedOutput with FFmpeg's own words once it has ended.
        """
        raise NotImplementedError
