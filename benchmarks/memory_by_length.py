"""Measure whether peak memory depends on a video's length: 160x90, 10 s against 10 min.

    python benchmarks/memory_by_length.py [--long 600] [--kind video.encode] [--kind video.upscale]

The peak is that of the summed resident memory of the command and everything it starts, looked at
twenty times a second; the server, which outlives runs, is not in it. Of the repeats the lowest peak
stands, because what the machine's load adds is no property of the program. Ends with exit code 1
when 10 minutes take over 5 % more than 10 seconds. Upscaling uses `precision: fast`
and by default a minute, because ten do not end in three minutes on two cores.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from _bench import Bench, Row, Table, bench, document, peak_of_tree

_LIMIT = 1.05
_SHORT = 10  # seconds


def clip(at: Bench, seconds: int) -> Path:
    """Returns a 160x90 clip with a key frame every two seconds, made once."""
    path = at.folder / f"{seconds}.mp4"
    if path.exists():
        return path
    source = f"testsrc2=size=160x90:rate=25:duration={seconds}"
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p"]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *encoder, str(path)], check=True
    )
    return path


def peak(at: Bench, kind: str, source: Path, take: int) -> tuple[dict[str, int], float]:
    """Returns the peaks in bytes (in all, and then by program) and the seconds of one run."""
    shutil.rmtree(at.folder / "in", ignore_errors=True)
    (at.folder / "in").mkdir()
    (at.folder / "in" / source.name).hardlink_to(source)
    to = f"out/{kind}-{take}/{{source.path}}.mp4"
    params = "codec: h264, preset: ultrafast" + (", precision: fast" if "upscale" in kind else "")
    document(at.folder, f"uses: {kind}, with: {{{params}}}", to=to)
    words = ("run", "p.yaml", "--yes", "--force", "work")
    began = time.perf_counter()
    process = at.start(*words)
    with peak_of_tree(process) as peaks:
        code = process.wait()
    at.expect(code, words)
    return peaks, time.perf_counter() - began


def lowest(at: Bench, kind: str, source: Path, times: int) -> tuple[dict[str, int], float]:
    """Returns the run with the lowest peak of some."""
    return min((peak(at, kind, source, n) for n in range(times)), key=lambda one: one[0]["total"])


def compare(at: Bench, table: Table, kind: str, long: int, times: int) -> float:
    """Adds the rows of one kind; returns long / short."""
    small, _ = lowest(at, kind, clip(at, _SHORT), times)
    large, seconds = lowest(at, kind, clip(at, long), 1 if long > 120 else times)
    what = f"{kind}: all processes together"
    row = Row(what, large["total"] / 1e6, "MB", small["total"] / 1e6, f"{seconds:.0f} s")
    table.add(row)
    for name in sorted((small.keys() | large.keys()) - {"total"}):
        there, here = large.get(name, 0) / 1e6, small.get(name, 0) / 1e6
        table.add(Row(f"  {name}, then", there, "MB", here or None))
    return large["total"] / small["total"]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--long", type=int, default=600, help="seconds")
    parser.add_argument("--long-upscale", type=int, default=60, help="seconds, for video.upscale")
    parser.add_argument("--kind", action="append", help="default: video.encode and video.upscale")
    parser.add_argument("--times", type=int, default=2, help="runs of the short clip")
    options = parser.parse_args()
    lengths = {"video.upscale": options.long_upscale}
    table = Table("10 s")
    print(f"{options.long} s, upscale {options.long_upscale} s, against {_SHORT} s, limit {_LIMIT}")
    with bench() as at:
        ratios = [
            compare(at, table, kind, lengths.get(kind, options.long), options.times)
            for kind in options.kind or ("video.encode", "video.upscale")
        ]
    sys.exit(any(ratio > _LIMIT for ratio in ratios))


if __name__ == "__main__":
    main()
