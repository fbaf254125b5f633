"""Measure video.encode against plain FFmpeg with the same codec, crf, preset and threads.

    python benchmarks/encode_video.py [VIDEO] [--codec h264|hevc] [--repeat 40] [--clips 30]

Without VIDEO the sample clip is repeated to make a longer one. FFmpeg only encodes and copies the
sound; Millrace also starts a run in Prefect, measures the file, reads the result back and compares
it with the source, hashes, stores, delivers and writes the report. Then many tiny clips in one run
against a loop that starts one FFmpeg after another, as a shell script does.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from _bench import ROOT, Bench, Row, Table, bench, document

from millrace.tasks.video.encoders import THREADS
from millrace.tasks.video.params import ENCODERS, EncodeParams

_SAMPLE = ROOT / "sample_data" / "video" / "bunny.mp4"
_KEY_FRAMES = 125  # every five seconds at 25 frames a second, as Millrace's default is


def ffmpeg(*words: str) -> None:
    """Runs FFmpeg, silent but for errors."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *words], check=True)


def plain(sources: Sequence[Path], params: EncodeParams, out: Path) -> float:
    """Returns the seconds of one FFmpeg after the other with Millrace's parameters."""
    encoder = ENCODERS[params.codec]
    threads = f"log-level=error:frame-threads={THREADS}"
    quiet = ("-x265-params", threads) if params.codec == "hevc" else ()
    out.mkdir()
    began = time.perf_counter()
    for source in sources:
        ffmpeg(
            *("-i", str(source), "-map", "0", "-c", "copy", "-c:v", encoder.name),
            *("-crf", str(encoder.crf), "-preset", encoder.preset, "-threads", str(THREADS)),
            *("-g", str(_KEY_FRAMES), "-pix_fmt", "yuv420p"),
            *quiet,
            str(out / source.name),
        )
    return time.perf_counter() - began


def engine(at: Bench, params: EncodeParams, out: str) -> float:
    """Returns the seconds of the whole `millrace run`."""
    stage = f"uses: video.encode, with: {{codec: {params.codec}}}"
    document(at.folder, stage, to=out + "/{source.path}.mp4")
    return at.run("run", "p.yaml", "--yes").seconds


def size(folder: Path) -> float:
    """Returns the megabytes of the clips in a folder."""
    return sum(path.stat().st_size for path in folder.glob("*.mp4")) / 1e6


def long_clip(at: Bench, table: Table, clip: Path, params: EncodeParams) -> None:
    """Adds the rows of one long clip: wall time, the work alone, size."""
    whole = engine(at, params, "long")
    done = [r for r in at.newest_run() if r.event == "done"]
    work = sum(float(r.data["seconds"]) for r in done)
    bare = plain([clip], params, at.folder / "long-plain")
    table.add(Row(f"{params.codec}, one clip, the whole command", whole, "s", bare))
    table.add(Row("  its work alone: encode, check, join", work, "s", bare, f"{len(done)} results"))
    made, peer = size(at.folder / "long"), size(at.folder / "long-plain")
    table.add(Row("  size", made, "MB", peer))


def tiny_clips(at: Bench, table: Table, count: int, params: EncodeParams) -> None:
    """Adds the row of many clips of a second each, all different."""
    shutil.rmtree(at.folder / "in")
    (at.folder / "in").mkdir()
    for number in range(count):
        source = f"testsrc2=size=160x90:rate=25:duration={1 + number / 25}"
        clip = at.folder / "in" / f"{number:03}.mp4"
        ffmpeg("-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(clip))
    whole = engine(at, params, "tiny")
    bare = plain(sorted((at.folder / "in").iterdir()), params, at.folder / "tiny-plain")
    table.add(Row(f"{params.codec}, {count} clips of 1 to 2 s, 160x90", whole, "s", bare))
    made, peer = size(at.folder / "tiny"), size(at.folder / "tiny-plain")
    table.add(Row("  size", made, "MB", peer))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("video", type=Path, nargs="?", default=_SAMPLE)
    parser.add_argument("--codec", choices=("h264", "hevc"), default="h264")
    parser.add_argument("--repeat", type=int, default=40, help="how often the video is repeated")
    parser.add_argument("--clips", type=int, default=30)
    options = parser.parse_args()
    params = EncodeParams(codec=options.codec)
    table = Table("ffmpeg")
    with bench() as at:
        (at.folder / "in").mkdir()
        clip = at.folder / "in" / "clip.mp4"
        again = ("-stream_loop", str(options.repeat - 1))
        ffmpeg(*again, "-i", str(options.video.resolve()), "-c", "copy", str(clip))
        long_clip(at, table, clip, params)
        tiny_clips(at, table, options.clips, params)


if __name__ == "__main__":
    main()
