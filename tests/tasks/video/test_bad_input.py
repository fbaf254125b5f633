"""Files that are not what their name says: each is one named reason, and nothing it names opens."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from millrace.engine.errors import BadInput, DamagedOutput
from millrace.tasks.video import parts
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.picture import picture_for
from millrace.tasks.video.probe import probe
from millrace.tasks.video.rawpipe import decode
from millrace.tasks.video.segments import plan_segments
from millrace.tasks.video.transcode import transcode

QUICK = EncodeParams(codec="h264", preset="ultrafast")


def made(path: Path, *options: str) -> Path:
    """A clip of ten frames, each a key frame."""
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=1"]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "1", "-pix_fmt", "yuv420p"]
    quiet = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    subprocess.run([*quiet, *source, *encoder, *options, f"file:{path}"], check=True)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        probe(path)
    return caught.value.code


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.mp4") == "missing"


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is_folder"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert refusal(tmp_path / "pipe.mp4") == "not_media"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"just a text, nothing else\n", "not_media"),
        (b"\xef\xbb\xbf#EXTM3U\n#EXTINF:1,\nCANARY\n", "playlist"),
        (b"ffconcat version 1.0\nfile CANARY\n", "playlist"),
        (b'<?xml version="1.0"?>\n<MPD><BaseURL>CANARY</BaseURL></MPD>', "playlist"),
        (b"[playlist]\nFile1=CANARY\n", "playlist"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", "no_video"),
        (b"\x89PNG\r\n\x1a\n0000", "unsupported"),
        (b"\x00\x00\x00\x01\x67\x42\x00\x0a", "unsupported"),
        (b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00isom", "damaged"),
        (b"\x00\x00\x10\x00mdat", "truncated"),
    ],
)
def test_content_decides_whatever_the_name(content: bytes, code: str, tmp_path: Path) -> None:
    canary = made(tmp_path / "canary.mp4")
    path = tmp_path / "film.mp4"
    path.write_bytes(content.replace(b"CANARY", str(canary).encode()))
    before = canary.stat().st_atime_ns
    os.utime(canary, ns=(before - 10**15, canary.stat().st_mtime_ns))
    stamped = canary.stat().st_atime_ns
    assert refusal(path) == code
    assert canary.stat().st_atime_ns == stamped, "the file that is named was read"


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "film.mp4")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert refusal(path) == "no_permission"


def test_a_file_with_sound_only_has_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    tone = ["-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac"]
    subprocess.run(["ffmpeg", "-v", "error", *tone, str(path)], check=True)
    assert refusal(path) == "no_video"


def test_a_stream_without_frames_has_no_duration(tmp_path: Path) -> None:
    path = made(tmp_path / "film.mp4", "-movflags", "empty_moov+frag_keyframe")
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moof") - 4])
    assert refusal(path) == "no_duration"


@pytest.mark.parametrize(
    "name", ["-y.mp4", "a b.mp4", "it's.mp4", 'say "x".mp4', "new\nline.mp4", "🎬.mp4", "%03d.mp4"]
)
def test_awkward_names_are_names_only(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    shutil.copy(made(tmp_path / "plain.mp4"), path)
    video = probe(path)
    (segment,) = plan_segments(video, 60)
    part = transcode(path, video, segment, QUICK, picture_for(video, QUICK), tmp_path / "out.mp4")
    assert part.frames == 10


def damaged(folder: Path) -> Path:
    """A clip whose fifth frame is rubbish."""
    path = made(folder / "film.mp4")
    ask = ["-select_streams", "v", "-show_entries", "packet=pos,size", "-of", "csv=p=0"]
    said = subprocess.run(["ffprobe", "-v", "error", *ask, str(path)], capture_output=True)
    size, at = (int(v) for v in said.stdout.split()[4].split(b",")[:2])
    content = bytearray(path.read_bytes())
    content[at + 4 : at + size] = b"\xff" * (size - 4)
    path.write_bytes(content)
    return path


def test_damage_in_the_middle_fails_the_item_and_leaves_no_file(tmp_path: Path) -> None:
    path = damaged(tmp_path)
    video = probe(path)
    (segment,) = plan_segments(video, 60)
    out = tmp_path / "out.mp4"
    with pytest.raises(BadInput) as caught:
        transcode(path, video, segment, QUICK, picture_for(video, QUICK), out)
    assert caught.value.code == "damaged"
    assert not out.exists()
    with pytest.raises(BadInput), decode(path, video, segment, "yuv420p") as frames:
        for _ in frames:
            pass


def test_damage_may_be_left_out_and_is_counted(tmp_path: Path) -> None:
    path = damaged(tmp_path)
    video = probe(path)
    (segment,) = plan_segments(video, 60)
    keep = QUICK.model_copy(update={"on_damage": "keep"})
    out = tmp_path / "out.mp4"
    part = transcode(path, video, segment, keep, picture_for(video, keep), out)
    assert part.missing == 1
    assert probe(out).frames == 9


def test_a_segment_with_a_wrong_number_of_frames_is_never_joined(tmp_path: Path) -> None:
    path = made(tmp_path / "film.mp4")
    video = probe(path)
    (segment,) = plan_segments(video, 60)
    out = tmp_path / "out.mp4"
    part = transcode(path, video, segment, QUICK, picture_for(video, QUICK), out)
    parts.verify(part, "h264", video.time_base)
    longer = segment.model_copy(update={"frames": 11})
    with pytest.raises(DamagedOutput):
        parts.verify(part.model_copy(update={"segment": longer}), "h264", video.time_base)
    with pytest.raises(DamagedOutput):
        parts.verify(part.model_copy(update={"first": 1}), "h264", video.time_base)
