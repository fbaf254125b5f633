"""Videos by the command, for real: bad files among good ones, kills, and memory over time."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from millrace.engine.recording.server import Api
from tests.tasks.video.made import clip, times, video

pytestmark = pytest.mark.slow

GOOD = (
    "fps_12_5.mp4", "h265_tiny_128.mp4", "chapters.mp4", "subs_srt.mkv", "h264_10bit.mp4",
    "odd_161x121.webm",
)  # fmt: skip
BAD = {
    "audio_only.mp4": "no video stream",
    "text_renamed.mp4": "not",
    "truncated_no_moov.mp4": "ends too early",
    "zero_bytes.mp4": "empty",
}

ENCODE = """
version: 1
name: proxies
label: internal
inputs:
  clips: {files: "in/*"}
stages:
  proxy: {uses: video.encode, each: clips, with: {codec: h264, preset: ultrafast}}
outputs:
  proxies: {from: proxy, to: "out/{source.name}.mkv"}
"""

REMASTER = """
version: 1
name: remaster
label: internal
inputs:
  clips: {files: "in/*"}
stages:
  master:
    uses: video.upscale
    each: clips
    with: {scale: 2, codec: h264, preset: ultrafast, segment_seconds: 2}
  proxy: {uses: video.encode, each: master, with: {codec: hevc, preset: ultrafast}}
outputs:
  masters: {from: master, to: "out/{source.name}.mp4"}
  proxies: {from: proxy, to: "out/proxy/{source.name}.mkv"}
"""


def _start(folder: Path, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "millrace", "run", "p.yaml", "--json", "--yes"],
        cwd=folder,
        env=os.environ | {"MILLRACE_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _project(folder: Path, document: str) -> Path:
    (folder / "in").mkdir(parents=True)
    (folder / "p.yaml").write_text(document)
    return folder


def _out(folder: Path) -> dict[str, bytes]:
    """Everything under out/ that could be taken for a result; the report is of each run its own."""
    found = (p for p in (folder / "out").rglob("*") if p.is_file())
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in found
        if not p.name.startswith(".") and p.name != "report.html"
    }


def test_bad_clips_are_named_and_the_good_ones_are_done(
    recorded: Api, data: Path, home: Path, tmp_path: Path
) -> None:
    folder = _project(tmp_path / "work", ENCODE)
    for name in (*GOOD, *BAD):
        shutil.copy(data / "clips" / name, folder / "in" / name)
    process = _start(folder, home)
    said, complaints = process.communicate(timeout=200)
    assert process.returncode == 1, complaints
    assert "Traceback" not in complaints
    told = json.loads(said)
    assert set(told) == {"run", "state", "items", "failures", "outputs", "seconds"}
    assert told["state"] == "partial"
    assert told["items"] == {"done": len(GOOD), "reused": 0, "failed": len(BAD)}
    assert told["seconds"] > 0
    for failure in told["failures"]:
        assert {"item", "stage", "reason"} <= set(failure)
        assert failure["stage"] == "proxy"
        assert failure["item"] in failure["reason"]
        assert BAD[failure["item"]] in failure["reason"]
    assert {failure["item"] for failure in told["failures"]} == set(BAD)
    made = {Path(path) for path in told["outputs"]}
    assert made == {folder / "out" / f"{Path(name).stem}.mkv" for name in GOOD}
    assert {folder / name for name in _out(folder)} == made
    for name in GOOD:
        source, done = folder / "in" / name, folder / "out" / f"{Path(name).stem}.mkv"
        assert video(done)["codec_name"] == "h264"
        assert video(done)["nb_read_frames"] == video(source)["nb_read_frames"]


def _sessions(root: psutil.Process) -> Iterator[psutil.Process]:
    """The processes of a run that are FFmpeg at work."""
    for member in root.children(recursive=True):
        try:
            if member.name() == "ffmpeg":
                yield member
        except psutil.NoSuchProcess:
            continue


def _kill_at_work(process: subprocess.Popen[str], delay: float) -> bool:
    """Kills a whole tree, none of it first asked, `delay` seconds after FFmpeg was first at work.

    Returns whether the run was still going on.
    """
    root = psutil.Process(process.pid)
    while process.poll() is None and not any(_sessions(root)):
        time.sleep(0.05)
    time.sleep(delay)
    if process.poll() is not None:
        return False
    for member in (root, *root.children(recursive=True)):
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()
    return True


@pytest.mark.timeout(280)
def test_killed_at_six_moments_the_files_are_those_of_a_run_nobody_disturbed(
    recorded: Api, tmp_path: Path
) -> None:
    calm, rough = (_project(tmp_path / name, REMASTER) for name in ("calm", "rough"))
    film = clip(calm / "in" / "film.mp4", "-g", "25", size="96x64", seconds=10)
    shutil.copy(film, rough / "in" / "film.mp4")
    process = _start(calm, tmp_path / "calm-home")
    _, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    wanted = _out(calm)
    assert set(wanted) == {"out/film.mp4", "out/proxy/film.mkv"}

    dice, kills = random.Random(20261124), 0
    for _ in range(6):
        going = _kill_at_work(_start(rough, tmp_path / "rough-home"), dice.uniform(0, 1.2))
        kills += going
        for name, content in _out(rough).items():
            assert content == wanted[name], f"{name} is half written after kill {kills}"
        if not going:
            break
    assert kills >= 4
    process = _start(rough, tmp_path / "rough-home")
    said, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    assert json.loads(said)["state"] == "succeeded"
    assert _out(rough) == wanted
    assert not list((rough / "out").rglob("*.part"))
    assert times(rough / "out" / "film.mp4") == times(film)


MEASURED = """
import json, resource, sys
from pathlib import Path
from millrace.engine.stages import Staged
from millrace.tasks.video.encoding import Encode
from millrace.tasks.video.params import EncodeParams
from tests.tasks.video.made import finished

source, out = map(Path, sys.argv[1:])
kind = Encode(EncodeParams(codec="h264", preset="ultrafast"))
made = finished(kind, Staged(name=source.name, path=source), out)
ours = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
print(json.dumps([made.units, ours, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


def test_ten_minutes_take_no_more_memory_than_ten_seconds(repository: Path, tmp_path: Path) -> None:
    short = clip(tmp_path / "short.mp4", "-g", "50", size="160x90", seconds=10)
    long = tmp_path / "long.mp4"
    words = ["-stream_loop", "59", "-i", str(short), "-c", "copy", str(long)]
    subprocess.run(["ffmpeg", "-v", "error", *words], check=True)
    peaks = []
    for source, frames in ((short, 250), (long, 15_000)):
        words = [sys.executable, "-c", MEASURED, str(source), str(tmp_path / source.stem)]
        asked = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True)
        units, ours, tools = json.loads(asked.stdout)
        assert units == frames
        peaks.append((ours, tools))
    for at_ten_seconds, at_ten_minutes in zip(*peaks, strict=True):
        assert at_ten_minutes <= 1.05 * at_ten_seconds
