"""What `make demo` promises a newcomer: clips twice the size, and a second run for free."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CLIPS = {
    "bunny": (480, 270, 75),
    "archive/bear_161x121": (161, 121, 30),
    "archive/test_card": (360, 288, 75),
    "phone/canyon_vfr_rotated": (320, 180, 72),
}


@pytest.fixture
def server(home: Path) -> Iterator[None]:
    """Ends the Prefect server that the first run in this home starts."""
    yield
    ended = millrace("server", "stop")
    assert ended.returncode == 0, ended.stderr


def millrace(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("millrace")), *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280
    )


def remaster(repository: Path, out: Path) -> dict[str, Any]:
    document = "deployments/pipelines/remaster.yaml"
    ended = millrace("run", document, "--set", f"out={out}", "--yes", "--json", cwd=repository)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return summary


def picture(path: Path) -> tuple[int, int, int]:
    """Returns width, height and the number of decoded frames of the first video stream."""
    asked = "stream=width,height,nb_read_frames"
    probe = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0"]
    said = subprocess.run(
        [*probe, "-show_entries", asked, "-of", "json", str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    stream = json.loads(said.stdout)["streams"][0]
    return stream["width"], stream["height"], int(stream["nb_read_frames"])


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("server")
def test_the_demo_doubles_and_re_encodes_every_clip_and_reuses_all_of_it_the_second_time(
    repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = remaster(repository, out)
    assert first["state"] == "succeeded"
    assert first["failures"] == []
    for name, (width, height, frames) in CLIPS.items():
        master, proxy = out / f"{name}.mp4", out / "proxy" / f"{name}.mp4"
        assert picture(master) == (2 * width, 2 * height, frames)
        assert picture(proxy) == (2 * width, 2 * height, frames)
    second = remaster(repository, out)
    assert second["state"] == "succeeded"
    assert second["items"]["done"] == 0
    assert second["items"]["reused"] == first["items"]["done"]


def test_the_demo_covers_every_sample_clip(sample: Path) -> None:
    folder = sample / "video"
    clips = {str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.mp4")}
    assert clips == CLIPS.keys()
