"""`video.encode` and `video.assemble` keep the contract of stage kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.testing import conformance
from tests.tasks.video.made import clip, levels, numbered, times, video

pytestmark = pytest.mark.slow

QUICK = {"codec": "h264", "preset": "ultrafast"}


def same(cut: Path, uncut: Path) -> None:
    """Raises unless two files show the same frames at the same times."""
    for name in ("codec_name", "width", "height", "pix_fmt", "start_time", "nb_read_frames"):
        assert video(cut)[name] == video(uncut)[name], name
    assert times(cut) == times(uncut)
    pairs = zip(levels(cut), levels(uncut), strict=True)
    assert all(abs(a - b) <= 2 for a, b in pairs)


def test_encoding_keeps_the_contract(tmp_path: Path) -> None:
    inputs, room = tmp_path / "in", tmp_path / "room"
    inputs.mkdir()
    room.mkdir()
    long = clip(inputs / "long.mp4", "-g", "10", rate=10, seconds=6)
    short = clip(inputs / "short.mkv", "-pix_fmt", "yuv444p", size="33x21", seconds=0.4)
    (inputs / "cut.mp4").write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    (inputs / "text.mp4").write_text("not a video")
    (inputs / "empty.mp4").touch()
    conformance(
        "video.encode",
        {**QUICK, "segment_seconds": 2},
        good=[long, short],
        bad=[inputs / "cut.mp4", inputs / "text.mp4", inputs / "empty.mp4", inputs / "none.mp4"],
        tmp=room,
        uncut={**QUICK, "segment_seconds": 60},
        same=same,
    )


def test_assembling_keeps_the_contract(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    shades = [16 + 4 * n for n in range(40)]
    numbered(tmp_path / "good", shades)
    cut = numbered(tmp_path / "cut", shades[:3])[1]
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    numbered(tmp_path / "text", shades[:3])[2].write_text("not an image")
    numbered(tmp_path / "empty", shades[:3])[0].write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    conformance(
        "video.assemble",
        {**QUICK, "fps": 10, "segment_seconds": 2},
        good=[tmp_path / "good"],
        bad=[tmp_path / name for name in ("cut", "text", "empty", "nothing")],
        tmp=room,
        uncut={**QUICK, "fps": 10, "segment_seconds": 60},
        same=same,
    )
