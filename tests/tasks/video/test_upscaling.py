"""The kind `video.upscale` on made clips: what comes out, read back, and what is refused."""

import base64
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from millrace.engine.errors import BadInput, DamagedOutput
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Failure, Outline, Result, Span, Staged
from millrace.tasks.video.upscaling import Session, Upscale, UpscaleParams
from millrace.testing import conformance

pytestmark = pytest.mark.slow  # each opens the network and FFmpeg several times

CPU = Device(cores=2, memory=2 << 30)
QUICK = {"preset": "ultrafast", "codec": "h264", "precision": "fast"}


def clip(path: Path, *options: str, size: str = "64x48", seconds: float = 1.0) -> Path:
    """A made clip; `options` go to the encoder."""
    source = f"testsrc2=size=64x48:rate=25:duration={seconds},scale={size.replace('x', ':')}"
    quiet = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run([*quiet, *encoder, *options, str(path)], check=True)
    return path


def stream(path: Path) -> dict[str, str]:
    """What ffprobe says of the video stream."""
    ask = ["-v", "error", "-select_streams", "v:0", "-show_streams", "-count_frames", "-of", "json"]
    said = subprocess.run(["ffprobe", *ask, str(path)], check=True, capture_output=True).stdout
    found: dict[str, str] = json.loads(said)["streams"][0]
    return found


def luma(path: Path, height: int, width: int) -> np.ndarray:
    """The luma of every frame, [frames, rows, columns]."""
    ask = ["-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-"]
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), *ask], check=True, capture_output=True
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width)


def batches(kind: Upscale, item: Staged, suffix: str = "") -> list[Batch]:
    outline = kind.measure(item).model_copy(update={"output_suffix": suffix})
    spans = kind.split(outline)
    return [
        Batch(key=f"{n:016d}", item=item, outline=outline, span=span, whole=len(spans) == 1)
        for n, span in enumerate(spans)
    ]


def joined(kind: Upscale, session: Session, item: Staged, out: Path, suffix: str = "") -> Result:
    """The finished result of an item, checked at every step."""
    made = []
    todo = batches(kind, item, suffix)
    for answer in kind.run(session, todo, out, lambda key, units: None):
        assert isinstance(answer, Result), answer
        kind.check(todo[len(made)], answer)
        made.append(answer)
    if len(todo) == 1:
        return made[0]
    whole = todo[0].model_copy(
        update={"key": "joined", "span": Span(stop=todo[-1].span.stop), "whole": True}
    )
    result = kind.join(session, whole, made, out, lambda key, units: None)
    kind.check(whole, result)
    return result


def upscaled(source: Path, out: Path, suffix: str = "", **params: object) -> Result:
    kind = Upscale(UpscaleParams.model_validate({**QUICK, **params}))
    out.mkdir(exist_ok=True)
    with kind.open(CPU) as session:
        item = Staged(name=source.name, path=source)
        return joined(kind, session, item, out, suffix)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clip") / "small.mp4")


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "out"
    folder.mkdir()
    yield folder


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sides_grow_and_frames_stay(small: Path, out: Path, scale: int) -> None:
    result = upscaled(small, out, scale=scale)
    found = stream(result.path)
    assert (found["width"], found["height"]) == (64 * scale, 48 * scale)
    assert found["nb_read_frames"] == "25"
    assert list(out.iterdir()) == [result.path]


def test_the_picture_is_the_sources(small: Path, out: Path) -> None:
    result = upscaled(small, out, crf=10)
    before, after = luma(small, 48, 64).astype(int), luma(result.path, 96, 128).astype(int)
    assert before.shape[0] == after.shape[0]
    back = after.reshape(-1, 48, 2, 64, 2).mean(axis=(2, 4))
    # A frame out of order or a shifted picture would differ by tens.
    assert np.abs(back - before).mean() < 4


def test_ten_bits_and_hdr_tags_stay(tmp_path: Path, out: Path) -> None:
    tags = "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range tv"
    source = clip(tmp_path / "hdr.mp4", "-pix_fmt", "yuv420p10le", *tags.split(), seconds=0.4)
    found = stream(upscaled(source, out, codec="hevc").path)
    assert found["pix_fmt"] == "yuv420p10le"
    assert found["color_transfer"] == "smpte2084"
    assert found["color_primaries"] == "bt2020"


