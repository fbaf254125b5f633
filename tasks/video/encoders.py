"""Encoders: the parameters a person gives, and what they become for x264, x265 and SVT-AV1."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.tasks.video.colour import Colour
from millrace.tasks.video.probe import Video


class EncodeParams(BaseModel):
    """Parameters of every video kind that encodes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codec: Literal["h264", "hevc", "av1"] = "hevc"
    crf: int | None = Field(default=None, description="quality; None: 20 h264, 22 hevc, 30 av1")
    preset: str | None = Field(default=None, description="the encoder's preset")
    chroma: Literal["420", "keep"] = Field(default="420", description="chroma subsampling")
    alpha: Literal["refuse", "flatten"] = "refuse"
    container: Literal["auto", "mp4", "mov", "mkv"] = "auto"
    keyframe_seconds: float = Field(default=5.0, gt=0)
    segment_seconds: float = Field(default=60.0, gt=0)
    on_damage: Literal["fail", "keep"] = "fail"


class Picture(BaseModel):
    """The frames that an encoder is given. `pix_fmt` is planar (see colour.layout)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    rate: Fraction
    sar: Fraction
    colour: Colour


def picture_for(video: Video, params: EncodeParams, scale: int = 1) -> Picture:
    """Returns what the encoder will be given for a video, enlarged `scale` times.

    Pure. Raises BadInput `unsupported` (with the reason) for what no setting of ours can encode:
    alpha that may not be flattened, sizes that a codec refuses.
    """
    raise NotImplementedError
