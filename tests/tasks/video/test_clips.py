"""Every real clip: encoded with all the rest of its file, and the output read back; or refused."""

from pathlib import Path

import pytest

from millrace.engine.errors import BadInput
from millrace.tasks.video.check import check
from millrace.tasks.video.mux import mux
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.picture import picture_for
from millrace.tasks.video.probe import probe
from millrace.tasks.video.segments import plan_segments
from millrace.tasks.video.streams import suffix_for
from millrace.tasks.video.transcode import transcode

QUICK = {"codec": "h264", "preset": "ultrafast", "segment_seconds": 2}

DONE = {
    # clip: (suffix, frames, segments)
    "av1_video.mkv": (".mkv", 125, 1),
    "bbb_vp8.webm": (".mkv", 24, 1),
    "bigbuckbunny.mp4": (".mp4", 132, 1),
    "bikes.mp4": (".mp4", 250, 4),
    "bt601_pal_ntsc.mp4": (".mp4", 30, 1),
    "chapters.mp4": (".mp4", 30, 1),
    "dolby_vision_rot90_datatracks.mov": (".mov", 4, 1),
    "even_518x488_phone.mp4": (".mp4", 167, 3),
    "failing_audio.mp4": (".mp4", 280, 2),
    "fps_12_5.mp4": (".mp4", 13, 1),
    "fragmented.mp4": (".mp4", 30, 1),
    "full_range_bt709.mp4": (".mp4", 30, 1),
    "h263.3gp": (".mp4", 15, 1),
    "h264.ts": (".mp4", 30, 1),
    "h264_10bit.mp4": (".mp4", 30, 1),
    "h265_tiny_128.mp4": (".mp4", 10, 1),
    "hdr10_av1.mp4": (".mp4", 127, 1),
    "hdr10_mdcv_clli_av1.mp4": (".mp4", 60, 1),
    "interlaced_tff_720i25.mp4": (".mp4", 66, 1),
    "no_duration_vfr.webm": (".mkv", 74, 1),
    "odd_161x121.webm": (".mkv", 30, 1),
    "rotate_and_reflect.mp4": (".mp4", 30, 1),
    "sample.flv": (".mp4", 30, 1),
    "srgb_trc.mp4": (".mp4", 30, 1),
    "start_offset_1s.mp4": (".mp4", 270, 1),
    "subs_ass.mkv": (".mkv", 30, 1),
    "subs_srt.mkv": (".mkv", 30, 1),
    "subs_vobsub.mp4": (".mp4", 30, 1),
    "vp9_10bit.webm": (".mkv", 72, 1),
}

REFUSED = {
    "audio_only.mp4": "no_video",
    "bitflips.ts": "damaged",
    "circle.gif": "unsupported",  # transparency
    "corrupt_malformed_box.mp4": "damaged",
    "missing_stsd.mp4": "unsupported_stream",  # an audio track that does not say what it is
    "mpeg2.ps.mpg": "unsupported_stream",  # DVD navigation
    "text_renamed.mp4": "not_media",
    "truncated.mkv": "truncated",
    "truncated_faststart.mp4": "truncated",
    "truncated_no_moov.mp4": "truncated",
    "zero_bytes.mp4": "empty",
}

ALLOWED = {
    # clip: (what must be allowed, a note that then tells of it)
    "bitflips.ts": ({"on_damage": "keep"}, "3 frames are missing"),
    "circle.gif": ({"alpha": "flatten"}, "transparency was put onto black"),
    "missing_stsd.mp4": ({"others": "drop"}, "stream 1 (audio unknown) was left out"),
    "mpeg2.ps.mpg": ({"others": "drop"}, "stream 0 (data dvd_nav_packet) was left out"),
    "truncated.mkv": ({"on_damage": "keep"}, "ends early"),
    "truncated_faststart.mp4": ({"on_damage": "keep"}, "frames are missing"),
}


def encoded(path: Path, params: EncodeParams, folder: Path, wanted: str = "") -> tuple[Path, str]:
    """The whole way of one file: the checked output, and every note in one text."""
    video = probe(path)
    picture = picture_for(video, params)
    out = folder / f"out{suffix_for(video, params, wanted)}"
    parts = [
        transcode(path, video, segment, params, picture, folder / f"{number}.part.mp4")
        for number, segment in enumerate(plan_segments(video, params.segment_seconds))
    ]
    notes = mux(path, video, parts, params, out)
    moved = check(path, video, picture, out, sum(part.missing for part in parts))
    return out, "; ".join((*picture.notes, *notes, *moved))


def test_every_clip_is_expected_to_be_done_or_refused(data: Path) -> None:
    assert {p.name for p in (data / "clips").iterdir()} == {*DONE, *REFUSED}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DONE))
def test_nothing_of_a_clip_is_lost(name: str, data: Path, tmp_path: Path) -> None:
    suffix, frames, segments = DONE[name]
    params = EncodeParams.model_validate(QUICK)
    source = probe(data / "clips" / name)
    assert len(plan_segments(source, params.segment_seconds)) == segments
    out, _ = encoded(data / "clips" / name, params, tmp_path)
    made = probe(out)
    assert (out.suffix, made.frames, made.codec) == (suffix, frames, "h264")
    assert made.first * made.time_base == source.first * source.time_base
    assert made.last * made.time_base == source.last * source.time_base
    assert made.matrix == source.matrix
    assert made.depth == source.depth
    assert [c.title for c in made.chapters] == [c.title for c in source.chapters]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_clip_that_cannot_be_done_is_refused_by_name(
    name: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as refusal:
        encoded(data / "clips" / name, EncodeParams.model_validate(QUICK), tmp_path)
    assert refusal.value.code == REFUSED[name]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_what_a_person_allows_is_done_and_noted(name: str, data: Path, tmp_path: Path) -> None:
    allowed, note = ALLOWED[name]
    _, notes = encoded(
        data / "clips" / name, EncodeParams.model_validate({**QUICK, **allowed}), tmp_path
    )
    assert note in notes


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["hevc", "av1"])
@pytest.mark.parametrize(
    "name", ["bikes.mp4", "hdr10_mdcv_clli_av1.mp4", "rotate_and_reflect.mp4", "subs_vobsub.mp4"]
)
def test_every_codec_keeps_times_colour_and_rotation(
    name: str, codec: str, data: Path, tmp_path: Path
) -> None:
    preset = {"hevc": "ultrafast", "av1": "12"}[codec]
    params = EncodeParams.model_validate({"codec": codec, "preset": preset, "segment_seconds": 2})
    out, _ = encoded(data / "clips" / name, params, tmp_path)
    source, made = probe(data / "clips" / name), probe(out)
    assert (made.codec, made.frames) == (codec, source.frames)
    assert made.colour.light == source.colour.light


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bikes.mp4", "failing_audio.mp4", "hdr10_av1.mp4"])
def test_matroska_says_by_how_much_its_coarse_clock_moves_times(
    name: str, data: Path, tmp_path: Path
) -> None:
    _, notes = encoded(
        data / "clips" / name, EncodeParams.model_validate(QUICK), tmp_path, wanted=".mkv"
    )
    assert "times are rounded to milliseconds" in notes


def test_a_container_that_cannot_carry_subtitles_is_refused_before_any_work(data: Path) -> None:
    video = probe(data / "clips" / "subs_ass.mkv")
    with pytest.raises(BadInput) as refusal:
        suffix_for(video, EncodeParams(), ".mp4")
    assert refusal.value.code == "unsupported_stream"
    assert ".mkv" in refusal.value.hint
