"""The parameters of every video kind that encodes, and what each encoder can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_NAMED = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)


@dataclass(frozen=True)
class Encoder:
    """What one encoder can do. Sizes are in pixels.

    `unsafe_widths`: x265 3.5 overwrites memory that is not its own where the half-size picture that
    it looks ahead in is three blocks of 8 wide (tried: every height from 16 to 40).
    """

    name: str
    crf: int
    worst_crf: int
    preset: str
    presets: tuple[str, ...]
    least_side: int
    most_depth: int
    chroma: tuple[str, ...]
    unsafe_widths: range = range(0)


ENCODERS: dict[str, Encoder] = {
    "h264": Encoder("libx264", 20, 51, "medium", _NAMED, 1, 10, ("420", "422", "444")),
    "hevc": Encoder(
        "libx265", 22, 51, "fast", _NAMED, 16, 12, ("420", "422", "444"), range(33, 49)
    ),
    "av1": Encoder("libsvtav1", 30, 63, "8", tuple(map(str, range(14))), 64, 10, ("420",)),
}


class EncodeParams(BaseModel):
    """Parameters of every video kind that encodes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codec: Literal["h264", "hevc", "av1"] = Field(default="hevc", description="video codec")
    crf: int | None = Field(
        default=None,
        ge=0,
        le=63,
        description="constant quality, lower is better; default 20 (h264), 22 (hevc), 30 (av1)",
    )
    preset: str | None = Field(
        default=None,
        description="ultrafast … placebo (h264, hevc), 0 … 13 (av1); default medium, fast, 8",
    )
    chroma: Literal["420", "keep"] = Field(
        default="420", description="chroma subsampling: 4:2:0, or that of the source"
    )
    alpha: Literal["refuse", "flatten"] = Field(
        default="refuse", description="transparency, which no codec here keeps: onto black"
    )
    others: Literal["refuse", "drop"] = Field(
        default="refuse", description="streams that the container cannot carry"
    )
    on_damage: Literal["fail", "keep"] = Field(
        default="fail", description="frames that do not decode: fail, or keep the others"
    )
    keyframe_seconds: float = Field(default=5, gt=0, le=60, description="between key frames")
    segment_seconds: float = Field(
        default=60, ge=2, le=3600, description="long files are cut into parts of this length"
    )

    @model_validator(mode="after")
    def _fits_the_codec(self) -> EncodeParams:
        encoder = ENCODERS[self.codec]
        if self.crf is not None and self.crf > encoder.worst_crf:
            raise ValueError(f"crf of {self.codec} is 0 to {encoder.worst_crf}")
        if self.preset is not None and self.preset not in encoder.presets:
            raise ValueError(f"preset of {self.codec} is one of {', '.join(encoder.presets)}")
        return self
