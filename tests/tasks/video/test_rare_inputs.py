"""Inputs that are rare and real: the smallest, the largest, the richest, and the treacherous."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from millrace.engine.stages import Batch, Failure, Staged
from millrace.tasks.video.encoding import Encode
from millrace.tasks.video.params import EncodeParams
from tests.engine.runs.conftest import Workshop
from tests.tasks.video.made import CPU, clip, ffmpeg, finished, told, video

QUICK = {"codec": "h264", "preset": "ultrafast"}

PIPELINE = """
version: 1
name: encode
label: internal
inputs:
  films: {files: "in/*"}
stages:
  one:
    uses: video.encode
    each: films
    with: {codec: h264, preset: ultrafast, segment_seconds: 2}
outputs:
  films: {from: one, to: "out/{source.name}.mp4"}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def encoded(source: Path, out: Path, suffix: str = "", **params: object) -> Path:
    kind = Encode(EncodeParams.model_validate({**QUICK, **params}))
    item = Staged(name=source.name, path=source, media_type="video/*")
    return finished(kind, item, out, suffix).path


def test_a_single_pixel_is_a_video(tmp_path: Path) -> None:
    source = clip(tmp_path / "dot.mp4", "-pix_fmt", "yuv444p", size="1x1", seconds=0.4)
    found = video(encoded(source, tmp_path / "out"))
    assert (found["width"], found["height"], found["nb_read_frames"]) == (1, 1, "10")


@pytest.mark.slow
def test_eight_k_is_encoded_within_the_memory_that_was_asked_for(tmp_path: Path) -> None:
    source = clip(tmp_path / "large.mp4", size="7680x4320", seconds=0.12)
    kind = Encode(EncodeParams.model_validate(QUICK))
    item = Staged(name="large.mp4", path=source)
    asked = kind.work(kind.measure(item)).needs.memory
    found = video(finished(kind, item, tmp_path / "out").path)
    assert (found["width"], found["height"], found["nb_read_frames"]) == (7680, 4320, "3")
    assert asked > 40 * 7680 * 4320 * 1.5, "a decoder holds forty frames of this size"


CHAPTERS = """;FFMETADATA1
title=A film
[CHAPTER]
TIMEBASE=1/1000
START=0
END=400
title=Début
[CHAPTER]
TIMEBASE=1/1000
START=400
END=1000
title=終わり
"""
SUBTITLES = "1\n00:00:00,100 --> 00:00:00,900\nHello\n"


def rich(folder: Path) -> Path:
    """A Matroska file with two videos, three languages, subtitles, a font, a cover and chapters."""
    (folder / "chapters.txt").write_text(CHAPTERS)
    (folder / "words.srt").write_text(SUBTITLES)
    (folder / "font.ttf").write_bytes(b"\x00\x01\x00\x00" + bytes(200))
    Image.new("RGB", (60, 90), "red").save(folder / "cover.png")
    inputs: list[str | Path] = []
    for source in ("testsrc2=size=64x48:duration=1", "smptebars=size=32x32:duration=1"):
        inputs += ["-f", "lavfi", "-i", source]
    for tone in (220, 440, 880):
        inputs += ["-f", "lavfi", "-i", f"sine=frequency={tone}:duration=1"]
    inputs += ["-i", folder / "words.srt", "-i", folder / "chapters.txt"]
    for number in range(6):
        inputs += ["-map", str(number)]
    for number, word in enumerate(("eng", "deu", "jpn")):
        inputs += [f"-metadata:s:a:{number}", f"language={word}"]
    how = "-map_metadata 6 -map_chapters 6 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -c:a aac"
    marks = (
        "-metadata:s:a:1 title=Kommentar -metadata:s:s:0 language=fra -disposition:v:0 default "
        "-disposition:v:1 0 -disposition:a:0 0 -disposition:a:1 default+comment "
        "-disposition:a:2 hearing_impaired -disposition:s:0 forced"
    )
    for name, kind in (("font.ttf", "application/x-truetype-font"), ("cover.png", "image/png")):
        place = 0 if name == "font.ttf" else 1
        inputs += ["-attach", folder / name, f"-metadata:s:t:{place}", f"mimetype={kind}"]
        inputs += [f"-metadata:s:t:{place}", f"filename={name}"]
    path = folder / "rich.mkv"
    ffmpeg(*inputs, *how.split(), *marks.split(), path)
    return path


def face(stream: dict[str, Any]) -> tuple[Any, ...]:
    """What a player tells a person of a stream."""
    tags = stream.get("tags", {})
    shown = {name for name, on in stream["disposition"].items() if on}
    named = [tags.get(name) for name in ("language", "title", "filename", "mimetype")]
    return stream["codec_type"], stream["codec_name"], *named, shown