def test_times_that_are_not_even_stay(tmp_path: Path, out: Path) -> None:
    source = clip(tmp_path / "vfr.mp4", "-vf", "select='not(eq(mod(n,3),1))'", "-fps_mode", "vfr")
    result = upscaled(source, out)

    def times(path: Path) -> list[float]:
        ask = ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time"]
        said = subprocess.run(
            ["ffprobe", *ask, "-of", "csv=p=0", str(path)], check=True, capture_output=True
        )
        return [float(line.strip(b",")) for line in said.stdout.split()]

    assert len(set(np.diff(times(source)).round(4))) > 1
    assert times(result.path) == pytest.approx(times(source), abs=1e-6)


@pytest.mark.parametrize("size", ["1x1", "2x2", "17x9"])
def test_tiny_and_odd_sizes_work(tmp_path: Path, out: Path, size: str) -> None:
    source = clip(tmp_path / "tiny.mp4", "-pix_fmt", "yuv444p", size=size, seconds=0.2)
    width, height = map(int, size.split("x"))
    found = stream(upscaled(source, out).path)
    assert (found["width"], found["height"]) == (2 * width, 2 * height)


def test_two_runs_give_identical_files(small: Path, tmp_path: Path) -> None:
    first, second = (upscaled(small, tmp_path / name) for name in "ab")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_segments_joined_are_the_uncut_frames(tmp_path: Path) -> None:
    source = clip(tmp_path / "long.mp4", "-g", "25", size="32x32", seconds=9)
    cut = upscaled(source, tmp_path / "cut", segment_seconds=2, crf=1)
    uncut = upscaled(source, tmp_path / "uncut", segment_seconds=60, crf=1)
    kind = Upscale(UpscaleParams.model_validate({**QUICK, "segment_seconds": 2}))
    item = Staged(name="long.mp4", path=source)
    assert len(batches(kind, item)) >= 4
    assert len(batches(kind, item)) == len({str(b.span.data) for b in batches(kind, item)})
    a, b = luma(cut.path, 64, 64).astype(int), luma(uncut.path, 64, 64).astype(int)
    assert a.shape == b.shape == (225, 64, 64)
    assert np.abs(a - b).mean() < 1


def test_a_segment_that_is_short_is_never_joined(tmp_path: Path, out: Path) -> None:
    source = clip(tmp_path / "long.mp4", "-g", "25", size="32x32", seconds=5)
    kind = Upscale(UpscaleParams.model_validate({**QUICK, "segment_seconds": 2}))
    item = Staged(name="long.mp4", path=source)
    todo = batches(kind, item)
    with kind.open(CPU) as session:
        made = [r for r in kind.run(session, todo, out, lambda *_: None) if isinstance(r, Result)]
        short = clip(tmp_path / "short.mp4", size="64x64", seconds=0.4)
        made[0].path.write_bytes(short.read_bytes())
        with pytest.raises(DamagedOutput):
            kind.check(todo[0], made[0])
        with pytest.raises(DamagedOutput):
            kind.join(session, todo[0], made, out, lambda *_: None)


def test_what_computed_and_a_picture_are_told(small: Path, out: Path) -> None:
    facts = upscaled(small, out).facts
    assert facts["model"] == "luma_x2"
    assert facts["backend"] == "openvino"
    text = facts["thumbnail"]
    assert isinstance(text, str)
    assert 0 < len(text) <= 20_000
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert image.format == "JPEG"
    assert image.width == 2 * 128 + 2


def test_a_gpu_without_its_runtime_is_told_as_a_note(small: Path, out: Path) -> None:
    kind = Upscale(UpscaleParams.model_validate(QUICK))
    gpu = Device(kind="cuda", name="NVIDIA L4", uuid="GPU-1", cores=2, memory=2 << 30)
    with kind.open(gpu) as session:
        result = joined(kind, session, Staged(name="small.mp4", path=small), out)
    assert any("computed on cpu" in note for note in result.notes)


