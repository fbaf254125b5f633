"""The frames an encoder is given for a video: what is kept as it is, and what must change."""

from __future__ import annotations

from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from millrace.engine.errors import BadInput
from millrace.tasks.video.colour import Colour
from millrace.tasks.video.params import ENCODERS, EncodeParams
from millrace.tasks.video.probe import Video


class Picture(BaseModel):
    """The frames that an encoder is given. `pix_fmt` is planar (see colour.layout)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    rate: Fraction
    sar: Fraction
    colour: Colour
    matrix: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def picture_for(video: Video, params: EncodeParams, scale: int = 1) -> Picture:
    """Returns what the encoder will be given for a video, enlarged `scale` times; pure.

    Raises BadInput: `truncated` where the file ends early and damage is not kept; `unsupported`
    for alpha that may not be flattened and for sizes that the codec refuses.
    """
    if video.cut_short and params.on_damage == "fail":
        raise BadInput(
            "truncated",
            video.cut_short
            + (f": {video.frames} of {video.declared} frames are there" if video.declared else ""),
            hint="on_damage: keep encodes what is there",
        )
    if video.alpha and params.alpha == "refuse":
        raise BadInput(
            "unsupported",
            f"the video has transparency ({video.pix_fmt}), which {params.codec} cannot keep",
            hint="alpha: flatten puts it onto black",
        )
    encoder = ENCODERS[params.codec]
    width, height = video.width * scale, video.height * scale
    notes = list(_notes(video))
    chroma = _chroma(video.pix_fmt)
    wanted = chroma if params.chroma == "keep" and chroma in encoder.chroma else "420"
    if chroma != wanted:
        notes.append(f"chroma subsampling {chroma} became {wanted}")
    if wanted == "420" and (width % 2 or height % 2):
        if "444" not in encoder.chroma:
            raise BadInput(
                "unsupported",
                f"{params.codec} cannot encode the odd size {width}x{height}",
                hint="codec: h264 and hevc can",
            )
        wanted = "444"
        notes.append(f"the odd size {width}x{height} is kept exactly by 4:4:4 chroma")
    if min(width, height) < encoder.least_side:
        raise BadInput(
            "unsupported",
            f"{width}x{height} is smaller than {params.codec} can encode ({encoder.least_side})",
            hint="codec: h264 encodes any size",
        )
    if width in encoder.unsafe_widths:
        raise BadInput(
            "unsupported",
            f"{encoder.name} does not encode pictures {width} pixels wide safely",
            hint="codec: h264 encodes any size",
        )
    depth = min(10 if 8 < video.depth <= 10 else video.depth, encoder.most_depth)
    depth = 12 if depth > 10 else depth
    if depth < video.depth:
        notes.append(f"{video.depth} bits a sample became {depth}")
    return Picture(
        width=width,
        height=height,
        pix_fmt=f"yuv{wanted}p" + (f"{depth}le" if depth > 8 else ""),
        time_base=video.time_base,
        rate=video.rate,
        sar=video.sar,
        colour=_colour(video),
        matrix=_moved(video.matrix, scale),
        notes=tuple(notes),
    )


def _notes(video: Video) -> list[str]:
    notes = []
    if video.interlaced:
        notes.append("interlaced video was deinterlaced, one frame of each pair of fields")
    if video.alpha:
        notes.append("transparency was put onto black")
    if video.dolby_vision:
        notes.append("Dolby Vision metadata is left out; the base layer's colour is kept")
    return notes


def _chroma(pix_fmt: str) -> str:
    for name, chroma in (("420", "420"), ("422", "422"), ("444", "444"), ("nv12", "420")):
        if name in pix_fmt:
            return chroma
    if pix_fmt.startswith(("p010", "p012", "p016", "nv21", "gray", "mono", "ya")):
        return "420"
    return "422" if pix_fmt.startswith(("p21", "yuyv", "uyvy", "nv16", "nv20")) else "444"


def is_rgb(pix_fmt: str) -> bool:
    """Returns whether a pixel format holds red, green and blue."""
    return any(name in pix_fmt for name in ("rgb", "bgr", "gbr", "pal8", "argb", "abgr"))


def _colour(video: Video) -> Colour:
    """RGB is encoded as BT.709 in limited range; its own matrix and range do not apply."""
    if not is_rgb(video.pix_fmt):
        return video.colour
    return video.colour.model_copy(update={"matrix": "bt709", "range": "tv", "chroma_location": ""})


def _moved(matrix: tuple[int, ...], scale: int) -> tuple[int, ...]:
    """The display matrix for a larger picture: what it turns by stays, what it moves by grows."""
    return (*matrix[:6], matrix[6] * scale, matrix[7] * scale, matrix[8]) if matrix else ()
