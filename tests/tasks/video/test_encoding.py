"""The kind `video.encode` on made clips: parts, codecs and containers, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from millrace.engine.errors import BadInput, DamagedOutput
from millrace.engine.stages import Batch, Failure, Outline, Result, Staged
from millrace.tasks.video.encoding import Encode
from millrace.tasks.video.params import EncodeParams
from tests.tasks.video.made import CPU, batches, clip, finished, levels, told, video
from tests.tasks.video.made import times as shown

pytestmark = pytest.mark.slow  # each starts programs or sessions of its own

PRESETS = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "12"}


def kind(codec: str = "h264", **params: object) -> Encode:
    return Encode(EncodeParams.model_validate({"codec": codec, "preset": PRESETS[codec], **params}))


def staged(path: Path) -> Staged:
    return Staged(name=path.name, path=path, media_type="video/*")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds with a key frame every second."""
    folder = tmp_path_factory.mktemp("film")
    return clip(folder / "film.mp4", "-g", "10", size="64x64", rate=10, seconds=6)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("h264", ".mp4"),
        ("h264", ".mov"),
        ("h264", ".mkv"),
        ("hevc", ".mp4"),
        ("hevc", ".mkv"),
        ("av1", ".mp4"),
        ("av1", ".mkv"),
    ],
)
def test_parts_joined_have_the_frames_and_times_of_the_source(
    codec: str, suffix: str, film: Path, tmp_path: Path
) -> None:
    cut = kind(codec, segment_seconds=2, crf=10)
    assert len(batches(cut, staged(film), suffix)) == 3
    made = finished(cut, staged(film), tmp_path, suffix)
    assert made.path.suffix == suffix
    assert video(made.path)["codec_name"] == codec
    assert shown(made.path) == shown(film) == [Fraction(n, 10) for n in range(60)]
    pairs = zip(levels(made.path), levels(film), strict=True)
    assert all(abs(a - b) <= 2 for a, b in pairs)


def test_webm_takes_av1_and_nothing_else(film: Path, tmp_path: Path) -> None:
    made = finished(kind("av1"), staged(film), tmp_path, ".webm")
    assert (made.path.suffix, made.media_type) == (".webm", "video/webm")
    assert told(made.path, "-show_format")["format"]["format_name"] == "matroska,webm"
    with pytest.raises(BadInput, match="does not carry h264") as caught:
        batches(kind(), staged(film), ".webm")
    assert ".mp4" in caught.value.hint


def test_quicktime_does_not_take_av1(film: Path) -> None:
    with pytest.raises(BadInput, match=r"\.mov does not carry av1") as caught:
        batches(kind("av1"), staged(film), ".mov")
    assert ".mp4" in caught.value.hint


def test_a_suffix_that_is_no_container_is_refused_before_any_work(film: Path) -> None:
    with pytest.raises(BadInput, match=r"not written as \.avi"):
        batches(kind(), staged(film), ".avi")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_same_file_gives_the_same_bytes(suffix: str, film: Path, tmp_path: Path) -> None:
    one, two = (
        finished(kind("hevc", segment_seconds=2), staged(film), tmp_path / name, suffix)
        for name in "ab"
    )
    assert one.path.read_bytes() == two.path.read_bytes()


def done(stage: Encode, batch: Batch, out: Path) -> Result:
    with stage.open(CPU) as session:
        (answer,) = stage.run(session, [batch], out, lambda key, units: None)
    assert isinstance(answer, Result), answer
    return answer


def test_a_part_that_lost_a_frame_is_never_joined(film: Path, tmp_path: Path) -> None:
    stage = kind(segment_seconds=2)
    todo = batches(stage, staged(film))
    made = [done(stage, batch, tmp_path) for batch in todo]
    clip(made[1].path, "-g", "10", size="64x64", rate=10, seconds=1.9)
    with pytest.raises(DamagedOutput):
        stage.check(todo[1], made[1])
    with pytest.raises(DamagedOutput, match="frames"):
        stage.join(None, todo[0], made, tmp_path, lambda key, units: None)


def test_a_finished_file_that_was_spoilt_is_noticed(film: Path, tmp_path: Path) -> None:
    stage = kind()
    (batch,) = batches(stage, staged(film))
    made = done(stage, batch, tmp_path)
    stage.check(batch, made)
    content = made.path.read_bytes()
    made.path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DamagedOutput):
        stage.check(batch, made)


def test_one_rotten_file_is_a_failure_and_the_next_one_is_done(film: Path, tmp_path: Path) -> None:
    stage = kind()
    (good,) = batches(stage, staged(film))
    rotten = tmp_path / "rotten.mp4"
    rotten.write_bytes(b"")
    bad = good.model_copy(update={"key": "bad", "item": staged(rotten)})
    out = tmp_path / "out"
    out.mkdir()
    with stage.open(CPU) as session:
        first, second = stage.run(session, [bad, good], out, lambda key, units: None)
    assert isinstance(first, Failure)
    assert (first.key, first.fault) == ("bad", "input")
    assert "rotten.mp4" in first.message
    assert isinstance(second, Result)
    assert list(out.iterdir()) == [second.path]


def test_progress_counts_the_frames_of_the_batch(film: Path, tmp_path: Path) -> None:
    stage = kind(segment_seconds=2)
    told_of: list[tuple[str, float]] = []
    with stage.open(CPU) as session:
        todo = batches(stage, staged(film))
        list(stage.run(session, todo, tmp_path, lambda key, units: told_of.append((key, units))))
    assert told_of == [(batch.key, n) for batch in todo for n in range(1, 21)]


def test_the_forecast_is_what_comes_out(film: Path, tmp_path: Path) -> None:
    stage = kind("hevc")
    foreseen = stage.forecast(stage.measure(staged(film)))
    made = stage.measure(staged(finished(stage, staged(film), tmp_path).path))
    for name in ("frames", "width", "height", "seconds"):
        assert foreseen.facts[name] == made.facts[name], name
    assert stage.work(foreseen).units == 60
    assert Outline.model_validate_json(foreseen.model_dump_json()) == foreseen


def test_key_frames_stand_as_far_apart_as_was_asked(film: Path, tmp_path: Path) -> None:
    made = finished(kind(keyframe_seconds=2), staged(film), tmp_path)
    found = told(made.path, "-select_streams", "v:0", "-show_entries", "packet=pts_time,flags")
    keys = [float(p["pts_time"]) for p in found["packets"] if "K" in p["flags"]]
    assert {0.0, 2.0, 4.0} <= set(keys)
    assert all(b - a <= 2 for a, b in zip(keys, [*keys[1:], 6.0], strict=True))
