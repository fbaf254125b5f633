"""Facts of a sequence of images: one format, one size, or a refusal that names the odd one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from millrace.engine.errors import BadInput
from millrace.engine.stages import Outline, Staged
from millrace.tasks.video import colour, ffmpeg, jobs
from millrace.tasks.video.colour import Colour
from millrace.tasks.video.probe import MAX_SIDE, Video
from millrace.tasks.video.tool import Tool

DECODERS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "mjpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"SDPX", "dpx"),
    (b"XPDS", "dpx"),
    (b"BM", "bmp"),
)
"""What an image's first bytes say, and FFmpeg's decoder for it."""

_SUFFIXES = {"mjpeg": ".jpg", **{name: f".{name}" for _, name in DECODERS if name != "mjpeg"}}

STRICT = "crccheck+explode"
"""FFmpeg's `err_detect`: without it, half a JPEG is a whole picture whose other half is grey."""


def measure(item: Staged) -> Outline:
    """Returns the outline of a folder of images, every one of them decoded once.

    Raises BadInput: `no_video` for an empty folder, `not_media`, `unsupported` where formats or
    sizes differ, `damaged` where none decodes. What does not decode stands in facts["damaged"].
    """
    members, names = item.members, item.member_names
    if not members:
        raise BadInput("no_video", f"{item.name} holds no images")
    decoders = [_decoder(path, name) for path, name in zip(members, names, strict=True)]
    for decoder, name in zip(decoders, names, strict=True):
        if decoder != decoders[0]:
            raise BadInput(
                "unsupported",
                f"{name} of {item.name} is {decoder} and {names[0]} is {decoders[0]}",
                hint="a sequence needs images of one format",
            )
    shapes = _shapes(members, decoders[0])
    good = sorted(shapes)
    if not good:
        raise BadInput("damaged", f"no image of {item.name} can be decoded")
    first = shapes[good[0]]
    for number in good:
        if shapes[number] != first:
            width, height, pix_fmt = shapes[number]
            raise BadInput(
                "unsupported",
                f"{names[number]} of {item.name} is {width}x{height} {pix_fmt}, "
                f"{names[good[0]]} is {first[0]}x{first[1]} {first[2]}",
                hint="a sequence needs images of one size and pixel format",
            )
    size = sum(path.stat().st_size for path in members)
    outline = jobs.outline_of(_video(first, len(members)), "inode/directory", size)
    damaged = [names[n] for n in range(len(members)) if n not in shapes]
    facts = {**outline.facts, "decoder": decoders[0], "damaged": damaged}
    return outline.model_copy(update={"facts": facts})


def pattern(folder: Path, count: int) -> Path:
    """Returns FFmpeg's pattern for images that lie in a folder as 1, 2, … with equal digits."""
    escaped = str(folder).replace("%", "%%")
    return Path(escaped) / f"%0{len(str(count))}d"


def _decoder(path: Path, name: str) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    for magic, decoder in DECODERS:
        if head.startswith(magic):
            return decoder
    raise BadInput("not_media", f"{name} is not an image that can be read")


def _shapes(members: Sequence[Path], decoder: str) -> dict[int, tuple[int, int, str]]:
    """Returns width, height and pixel format of each image that decodes, by its place from 0.

    Asked of ffprobe, because ffmpeg would convert each image to the format of the first; it learns
    the decoder from a suffix only, which the links here have.
    """
    how = ("-framerate", "1", "-start_number", "1", "-err_detect", STRICT)
    ask = ("-show_entries", "frame=pts,width,height,pix_fmt", "-of", "csv=p=0:nk=0")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        names = pattern(Path(folder), len(members)).with_suffix(_SUFFIXES[decoder])
        for number, member in enumerate(members, 1):
            Path(str(names) % number).symlink_to(member.absolute())
        with Tool(ffmpeg.inspection(names, "image2", *how, *ask)) as tool:
            for line in tool.stdout:
                told = dict(part.split("=", 1) for part in line.decode().strip().split(","))
                shape = (int(told["width"]), int(told["height"]), told["pix_fmt"])
                found[int(told["pts"])] = shape
            tool.finish()
    return found


def _video(first: tuple[int, int, str], frames: int) -> Video:
    width, height, pix_fmt = first
    if max(width, height) > MAX_SIDE:
        raise BadInput(
            "unsupported", f"images of {width}x{height}; the limit is {MAX_SIDE} pixels a side"
        )
    return Video(
        demuxer="image2",
        seconds=float(frames),
        streams=(),
        chapters=(),
        index=0,
        codec="rawvideo",
        width=width,
        height=height,
        sar=Fraction(1),
        matrix=(),
        pix_fmt=pix_fmt,
        depth=colour.depth(pix_fmt),
        alpha=colour.has_alpha(pix_fmt),
        interlaced=False,
        dolby_vision=False,
        colour=Colour(
            primaries="bt709",
            transfer="bt709",
            matrix="bt709",
            range="pc" if pix_fmt.startswith("yuvj") else "tv",
        ),
        rate=Fraction(1),
        time_base=Fraction(1),
        frames=frames,
        first=0,
        last=frames - 1,
        declared=0,
        cut_short="",
        cuts=(),
    )