def test_one_rotten_file_does_not_stop_the_others(small: Path, tmp_path: Path, out: Path) -> None:
    rotten = tmp_path / "rotten.mp4"
    whole = clip(tmp_path / "whole.mp4", "-movflags", "+faststart", size="160x120").read_bytes()
    half = len(whole) // 2
    rotten.write_bytes(whole[:half] + bytes(200) + whole[half + 200 :])
    kind = Upscale(UpscaleParams.model_validate(QUICK))
    items = [Staged(name=path.name, path=path) for path in (rotten, small)]
    todo = [
        batch.model_copy(update={"key": f"{n}" * 16})
        for n, item in enumerate(items)
        for batch in batches(kind, item)
    ]
    with kind.open(CPU) as session:
        answers = list(kind.run(session, todo, out, lambda *_: None))
    assert isinstance(answers[0], Failure)
    assert answers[0].code == "damaged"
    assert isinstance(answers[1], Result)
    assert [path.name for path in out.iterdir()] == [answers[1].path.name]


def test_progress_counts_frames(small: Path, out: Path) -> None:
    kind = Upscale(UpscaleParams.model_validate(QUICK))
    told: list[float] = []
    with kind.open(CPU) as session:
        todo = batches(kind, Staged(name="small.mp4", path=small))
        list(kind.run(session, todo, out, lambda key, units: told.append(units)))
    assert told == list(range(1, 26))


def test_a_container_that_cannot_carry_it_is_refused(small: Path, out: Path) -> None:
    kind = Upscale(UpscaleParams.model_validate(QUICK))
    item = Staged(name="small.mp4", path=small)
    with kind.open(CPU) as session:
        [answer] = kind.run(session, batches(kind, item, ".webm"), out, lambda *_: None)
    assert isinstance(answer, Failure)
    assert answer.code == "unsupported_stream"
    assert list(out.iterdir()) == []


def test_the_forecast_has_the_size_of_the_output(small: Path, out: Path) -> None:
    kind = Upscale(UpscaleParams.model_validate({**QUICK, "scale": 4}))
    outline = kind.measure(Staged(name="small.mp4", path=small))
    foreseen = kind.forecast(outline)
    assert (foreseen.facts["width"], foreseen.facts["height"]) == (256, 192)
    assert kind.work(foreseen).units == 25
    assert Outline.model_validate_json(foreseen.model_dump_json()) == foreseen


def test_a_size_that_the_codec_refuses_is_known_before_any_work(tmp_path: Path) -> None:
    source = clip(tmp_path / "tiny.mp4", "-pix_fmt", "yuv444p", size="4x4", seconds=0.2)
    kind = Upscale(UpscaleParams(codec="hevc"))
    outline = kind.measure(Staged(name="tiny.mp4", path=source))
    with pytest.raises(BadInput, match="smaller than hevc"):
        kind.work(outline)


def test_the_key_changes_with_the_arithmetic_and_the_network(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another network")
    profiles = [
        Upscale(UpscaleParams(model=str(other))).profile(CPU),
        Upscale(UpscaleParams()).profile(CPU),
    ]
    assert profiles[0]["network"] != profiles[1]["network"]
    assert profiles[1]["backend"] == "openvino"
    assert profiles[1] == Upscale(UpscaleParams()).profile(Device(cores=7))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scale": 5}, "2, 3 or 4"),
        ({"model": "luma_x3"}, "luma_x2"),
        ({"model": "mine.onnx"}, "full path"),
        ({"tile": 8}, "64"),
        ({"sclae": 2}, "sclae"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        UpscaleParams.model_validate(wrong)


def same_frames(one: Path, other: Path) -> None:
    a, b = stream(one), stream(other)
    for name in ("width", "height", "nb_read_frames", "pix_fmt", "start_time"):
        assert a[name] == b[name], name


def test_the_kind_keeps_the_contract_of_stage_kinds(tmp_path: Path) -> None:
    inputs, room = tmp_path / "in", tmp_path / "room"
    inputs.mkdir()
    room.mkdir()
    good = clip(inputs / "good.mp4", "-g", "25", size="32x32", seconds=5)
    text = inputs / "text.mp4"
    text.write_text("not a video")
    conformance(
        "video.upscale",
        {**QUICK, "segment_seconds": 2},
        good=[good],
        bad=[text],
        tmp=room,
        uncut={**QUICK, "segment_seconds": 60},
        same=same_frames,
    )


def test_the_scale_may_come_as_text_from_a_command_line() -> None:
    assert UpscaleParams.model_validate({"scale": "3"}).scale == 3
