"""Clips and images made for tests, kinds run over them, and what ffprobe says of a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Result, Span, Staged
from millrace.tasks.video.assembly import Assemble
from millrace.tasks.video.encoding import Encode

CPU = Device(cores=2, memory=2 << 30)
FFMPEG = ("ffmpeg", "-nostdin", "-v", "error", "-y")

Kind = Encode | Assemble


def ffmpeg(*words: str | Path) -> None:
    """Runs FFmpeg as a person does."""
    subprocess.run([*FFMPEG, *map(str, words)], check=True)


def clip(
    path: Path, *options: str, size: str = "64x48", rate: int = 25, seconds: float = 1.0
) -> Path:
    """A clip of FFmpeg's test picture; `options` go to the encoder."""
    source = f"testsrc2=size=64x48:rate={rate}:duration={seconds},scale={size.replace('x', ':')}"
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", source, *encoder, *options, path)
    return path


def grey(path: Path, level: int, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Path:
    """An image of one grey, so that it is known again in a video."""
    Image.new("L", size, level).convert(mode).save(path)
    return path


def numbered(folder: Path, levels: Sequence[int], suffix: str = "", **how: Any) -> list[Path]:
    """Grey images under the names that a session sees: 1, 2, … with equal digits, no suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    digits, kept = len(str(len(levels))), []
    for number, level in enumerate(levels, 1):
        made = grey(folder / f"made{suffix or '.png'}", level, **how)
        kept.append(made.rename(folder / f"{number:0{digits}d}"))
    return kept


def gathered(members: Sequence[Path], names: Sequence[str] = ()) -> Staged:
    """A folder of images as the engine stages it."""
    folder = members[0].parent
    shown = tuple(names) or tuple(f"frame{n}.png" for n in range(1, len(members) + 1))
    return Staged(
        name="frames", path=folder, media_type="inode/directory", members=tuple(members),
        member_names=shown,
    )  # fmt: skip


def batches(kind: Kind, item: Staged, suffix: str = "") -> list[Batch]:
    """The batches that the engine would make of an item."""
    outline = kind.measure(item).model_copy(update={"output_suffix": suffix})
    kind.work(outline)
    spans = kind.split(outline)
    return [
        Batch(key=f"{n:016d}", item=item, outline=outline, span=span, whole=len(spans) == 1)
        for n, span in enumerate(spans)
    ]


def finished(kind: Kind, item: Staged, out: Path, suffix: str = "") -> Result:
    """The finished result of an item, checked at every step as the engine does."""
    out.mkdir(exist_ok=True)
    todo, made = batches(kind, item, suffix), []
    with kind.open(CPU) as session:
        for answer in kind.run(session, todo, out, lambda key, units: None):
            assert isinstance(answer, Result), answer
            kind.check(todo[len(made)], answer)
            made.append(answer)
        if len(todo) == 1:
            return made[0]
        span = Span(stop=todo[-1].span.stop)
        whole = todo[0].model_copy(update={"key": "joined", "span": span, "whole": True})
        result = kind.join(session, whole, made, out, lambda key, units: None)
    kind.check(whole, result)
    return result


def told(path: Path, *ask: str) -> dict[str, Any]:
    """What ffprobe says of a file."""
    words = ("ffprobe", "-v", "error", *ask, "-of", "json", str(path))
    said: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return said


def video(path: Path) -> dict[str, Any]:
    """The first video stream, its frames counted."""
    found: dict[str, Any] = told(path, "-select_streams", "v:0", "-show_streams", "-count_frames")
    first: dict[str, Any] = found["streams"][0]
    return first


def times(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds, exactly."""
    found = told(path, "-select_streams", "v:0", "-show_entries", "packet=pts:stream=time_base")
    base = Fraction(found["streams"][0]["time_base"])
    return sorted(packet["pts"] * base for packet in found["packets"])


def levels(path: Path) -> list[int]:
    """The mean brightness of each frame, 0 to 255 whatever the range of the file."""
    found = video(path)
    raw = ("-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-")
    said = subprocess.run([*FFMPEG, "-i", str(path), *raw], check=True, capture_output=True).stdout
    size = found["width"] * found["height"]
    return [round(sum(said[at : at + size]) / size) for at in range(0, len(said), size)]
