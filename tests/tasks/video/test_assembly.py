"""The kind `video.assemble`: images in order, at the rate asked for, none lost in silence."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import ValidationError

from millrace.engine.errors import BadInput
from millrace.tasks.video.assembly import Assemble, AssembleParams
from tests.engine.runs.conftest import Workshop
from tests.tasks.video.made import (
    batches,
    ffmpeg,
    finished,
    gathered,
    grey,
    levels,
    numbered,
    times,
    video,
)

pytestmark = pytest.mark.slow  # each starts programs or sessions of its own

QUICK = {"codec": "h264", "preset": "ultrafast"}
PRESETS = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "12"}

PIPELINE = """
version: 1
name: assemble
label: internal
inputs:
  frames: {INPUT}
stages:
  film: {uses: video.assemble, HOW: frames, with: {codec: h264, preset: ultrafast, crf: 1}}
outputs:
  films: {from: film, to: "TO"}
"""


def kind(**params: object) -> Assemble:
    return Assemble(AssembleParams.model_validate({**QUICK, **params}))


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def close(found: list[int], wanted: list[int]) -> bool:
    return len(found) == len(wanted) and all(
        abs(a - b) <= 2 for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (25, Fraction(25)),
        (12.5, Fraction(25, 2)),
        ("24000/1001", Fraction(24000, 1001)),
        (23.976, Fraction(24000, 1001)),
        ("1/2", Fraction(1, 2)),
        (1000, Fraction(1000)),
    ],
)
def test_the_frame_rate_may_be_a_number_or_a_fraction(
    fps: object, rate: Fraction, tmp_path: Path
) -> None:
    item = gathered(numbered(tmp_path / "in", [40, 80, 120, 160, 200]))
    result = finished(kind(fps=fps), item, tmp_path / "out")
    assert times(result.path) == [n / rate for n in range(5)]


@pytest.mark.parametrize("fps", ["abc", "1/0", "0", "-25", "1001", "", None])
def test_a_frame_rate_that_is_none_is_refused(fps: object) -> None:
    with pytest.raises(ValidationError, match="must be"):
        AssembleParams.model_validate({"fps": fps})


def test_frame2_comes_before_frame10_whatever_order_the_folder_has(shop: Workshop) -> None:
    for number in reversed(range(1, 13)):
        grey(shop.folder / "in" / f"frame{number}.png", 15 * number)
    text = PIPELINE.replace("INPUT", 'files: "in/*.png"').replace("HOW", "all")
    outcome = shop.run(text.replace("TO", "out/film.mp4"))
    assert (outcome.state, outcome.items["failed"]) == ("succeeded", 0), outcome.failures
    assert close(levels(shop.folder / "out/film.mp4"), [15 * n for n in range(1, 13)])


def test_each_folder_becomes_a_video_of_its_name(shop: Workshop) -> None:
    for name, shade in (("dawn", 60), ("dusk", 180)):
        (shop.folder / "in" / name).mkdir()
        for number in (1, 2, 10):
            grey(shop.folder / "in" / name / f"{number}.png", shade + number)
    text = PIPELINE.replace("INPUT", 'folders: "in/*"').replace("HOW", "each")
    outcome = shop.run(text.replace("TO", "out/{source.name}.mp4"))
    assert outcome.state == "succeeded", outcome.failures
    assert sorted(shop.out()) == ["dawn.mp4", "dusk.mp4"]
    assert close(levels(shop.folder / "out/dusk.mp4"), [180 + n for n in (1, 2, 10)])


def test_the_one_image_of_another_size_is_named(tmp_path: Path) -> None:
    members = numbered(tmp_path, [50] * 5)
    grey(tmp_path / "odd.png", 50, (32, 32)).replace(members[3])
    with pytest.raises(BadInput, match=r"frame4.png of frames is 32x32 .*frame1.png is 64x48"):
        kind().measure(gathered(members))


def test_the_one_image_of_another_format_is_named(tmp_path: Path) -> None:
    members = numbered(tmp_path, [50] * 5)
    grey(tmp_path / "odd.jpg", 50).replace(members[2])
    with pytest.raises(BadInput, match=r"frame3.png of frames is mjpeg and frame1.png is png"):
        kind().measure(gathered(members))


def test_the_one_image_of_another_pixel_format_is_named(tmp_path: Path) -> None:
    members = numbered(tmp_path, [50] * 3)
    grey(tmp_path / "odd.png", 50, mode="RGBA").replace(members[1])
    with pytest.raises(BadInput, match=r"frame2.png of frames is 64x48 rgba"):
        kind().measure(gathered(members))


def test_what_is_not_an_image_is_named(tmp_path: Path) -> None:
    members = numbered(tmp_path, [50] * 3)
    members[1].write_text("not an image")
    with pytest.raises(BadInput, match=r"frame2.png is not an image") as caught:
        kind().measure(gathered(members))
    assert caught.value.code == "not_media"


def spoil(path: Path, how: str) -> None:
    """Cuts an image in half, or overwrites a piece of its middle."""
    content = path.read_bytes()
    half = len(content) // 2
    rubbish = b"\xff" * 12 + content[half + 12 :]
    path.write_bytes(content[:half] + (rubbish if how == "rubbish" else b""))


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize(
    ("suffix", "how"),
    [(".png", "cut"), (".png", "rubbish"), (".jpg", "cut"), (".tiff", "cut"), (".bmp", "cut")],
)
def test_a_damaged_image_fails_or_is_left_out_and_counted(
    suffix: str, how: str, place: int, tmp_path: Path
) -> None:
    shades = [40, 80, 120, 160, 200]
    members = numbered(tmp_path / "in", shades, suffix)
    spoil(members[place], how)
    item = gathered(members)
    with pytest.raises(BadInput, match=f"1 images do not decode.*frame{place + 1}.png") as caught:
        batches(kind(), item)
    assert caught.value.code == "damaged"
    assert "on_damage: keep" in caught.value.hint
    result = finished(kind(on_damage="keep", crf=1), item, tmp_path / "out")
    assert "1 images are missing: they did not decode" in result.notes
    assert (result.facts["frames"], result.facts["missing"]) == (4, 1)
    kept = [number for number in range(5) if number != place]
    assert close(levels(result.path), [shades[number] for number in kept])
    assert times(result.path) == [Fraction(number, 25) for number in kept]


def test_images_of_which_none_decodes_are_damaged(tmp_path: Path) -> None:
    members = numbered(tmp_path, [50, 60])
    for member in members:
        spoil(member, "cut")
    with pytest.raises(BadInput) as caught:
        kind().measure(gathered(members))
    assert caught.value.code == "damaged"


def test_an_empty_folder_holds_no_images(tmp_path: Path) -> None:
    item = gathered([tmp_path / "1"]).model_copy(update={"members": (), "member_names": ()})
    with pytest.raises(BadInput, match="holds no images"):
        kind().measure(item)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", sorted(PRESETS))
def test_parts_joined_have_the_frames_and_times_of_an_uncut_video(
    codec: str, suffix: str, tmp_path: Path
) -> None:
    item = gathered(numbered(tmp_path / "in", [16 + 4 * n for n in range(50)], size=(64, 64)))
    how = {"codec": codec, "preset": PRESETS[codec], "fps": 10, "crf": 5}
    cut = kind(**how, segment_seconds=2)
    assert len(batches(cut, item)) == 2
    parts = finished(cut, item, tmp_path / "cut", suffix)
    whole = finished(kind(**how, segment_seconds=60), item, tmp_path / "whole", suffix)
    assert parts.path.suffix == whole.path.suffix == suffix
    assert times(parts.path) == times(whole.path) == [Fraction(n, 10) for n in range(50)]
    assert close(levels(parts.path), levels(whole.path))
    for name in ("codec_name", "width", "height", "pix_fmt", "start_time", "nb_read_frames"):
        assert video(parts.path)[name] == video(whole.path)[name], name


def test_a_damaged_image_in_a_later_part_moves_no_other(tmp_path: Path) -> None:
    shades = [16 + 4 * n for n in range(50)]
    members = numbered(tmp_path / "in", shades)
    for place in (20, 33, 49):
        spoil(members[place], "cut")
    how = kind(fps=10, segment_seconds=2, on_damage="keep", crf=1)
    result = finished(how, gathered(members), tmp_path / "out")
    kept = [n for n in range(50) if n not in (20, 33, 49)]
    assert "3 images are missing: they did not decode" in result.notes
    assert times(result.path) == [Fraction(n, 10) for n in kept]
    assert close(levels(result.path), [shades[n] for n in kept])


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_an_odd_size_is_kept_exactly(codec: str, tmp_path: Path) -> None:
    item = gathered(numbered(tmp_path / "in", [50, 100, 150], size=(69, 21)))
    found = video(finished(kind(codec=codec), item, tmp_path / "out").path)
    assert (found["width"], found["height"], found["pix_fmt"]) == (69, 21, "yuv444p")


def test_a_width_at_which_x265_destroys_its_memory_is_refused_before_any_work(
    tmp_path: Path,
) -> None:
    item = gathered(numbered(tmp_path / "in", [50, 100], size=(34, 22)))
    with pytest.raises(BadInput, match="34 pixels wide") as caught:
        batches(kind(codec="hevc"), item)
    assert "codec: h264" in caught.value.hint
    assert video(finished(kind(), item, tmp_path / "out").path)["width"] == 34


def test_av1_refuses_an_odd_size_before_any_work(tmp_path: Path) -> None:
    item = gathered(numbered(tmp_path / "in", [50, 100], size=(99, 77)))
    with pytest.raises(BadInput, match="odd size 99x77"):
        batches(kind(codec="av1", preset="12"), item)


def test_transparency_is_refused_or_put_onto_black(tmp_path: Path) -> None:
    members = numbered(tmp_path / "in", [0, 0, 0])
    for number, member in enumerate(members):
        half = f"color=white@{number / 4}:size=64x48,format=rgba"
        ffmpeg("-f", "lavfi", "-i", half, "-frames:v", "1", tmp_path / "half.png")
        shutil.move(tmp_path / "half.png", member)
    item = gathered(members)
    with pytest.raises(BadInput, match="transparency"):
        batches(kind(), item)
    result = finished(kind(alpha="flatten", crf=1), item, tmp_path / "out")
    assert "transparency was put onto black" in result.notes
    assert close(levels(result.path), [0, 64, 127])


def test_sixteen_bits_become_twelve_and_say_so(tmp_path: Path) -> None:
    members = numbered(tmp_path / "in", [0, 0])
    for member in members:
        source = "testsrc2=size=64x48,format=rgb48be"
        ffmpeg("-f", "lavfi", "-i", source, "-frames:v", "1", tmp_path / "deep.png")
        shutil.move(tmp_path / "deep.png", member)
    result = finished(kind(codec="hevc"), gathered(members), tmp_path / "out")
    assert video(result.path)["pix_fmt"] == "yuv420p12le"
    assert "16 bits a sample became 12" in result.notes


def test_jpegs_keep_their_full_range(tmp_path: Path) -> None:
    item = gathered(numbered(tmp_path / "in", [0, 128, 255], ".jpg"))
    result = finished(kind(crf=1), item, tmp_path / "out")
    assert video(result.path)["color_range"] == "pc"
    assert close(levels(result.path), [0, 128, 255])
