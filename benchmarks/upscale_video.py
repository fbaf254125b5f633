"""Measure video.upscale: the whole pipeline against the bare network and FFmpeg's own scaling.

    python benchmarks/upscale_video.py [VIDEO] [--precision exact|fast] [--frames N] [--json]

Without VIDEO a 640x360 test picture is made. Three figures, in frames a second: the network alone
on frames in memory (nothing with this network can be faster); decode, network and encode in one
pass; FFmpeg decoding, scaling by Lanczos and encoding with the same encoder and settings.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Result, Staged
from millrace.tasks.video.network import Levels
from millrace.tasks.video.upscaling import Session, Upscale, UpscaleParams


def made_clip(folder: Path, frames: int) -> Path:
    """Returns a 640x360 clip of moving detail."""
    path = folder / "made.mp4"
    source = f"testsrc2=size=640x360:rate=25:duration={frames / 25}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(path)],
        check=True,
    )
    return path


def timed(work: Callable[[], int]) -> float:
    """Returns frames a second; `work` returns how many frames it did."""
    began = time.perf_counter()
    return work() / (time.perf_counter() - began)


def network_alone(session: Session, size: tuple[int, int], frames: int) -> int:
    """Runs the network over frames in memory, as many at once as it has lanes."""
    noise = np.random.default_rng(1).integers(16, 236, (4, *size), np.uint8)
    levels = Levels(8, full=False)
    with ThreadPoolExecutor(session.upscaler.lanes) as pool:
        for _ in pool.map(lambda n: session.upscaler(noise[n % 4], levels), range(frames)):
            pass
    return frames


def whole(kind: Upscale, session: Session, batch: Batch, out: Path) -> int:
    """Upscales the clip."""
    [answer] = kind.run(session, [batch], out, lambda key, units: None)
    if not isinstance(answer, Result):
        raise SystemExit(answer.message)
    return int(answer.units)


def plain(clip: Path, params: UpscaleParams, out: Path, frames: int) -> int:
    """Scales by Lanczos and encodes in one FFmpeg."""
    scaling = f"scale=iw*{params.scale}:ih*{params.scale}:flags=lanczos"
    encoder = ["-c:v", "libx265", "-preset", "fast", "-crf", "22"]
    quiet = ["-x265-params", "log-level=error:frame-threads=4"]
    subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-y",
            "-i",
            str(clip),
            "-vf",
            scaling,
            *encoder,
            *quiet,
            str(out),
        ],
        check=True,
    )
    return frames


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--precision", choices=("exact", "fast"), default="exact")
    parser.add_argument("--frames", type=int, default=100, help="of the clip that is made")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    params = UpscaleParams(precision=options.precision, segment_seconds=3600)
    kind = Upscale(params)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = (options.video or made_clip(folder, options.frames)).resolve()
        item = Staged(name=clip.name, path=clip)
        outline = kind.measure(item)
        [span] = kind.split(outline)
        frames = int(span.units)
        needs = kind.work(outline).needs
        cores = min(needs.cores, os.cpu_count() or 1)
        batch = Batch(key="benchmark", item=item, outline=outline, span=span, whole=True)
        size = (int(str(outline.facts["height"])), int(str(outline.facts["width"])))
        with kind.open(Device(cores=cores, memory=needs.memory)) as session:
            network_alone(session, size, 4)
            figures = {
                "network_fps": timed(lambda: network_alone(session, size, frames)),
                "whole_fps": timed(lambda: whole(kind, session, batch, folder)),
                "ffmpeg_lanczos_fps": timed(
                    lambda: plain(clip, params, folder / "plain.mp4", frames)
                ),
            }
            told = session.upscaler.info
    if options.json:
        print(json.dumps({**figures, "cores": cores, "precision": told["precision"]}))
        return
    print(
        f"{frames} frames of {size[1]}x{size[0]}, {told['backend']} {told['precision']}, "
        f"{cores} cores"
    )
    for label, value in figures.items():
        print(f"{label:20} {value:6.1f}")


if __name__ == "__main__":
    main()
