"""Options of x264, x265 and SVT-AV1 for given parameters and frames."""

from __future__ import annotations

from fractions import Fraction

from millrace.tasks.video.colour import Mastering
from millrace.tasks.video.ffmpeg import Filter, Options
from millrace.tasks.video.params import ENCODERS, EncodeParams
from millrace.tasks.video.picture import Picture, picture_for

__all__ = ["THREADS", "EncodeParams", "Picture", "options", "picture_for", "tagging"]

THREADS = 4
"""Frame threads of every encoder. Their number changes the output, so it is one everywhere."""

_SVT_MOST_FRAMES_A_SECOND = 240
_CHROMA_PLACES = ("left", "center", "topleft", "top", "bottomleft", "bottom")


def options(params: EncodeParams, picture: Picture) -> Options:
    """Returns FFmpeg's options of the encoder for these parameters and frames."""
    encoder = ENCODERS[params.codec]
    own = {
        "h264": _x264,
        "hevc": _x265,
        "av1": _svt,
    }[params.codec](picture)
    key = "svtav1-params" if params.codec == "av1" else encoder.name.removeprefix("lib") + "-params"
    found: dict[str, str | int] = {
        "c:v": encoder.name,
        "crf": encoder.crf if params.crf is None else params.crf,
        "preset": params.preset or encoder.preset,
        "pix_fmt": picture.pix_fmt,
        "g": max(1, round(params.keyframe_seconds * picture.rate)),
        "fps_mode": "passthrough",
        "enc_time_base": f"{picture.time_base.numerator}/{picture.time_base.denominator}",
        key: ":".join(own),
    }
    if params.codec != "av1":
        found["threads"] = THREADS
    if params.codec == "hevc":
        found["tag:v"] = "hvc1"
    return found


def tagging(picture: Picture) -> tuple[Filter, ...]:
    """Returns filters that say what the samples mean, without touching them."""
    colour = picture.colour
    tags = {
        "range": colour.range,
        "color_primaries": colour.primaries,
        "color_trc": colour.transfer,
        "colorspace": colour.matrix,
    }
    sar = f"{picture.sar.numerator}/{picture.sar.denominator}"
    return (
        Filter("setparams", {"field_mode": "prog", **{k: v for k, v in tags.items() if v}}),
        Filter("setsar", {"sar": sar}),
    )


def _x264(picture: Picture) -> list[str]:
    found = [_rate(picture), "stitchable=1", "force-cfr=0"]
    if picture.colour.mastering:
        found.append(f"mastering-display={_integers(picture.colour.mastering)}")
    if light := picture.colour.light:
        found.append(f"cll={light.max_content},{light.max_average}")
    return found


def _x265(picture: Picture) -> list[str]:
    found = [_rate(picture), "log-level=error", "open-gop=0", f"frame-threads={THREADS}"]
    if picture.colour.mastering:
        found.append(f"master-display={_integers(picture.colour.mastering)}")
    if light := picture.colour.light:
        found.append(f"max-cll={light.max_content},{light.max_average}")
    if picture.colour.chroma_location in _CHROMA_PLACES and "420" in picture.pix_fmt:
        found.append(f"chromaloc={_CHROMA_PLACES.index(picture.colour.chroma_location)}")
    return found


def _svt(picture: Picture) -> list[str]:
    rate = min(picture.rate, Fraction(_SVT_MOST_FRAMES_A_SECOND))
    found = [f"fps-num={rate.numerator}", f"fps-denom={rate.denominator}", f"lp={THREADS}"]
    if picture.colour.mastering:
        found.append(f"mastering-display={_decimals(picture.colour.mastering)}")
    if light := picture.colour.light:
        found.append(f"content-light={light.max_content},{light.max_average}")
    return found


def _rate(picture: Picture) -> str:
    return f"fps={picture.rate.numerator}/{picture.rate.denominator}"


def _integers(mastering: Mastering) -> str:
    """Units of SMPTE ST 2086: 0.00002 for chromaticities, 0.0001 cd/m² for luminance."""

    def point(xy: tuple[Fraction, Fraction]) -> str:
        return f"({round(xy[0] * 50000)},{round(xy[1] * 50000)})"

    low, high = (round(value * 10000) for value in mastering.luminance)
    return (
        f"G{point(mastering.green)}B{point(mastering.blue)}R{point(mastering.red)}"
        f"WP{point(mastering.white)}L({high},{low})"
    )


def _decimals(mastering: Mastering) -> str:
    def point(xy: tuple[Fraction, Fraction]) -> str:
        return f"({float(xy[0]):.5f},{float(xy[1]):.5f})"

    low, high = (float(value) for value in mastering.luminance)
    return (
        f"G{point(mastering.green)}B{point(mastering.blue)}R{point(mastering.red)}"
        f"WP{point(mastering.white)}L({high:.4f},{low:.4f})"
    )
