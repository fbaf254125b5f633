"""Kinds that the documents in the tests name: described and built, never run.

They reach the engine as a stranger's package would, by the entry points beside this folder.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from millrace.engine.errors import UsageError


class Window(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float = Field(default=0, ge=0, description="seconds")
    stop: float | None = Field(default=None, gt=0, description="seconds")


class EncodeParams(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    codec: Literal["h264", "hevc", "av1"] = Field(default="h264", description="Video codec.")
    crf: int = Field(default=23, ge=0, le=51, description="Quality; less is better.")
    speed: float = Field(default=1, gt=0, description="Playback speed.")
    audio: bool = Field(default=True, description="Keep the audio streams.")
    title: str | None = Field(default=None, description="Title in the container.")
    size: int | Literal["source"] = Field(default="source", description="Height in pixels.")
    tags: tuple[str, ...] = Field(default=(), description="Keywords in the container.")
    window: Window = Field(default=Window(), description="The part to keep.")
    on_damage: Literal["fail", "keep"] = Field(default="fail", description="Damaged frames.")


class UpscaleParams(EncodeParams):
    scale: int = Field(description="Times the size.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.scale not in (2, 4):
            raise ValueError("has networks for scale 2 and 4")
        return self


class NoParams(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Encode:
    """Encodes a video.

    The second paragraph says more.
    """

    kind: ClassVar[str] = "test.encode"
    version: ClassVar[int] = 3
    unit: ClassVar[str] = "frame"
    Params: ClassVar[type[BaseModel]] = EncodeParams
    accepts: ClassVar[tuple[str, ...]] = ("video/*", "image/gif")
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = True

    def __init__(self, params: EncodeParams) -> None:
        if params.codec == "av1" and params.speed > 4:
            raise UsageError("av1 has no speed above 4")
        self.params = params


class Upscale:
    """Makes a video larger."""

    kind: ClassVar[str] = "test.upscale"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "frame"
    Params: ClassVar[type[BaseModel]] = UpscaleParams
    accepts: ClassVar[tuple[str, ...]] = ("video/*",)
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = True

    def __init__(self, params: UpscaleParams) -> None:
        self.params = params


class Assemble:
    """Makes a video of pictures."""

    kind: ClassVar[str] = "test.assemble"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "frame"
    Params: ClassVar[type[BaseModel]] = EncodeParams
    accepts: ClassVar[tuple[str, ...]] = ("image/*",)
    gathers: ClassVar[bool] = True
    lossy: ClassVar[bool] = False

    def __init__(self, params: EncodeParams) -> None:
        self.params = params


class Copy:
    """Copies a file."""

    kind: ClassVar[str] = "test.copy"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "byte"
    Params: ClassVar[type[BaseModel]] = NoParams
    accepts: ClassVar[tuple[str, ...]] = ()
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = False

    def __init__(self, params: NoParams) -> None:
        self.params = params


class FreeParams(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Free(Copy):
    """Takes any parameters."""

    kind: ClassVar[str] = "test.free"
    Params: ClassVar[type[BaseModel]] = FreeParams


class Moody(Copy):
    """Fails whatever its parameters are."""

    kind: ClassVar[str] = "test.moody"

    def __init__(self, params: NoParams) -> None:
        raise RuntimeError("not today")
