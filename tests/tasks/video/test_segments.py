"""Cut, encoded and joined: the same frames at the same times as in one piece."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from millrace.engine.errors import DamagedOutput, ToolMissing
from millrace.tasks.video import ffmpeg
from millrace.tasks.video.check import check
from millrace.tasks.video.colour import Colour
from millrace.tasks.video.mux import mux
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.picture import Picture, picture_for
from millrace.tasks.video.probe import probe
from millrace.tasks.video.rawpipe import Encoder, decode
from millrace.tasks.video.segments import plan_segments
from millrace.tasks.video.timeline import presented
from millrace.tasks.video.transcode import transcode

pytestmark = pytest.mark.slow  # each starts programs or sessions of its own

QUICK = EncodeParams(codec="h264", preset="veryfast", segment_seconds=2)

SOURCES = {
    "closed groups, reordered frames": ("-c:v", "libx264", "-g", "25", "-bf", "3"),
    "open groups": ("-c:v", "libx264", "-g", "25", "-bf", "3", "-x264-params", "open-gop=1"),
    "HEVC, open groups": ("-c:v", "libx265", "-x265-params", "keyint=25:log-level=error"),
    "uneven times": ("-vf", "select='not(eq(mod(n,7),3))'", "-c:v", "libx264", "-g", "25"),
    "a late start": ("-vf", "setpts=PTS+1.24/TB", "-c:v", "libx264", "-g", "25"),
    "VP9 with hidden frames": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-g", "25"),
}


def source(path: Path, options: tuple[str, ...]) -> Path:
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=12"]
    sound = ["-f", "lavfi", "-i", "sine=duration=12", "-c:a", "aac"]
    quiet = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    tail = ["-pix_fmt", "yuv420p", "-fps_mode", "passthrough", str(path)]
    subprocess.run([*quiet, *picture, *sound, *options, *tail], check=True)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("options", SOURCES.values(), ids=SOURCES)
def test_joined_segments_have_the_frames_and_times_of_an_uncut_run(
    options: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    path = source(tmp_path / f"film{suffix}", options)
    video = probe(path)
    picture = picture_for(video, QUICK)
    made = {}
    for name, seconds in (("cut", 2.0), ("uncut", 3600.0)):
        segments = plan_segments(video, seconds)
        parts = [
            transcode(path, video, s, QUICK, picture, tmp_path / f"{name}{n}.mp4")
            for n, s in enumerate(segments)
        ]
        out = tmp_path / f"{name}{suffix}"
        mux(path, video, parts, QUICK, out)
        check(path, video, picture, out)
        after = probe(out)
        made[name] = list(presented(out, after.demuxer, after.index, after.codec).times)
        assert (len(segments) == 1) == (name == "uncut")
    assert made["cut"] == made["uncut"]


def test_segments_cover_a_video_without_gap_or_overlap(tmp_path: Path) -> None:
    video = probe(source(tmp_path / "film.mp4", SOURCES["closed groups, reordered frames"]))
    segments = plan_segments(video, 2)
    assert len(segments) > 2
    assert segments[0].start is None
    assert segments[-1].stop is None
    assert sum(s.frames for s in segments) == video.frames == 300
    for before, after in pairwise(segments):
        assert (before.stop, before.before + before.frames) == (after.start, after.before)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_raw_frames_reach_the_encoder_with_any_time_and_format(
    pix_fmt: str, tmp_path: Path
) -> None:
    size, base = (65 if "444" in pix_fmt else 64, 48), Fraction(1001, 30000)
    picture = Picture(
        width=size[0],
        height=size[1],
        pix_fmt=pix_fmt,
        time_base=base,
        rate=1 / base,
        sar=Fraction(4, 3),
        colour=Colour(primaries="bt709", transfer="bt709", matrix="bt709", range="pc"),
    )
    params = EncodeParams(codec="h264", preset="ultrafast", crf=1)
    times = [7, 8, 11, 40, 41, 100]
    with Encoder(params, picture, tmp_path / "out.mp4") as encoder:
        for number, pts in enumerate(times):
            shapes = encoder.shapes
            kind = np.uint16 if "10" in pix_fmt else np.uint8
            encoder.write(pts, [np.full(shape, 40 + number * 20, kind) for shape in shapes])
    made = probe(tmp_path / "out.mp4")
    (segment,) = plan_segments(made, 60)
    with decode(tmp_path / "out.mp4", made, segment, pix_fmt) as frames:
        found = [(f.pts * made.time_base / base, round(float(f.planes[0].mean()))) for f in frames]
    assert [pts for pts, _ in found] == times
    assert np.allclose([v for _, v in found], [40 + 20 * n for n in range(6)], atol=2)
    assert (made.sar, made.colour.range) == (Fraction(4, 3), "pc")


def test_an_encoder_that_ends_says_why_and_leaves_no_file(tmp_path: Path) -> None:
    picture = Picture(
        width=64,
        height=48,
        pix_fmt="yuv420p",
        time_base=Fraction(1, 25),
        rate=Fraction(25),
        sar=Fraction(1),
        colour=Colour(),
    )
    out = tmp_path / "no such folder" / "out.mp4"
    frame = [np.zeros(s, np.uint8) for s in ((48, 64), (24, 32), (24, 32))]
    with (
        pytest.raises(DamagedOutput, match="No such file or directory"),
        Encoder(EncodeParams(codec="h264"), picture, out) as encoder,
    ):
        for pts in range(2000):
            encoder.write(pts, frame)
    assert not out.exists()


def test_a_check_finds_a_frame_that_moved_and_sound_that_was_lost(tmp_path: Path) -> None:
    path = source(tmp_path / "film.mp4", SOURCES["closed groups, reordered frames"])
    video = probe(path)
    picture = picture_for(video, QUICK)
    slower = tmp_path / "slower.mp4"
    quiet = ["ffmpeg", "-v", "error", "-y", "-i", str(path)]
    subprocess.run(
        [*quiet, "-c", "copy", "-bsf:v", "setts=pts=PTS+4*eq(N\\,5):dts=DTS", slower], check=True
    )
    with pytest.raises(DamagedOutput, match="is off by"):
        check(path, video, picture, slower)
    silent = tmp_path / "silent.mp4"
    subprocess.run([*quiet, "-c", "copy", "-an", silent], check=True)
    with pytest.raises(DamagedOutput, match="other streams"):
        check(path, video, picture, silent)


def test_ffmpeg_dies_with_whoever_started_it() -> None:
    script = (
        "from millrace.tasks.video.tool import Tool\n"
        "tool = Tool(['sleep', '60'])\n"
        "print(tool._process.pid, flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_ffmpeg_is_given_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    with ffmpeg.Tool(["env"]) as tool:
        assert b"canary" not in tool.read()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "canary"


def test_a_missing_ffmpeg_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(ToolMissing, match="apt-get install ffmpeg"):
        ffmpeg.versions()
