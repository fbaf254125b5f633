"""The video kinds as Prefect tasks, for a person's own flows.

    from prefect import flow
    from millrace.tasks.video import encode, upscale

    @flow
    def mine():
        encode.submit(upscale.submit("a.mp4"), "a-small.mp4", codec="h264")

Each is a one-stage pipeline through the same conductor as any run: leased, cached, resumable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import task

from millrace.engine.inline import stage_file


@task(name="video.upscale", persist_result=False)
def upscale(
    source: str | Path, output: str | Path | None = None, *, scale: int = 2, **params: Any
) -> Path:
    """Upscales a video and returns the result's path.

    Without `output` the result stays in the store's run folder. `params` are those of the kind
    (`millrace kinds video.upscale`). Raises RunFailed with the reason.
    """
    return stage_file("video.upscale", source, output, scale=scale, **params)


@task(name="video.encode", persist_result=False)
def encode(source: str | Path, output: str | Path | None = None, **params: Any) -> Path:
    """Encodes a video anew and returns the result's path. See `upscale`."""
    return stage_file("video.encode", source, output, **params)


@task(name="video.assemble", persist_result=False)
def assemble(source: str | Path, output: str | Path | None = None, **params: Any) -> Path:
    """Makes a video of the images in a folder and returns the result's path. See `upscale`."""
    return stage_file("video.assemble", source, output, **params)
