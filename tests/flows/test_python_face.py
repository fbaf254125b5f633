"""Millrace from Python: one call for a file, a task in a person's own flow, and errors in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import millrace
from millrace.engine.recording.server import Api
from millrace.engine.runs import Runs
from millrace.engine.settings import settings

pytestmark = pytest.mark.slow


@pytest.fixture
def clip(sample: Path, tmp_path: Path) -> Path:
    """The first frames of a real clip, small."""
    path = tmp_path / "in.mp4"
    source = sample / "video" / "bunny.mp4"
    size = ["-t", "0.4", "-vf", "scale=96:54", "-c:v", "libx264", "-preset", "ultrafast"]
    command = ["ffmpeg", "-v", "error", "-i", str(source), *size, "-an", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


def _python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _probe(path: Path) -> dict[str, object]:
    what = "stream=width,height,codec_name,nb_read_frames"
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0"]
    told = subprocess.run(
        [*command, "-show_entries", what, "-of", "json", str(path)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    stream: dict[str, object] = json.loads(told.stdout)["streams"][0]
    return stream


def test_one_call_doubles_a_videos_size_and_keeps_its_frames(
    recorded: Api, tmp_path: Path, clip: Path
) -> None:
    done = _python(
        """
        from millrace import upscale_video
        print(upscale_video("in.mp4", "out.mp4", scale=2))
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == str(tmp_path / "out.mp4")
    before, after = _probe(clip), _probe(tmp_path / "out.mp4")
    assert (before["width"], before["height"]) == (96, 54)
    assert (after["width"], after["height"]) == (192, 108)
    assert after["nb_read_frames"] == before["nb_read_frames"]


def test_encoding_assembling_and_running_a_pipeline_are_one_call_each(
    recorded: Api, tmp_path: Path, clip: Path, sample: Path
) -> None:
    (tmp_path / "frames").symlink_to(sample / "frames" / "zoom")
    (tmp_path / "p.yaml").write_text(
        textwrap.dedent(
            """
            version: 1
            name: small
            inputs:
              clips: {files: in.mp4}
            stages:
              encode: {uses: video.encode, each: clips, with: {codec: h264}}
            outputs:
              videos: {from: encode, to: "out/{source.path}.mp4"}
            """
        )
    )
    done = _python(
        """
        from millrace import assemble_video, encode_video, run_pipeline
        encode_video("in.mp4", "encoded.mp4", codec="h264")
        assemble_video("frames", "assembled.mp4", fps="24000/1001", codec="h264")
        outcome = run_pipeline("p.yaml")
        print(outcome.model_dump_json())
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert _probe(tmp_path / "encoded.mp4")["codec_name"] == "h264"
    frames = len(list((sample / "frames" / "zoom").glob("*.png")))
    assert _probe(tmp_path / "assembled.mp4")["nb_read_frames"] == str(frames)
    outcome = json.loads(done.stdout.split("\n")[-2])
    assert outcome["items"] == {"done": 0, "reused": 1, "failed": 0}
    assert outcome["outputs"] == [str(tmp_path / "out" / "in.mp4")]


def test_what_cannot_be_done_is_our_error_and_says_which_file_and_why(
    recorded: Api, tmp_path: Path, clip: Path
) -> None:
    (tmp_path / "words.mp4").write_text("these are words, and no video\n" * 50)
    done = _python(
        """
        from millrace import MillraceError, upscale_video
        from millrace.engine.errors import UsageError

        def told(source, **params):
            try:
                upscale_video(source, "out.mp4", **params)
            except MillraceError as error:
                names = [item for item, _, _ in getattr(error, "failures", ())]
                print("TOLD", type(error).__name__, names, error.message)

        told("in.mp4", colour="blue")
        told("in.mp4", scale=7)
        told("absent.mp4")
        told("words.mp4")
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    colour, scale, absent, words = [x for x in done.stdout.split("\n") if x.startswith("TOLD")]
    assert colour.startswith("TOLD UsageError")
    assert "colour" in colour
    assert scale.startswith("TOLD UsageError")
    assert "scale" in scale
    assert absent.startswith("TOLD RunFailed ['absent.mp4'] absent.mp4 does not exist")
    assert words.startswith("TOLD RunFailed ['words.mp4']")
    assert "words.mp4" in words.partition("]")[2]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_everything_that_is_offered_is_there_sorted_and_costs_nothing_to_import() -> None:
    assert millrace.__all__ == sorted(millrace.__all__)
    assert dir(millrace) == millrace.__all__
    for name in millrace.__all__:
        assert getattr(millrace, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        millrace.nothing  # noqa: B018
    script = "import sys, millrace; print([m for m in ('prefect', 'pydantic') if m in sys.modules])"
    assert _python(script, Path.cwd()).stdout.strip() == "[]"


def test_tasks_in_a_persons_own_flow_work_and_the_second_time_nothing_is_done_again(
    recorded: Api, tmp_path: Path, clip: Path
) -> None:
    script = """
        from prefect import flow
        from millrace.tasks.video import encode, upscale

        @flow
        def mine():
            return encode.submit(upscale.submit("in.mp4"), "b.mp4").result()

        print(mine())
        """
    first = _python(script, tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout.split("\n")[-2] == str(tmp_path / "b.mp4")
    assert (_probe(tmp_path / "b.mp4")["width"], _events("assigned")) == (192, True)
    second = _python(script, tmp_path)
    assert second.returncode == 0, second.stderr
    assert len(Runs(settings()).list()) == 4
    assert not _events("assigned")
    assert _events("reused")


def _events(event: str) -> bool:
    """True when both of the two newest runs have such a record."""
    return all(any(r.event == event for r in run.records()) for run in Runs(settings()).list()[:2])
