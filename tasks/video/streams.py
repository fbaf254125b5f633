"""What a container can carry as it is, and which container that makes the right one."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.engine.errors import BadInput
from millrace.tasks.video.params import EncodeParams
from millrace.tasks.video.probe import Stream, Video


@dataclass(frozen=True)
class Container:
    """A container: FFmpeg's muxer, and the codecs it carries without conversion, by stream type.

    `data` tells whether tracks of an unknown kind can be copied; `turns` whether rotation is kept.
    """

    muxer: str
    video: frozenset[str]
    audio: frozenset[str]
    subtitle: frozenset[str]
    data: bool = False
    attachments: bool = False
    turns: bool = True


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MPEG = "h264 hevc mpeg4 mpeg2video mpeg1video mjpeg png"
_NEWER = " av1 vp9"  # FFmpeg writes these into MP4, not into QuickTime
_PCM = "pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le pcm_f64le pcm_u8"

CONTAINERS: dict[str, Container] = {
    ".mp4": Container(
        "mp4",
        video=_words(_MPEG + _NEWER),
        audio=_words("aac ac3 eac3 mp3 alac opus flac vorbis dts"),
        subtitle=_words("mov_text dvd_subtitle"),
    ),
    ".mov": Container(
        "mov",
        video=_words(_MPEG + " prores dnxhd h263 dvvideo"),
        audio=_words("aac ac3 eac3 mp3 alac amr_nb amr_wb pcm_alaw pcm_mulaw " + _PCM),
        subtitle=_words("mov_text dvd_subtitle"),
        data=True,
    ),
    ".mkv": Container(
        "matroska",
        video=_words(_MPEG + _NEWER + " vp8 prores h263 theora ffv1 msmpeg4v3 wmv3 vc1 gif"),
        audio=_words(
            "aac ac3 eac3 mp3 mp2 alac opus flac vorbis dts truehd mlp wavpack tta " + _PCM
        ),
        subtitle=_words("subrip ass webvtt dvd_subtitle hdmv_pgs_subtitle dvb_subtitle"),
        attachments=True,
        turns=False,
    ),
    ".webm": Container(
        "webm",
        video=_words("av1 vp8 vp9"),
        audio=_words("opus vorbis"),
        subtitle=_words("webvtt"),
        turns=False,
    ),
}


def suffix_for(video: Video, params: EncodeParams, wanted: str = "") -> str:
    """Returns the suffix (".mp4", ".mov", ".mkv", ".webm") of the container for a video's streams.

    `wanted` is the suffix a person asked for, or "": then the first that carries everything, MP4
    and QuickTime first unless the source is Matroska. Pure.
    Raises BadInput `unsupported_stream` naming what cannot be carried.
    """
    if wanted and wanted.lower() not in CONTAINERS:
        raise BadInput(
            "unsupported",
            f"video is not written as {wanted}",
            hint=f"choose one of {', '.join(CONTAINERS)}",
        )
    first = (".mkv", ".mp4", ".mov") if video.demuxer == "matroska" else (".mp4", ".mov", ".mkv")
    choices = (wanted.lower(),) if wanted else first
    for rule in ("refuse", params.others):
        for suffix in choices:
            if not _obstacles(video, params.codec, rule, suffix):
                return suffix
    reason = _obstacles(video, params.codec, params.others, choices[0])[0]
    others = [s for s in CONTAINERS if not _obstacles(video, params.codec, "refuse", s)]
    hint = f"name the output {' or '.join(others)}" if others else "others: drop leaves it out"
    raise BadInput("unsupported_stream", reason, hint=hint)


def copied(video: Video, suffix: str) -> tuple[Stream, ...]:
    """Returns the streams that are copied beside the main one, in the source's order."""
    return tuple(s for s in _wanted(video) if not _obstacle(s, CONTAINERS[suffix], suffix))


def dropped(video: Video, suffix: str) -> tuple[Stream, ...]:
    """Returns the streams that are left out because `others: drop` allows it."""
    return tuple(s for s in _wanted(video) if _obstacle(s, CONTAINERS[suffix], suffix))


def _wanted(video: Video) -> tuple[Stream, ...]:
    """Chapter tracks are written anew from the chapters."""
    return tuple(s for s in video.others if not s.chapters)


def _obstacles(video: Video, codec: str, others: str, suffix: str) -> list[str]:
    container = CONTAINERS[suffix]
    found = []
    if codec not in container.video:
        found.append(f"{suffix} does not carry {codec}")
    if video.matrix and not container.turns:
        found.append(f"FFmpeg does not write rotation into {suffix}")
    if others == "refuse":
        found += [o for o in (_obstacle(s, container, suffix) for s in _wanted(video)) if o]
    return found


def _obstacle(stream: Stream, container: Container, suffix: str) -> str:
    what = f"stream {stream.index} ({stream.type} {stream.codec or stream.tag or 'unknown'})"
    if stream.type == "attachment":
        able = container.attachments
    elif stream.type == "data":
        able = container.data and stream.codec in ("", "bin_data") and bool(stream.tag)
    else:
        carried = {"video": container.video, "audio": container.audio}
        able = stream.codec in carried.get(stream.type, container.subtitle)
    return "" if able else f"{suffix} cannot carry {what}"