def test_everything_of_a_rich_file_is_kept(tmp_path: Path) -> None:
    source = rich(tmp_path)
    before = told(source, "-show_streams", "-show_chapters", "-show_format")
    types = [stream["codec_type"] for stream in before["streams"]]
    assert types == ["video"] * 2 + ["audio"] * 3 + ["subtitle", "attachment", "video"]
    after = told(
        encoded(source, tmp_path / "out", codec="hevc"),
        "-show_streams", "-show_chapters", "-show_format",
    )  # fmt: skip
    faces = [face(stream) for stream in before["streams"]]
    assert faces[-1] == ("video", "png", None, None, "cover.png", "image/png", {"attached_pic"})
    faces[0] = ("video", "hevc", *faces[0][2:])
    assert [face(stream) for stream in after["streams"]] == faces
    told_before, told_after = (
        [(c["start_time"], c["end_time"], c["tags"]["title"]) for c in found["chapters"]]
        for found in (before, after)
    )
    assert len(told_before) == 2
    assert told_after == told_before
    assert after["format"]["tags"]["title"] == "A film"


def test_no_word_of_a_file_is_on_a_command_line_and_what_a_cover_tells_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (60, 90), "red").save(tmp_path / "cover.png")
    source, said = tmp_path / "film.mkv", tmp_path / "said"
    told_of_it = {"mimetype": "image/png", "filename": "Zaunkoenig.png", "title": "Zaunkoenig"}
    words = [word for pair in told_of_it.items() for word in ("-metadata:s:1", "=".join(pair))]
    plain = clip(tmp_path / "plain.mp4", "-metadata", "title=Zaunkoenig")
    ffmpeg("-i", plain, "-c", "copy", "-attach", tmp_path / "cover.png", *words, source)
    for name in ("ffmpeg", "ffprobe"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho "$@" >> {said}\nexec {shutil.which(name)} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setenv(f"MILLRACE_{name.upper()}", str(script))

    made = told(encoded(source, tmp_path / "out"), "-show_streams", "-show_format")
    cover = made["streams"][-1]["tags"]
    assert (cover["filename"], cover["title"]) == ("cover.png", "Zaunkoenig")
    assert made["format"]["tags"]["title"] == "Zaunkoenig"
    assert "-attach" in said.read_text()
    assert "Zaunkoenig" not in said.read_text()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_cover_of_an_mp4_stays_a_cover(suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", (60, 90), "red").save(tmp_path / "cover.jpg")
    plain, source = clip(tmp_path / "plain.mp4"), tmp_path / "film.mp4"
    how = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic"]
    ffmpeg("-i", plain, "-i", tmp_path / "cover.jpg", *how, source)
    made = encoded(source, tmp_path / "out", suffix)
    _, cover = told(made, "-show_streams")["streams"]
    assert (cover["codec_name"], cover["disposition"]["attached_pic"]) == ("mjpeg", 1)
    assert (cover["width"], cover["height"]) == (60, 90)


def test_a_timecode_track_stays_the_one_it_was(tmp_path: Path) -> None:
    source = clip(tmp_path / "tape.mov", "-timecode", "01:02:03:04")
    made = encoded(source, tmp_path / "out")
    assert made.suffix == ".mov"
    for path in (source, made):
        streams = told(path, "-show_streams")["streams"]
        assert [s["codec_tag_string"] for s in streams] == ["avc1", "tmcd"], path
        assert {s["tags"]["timecode"] for s in streams} == {"01:02:03:04"}


@pytest.mark.slow
def test_a_file_that_changes_while_it_is_worked_on_fails_and_leaves_nothing(
    shop: Workshop,
) -> None:
    source = clip(shop.folder / "in" / "film.mp4", "-g", "10", rate=10, seconds=6)
    clip(shop.folder / "in" / "other.mp4", "-g", "10", rate=10, seconds=1)
    longer = clip(shop.folder / "longer.mp4", "-g", "10", rate=10, seconds=7).read_bytes()

    def change(step: str) -> None:
        if step == "committed":
            source.write_bytes(longer)

    outcome = shop.run(PIPELINE, on_step=change)
    assert outcome.state == "partial"
    assert [(f.item, f.code) for f in outcome.failures] == [("film.mp4", "changed")]
    assert "film.mp4 changed while it was being worked on" in outcome.failures[0].reason
    assert sorted(shop.out()) == ["other.mp4"]
    assert shop.run(PIPELINE).state == "succeeded"
    assert video(shop.folder / "out" / "film.mp4")["nb_read_frames"] == "70"


def test_a_file_that_shrinks_after_it_was_measured_is_never_half_encoded(tmp_path: Path) -> None:
    source = clip(tmp_path / "film.mkv", "-g", "10", seconds=4)
    kind = Encode(EncodeParams.model_validate(QUICK))
    item = Staged(name="film.mkv", path=source)
    outline = kind.measure(item)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    out = tmp_path / "out"
    out.mkdir()
    (span,) = kind.split(outline)
    batch = Batch(key="0" * 16, item=item, outline=outline, span=span, whole=True)
    with kind.open(CPU) as session:
        (answer,) = kind.run(session, [batch], out, lambda key, units: None)
    assert isinstance(answer, Failure)
    assert (answer.code, answer.fault) == ("damaged", "input")
    assert list(out.iterdir()) == []


PROBE = """
import os, sys
from pathlib import Path
from millrace.engine.errors import BadInput
from millrace.tasks.video.probe import probe

if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    probe(Path(sys.argv[1]))
except BadInput as error:
    print(error.code, error.message, error.hint, sep="|")
"""


def test_a_file_that_this_user_may_not_read_says_so_and_to_whom(repository: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = clip(Path(folder) / "film.mp4")
        path.chmod(0)
        asked = subprocess.run(
            [sys.executable, "-c", PROBE, str(path)],
            cwd=repository, capture_output=True, text=True, check=True,
        )  # fmt: skip
    code, message, hint = asked.stdout.strip().split("|")
    assert code == "no_permission"
    assert message == "film.mp4 may not be read by this user"
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    assert hint == f"give user {user} read permission"


@contextmanager
def trap(path: Path) -> Iterator[threading.Event]:
    """A pipe at `path`; the event is set as soon as anybody opens it for reading."""
    os.mkfifo(path)
    opened = threading.Event()

    def wait() -> None:
        with path.open("wb"):
            opened.set()

    watcher = threading.Thread(target=wait)
    watcher.start()
    try:
        yield opened
    finally:
        ours = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        watcher.join(10)
        os.close(ours)


MANIFESTS = {
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nTARGET\n#EXT-X-ENDLIST\n",
    "dash.mp4": '<?xml version="1.0"?>\n<MPD type="static"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>TARGET</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "list.mp4": "ffconcat version 1.0\nfile 'TARGET'\n",
    "spaced.mp4": "\n\n  ffconcat version 1.0\nfile 'TARGET'\n",
    "winamp.mp4": "[playlist]\nFile1=TARGET\n",
    "description.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
}


def test_the_trap_notices_who_opens_it(tmp_path: Path) -> None:
    target = tmp_path / "target.ts"
    listing = tmp_path / "list.mp4"
    listing.write_text(MANIFESTS["list.mp4"].replace("TARGET", str(target)))
    with trap(target) as opened:
        ask = ["ffprobe", "-v", "quiet", "-f", "concat", "-safe", "0", str(listing)]
        subprocess.run(ask, check=False, timeout=30)
        assert opened.is_set()


@pytest.mark.slow
def test_what_a_manifest_names_is_never_opened_whatever_it_is_called(shop: Workshop) -> None:
    target = shop.folder / "target.ts"
    for name, text in MANIFESTS.items():
        (shop.folder / "in" / name).write_text(text.replace("TARGET", str(target)))
    with trap(target) as opened:
        outcome = shop.run(PIPELINE)
        assert not opened.is_set()
    codes = {failure.item: failure.code for failure in outcome.failures}
    assert codes == {
        name: "not_media" if name == "description.mp4" else "playlist" for name in MANIFESTS
    }
    assert not (shop.folder / "out").exists() or shop.out() == {}


def test_a_quicktime_file_whose_samples_lie_elsewhere_does_not_open_them(tmp_path: Path) -> None:
    source = clip(tmp_path / "film.mov")
    target = tmp_path / "target.ts"
    content = source.read_bytes()
    local = b"\x00\x00\x00\x0curl \x00\x00\x00\x01"
    assert content.count(local) == 1
    away = f"file://{target}".encode() + b"\x00"
    size = (12 + len(away)).to_bytes(4, "big")
    elsewhere = size + b"url \x00\x00\x00\x00" + away
    source.write_bytes(grown(content, content.index(local), len(local), elsewhere))
    with trap(target) as opened:
        script = PROBE.replace("os.geteuid() == 0", "False")
        subprocess.run([sys.executable, "-c", script, str(source)], check=True, timeout=60)
        assert not opened.is_set()


def grown(content: bytes, at: int, length: int, new: bytes) -> bytes:
    """Replaces a box; every box around it, after the samples, grows with it."""
    around = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
    made = bytearray(content)
    for kind in around:
        place = made.rindex(kind, 0, at) - 4
        size = int.from_bytes(made[place : place + 4], "big") + len(new) - length
        made[place : place + 4] = size.to_bytes(4, "big")
    made[at : at + length] = new
    return bytes(made)


def test_a_link_is_followed_to_the_video_it_names(tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(clip(tmp_path / "film.mp4"))
    made = encoded(tmp_path / "link.mp4", tmp_path / "out")
    assert video(made)["nb_read_frames"] == "25"
