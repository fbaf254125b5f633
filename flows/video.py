"""One-off video work from Python: one file in, one file out, by one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from millrace.flows.one_off import run_stage

Codec = Literal["h264", "hevc", "av1"]


def upscale_video(
    source: str | Path,
    output: str | Path,
    *,
    scale: int = 2,
    codec: Codec = "hevc",
    crf: int | None = None,
    overwrite: bool = False,
    **params: Any,
) -> Path:
    """Upscales a video by a network and returns the path of the result.

    `scale` multiplies width and height. `crf` is the encoder's constant quality, lower is better.
    Frames, time stamps, sound, subtitles, chapters and colour stay as they are. `params` are the
    other parameters of the kind; `millrace kinds video.upscale` lists them. Work that was done
    before is not done again. Raises RunFailed with the reason when the file cannot be done,
    UsageError for wrong parameters, ToolMissing when FFmpeg is not installed.
    """
    given = {"scale": scale, "codec": codec, "crf": crf, **params}
    return run_stage("video.upscale", source, output, overwrite=overwrite, **_given(given))


def encode_video(
    source: str | Path,
    output: str | Path,
    *,
    codec: Codec = "hevc",
    crf: int | None = None,
    overwrite: bool = False,
    **params: Any,
) -> Path:
    """Encodes a video anew and returns the path of the result. See `upscale_video`."""
    given = {"codec": codec, "crf": crf, **params}
    return run_stage("video.encode", source, output, overwrite=overwrite, **_given(given))


def assemble_video(
    images: str | Path,
    output: str | Path,
    *,
    fps: float | str = 25,
    codec: Codec = "hevc",
    crf: int | None = None,
    overwrite: bool = False,
    **params: Any,
) -> Path:
    """Makes a video of the images in a folder, in natural order of their names; returns its path.

    `fps` is a number or a fraction such as "24000/1001". See `upscale_video` for the rest.
    """
    given = {"fps": fps, "codec": codec, "crf": crf, **params}
    return run_stage("video.assemble", images, output, overwrite=overwrite, **_given(given))


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
