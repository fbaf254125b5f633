"""FFmpeg: finds ffmpeg and ffprobe, writes their command lines, runs them.

The only module that knows the programs and the ffmpeg-python package. What FFmpeg is given is
hostile: a file is opened under the one demuxer that its content has chosen, protocols are `file`
or `pipe` only, the environment holds no credentials, standard input is closed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ffmpeg as graphs

from millrace.engine.errors import ToolMissing
from millrace.tasks.video.tool import Tool

Program = Literal["ffmpeg", "ffprobe"]
Options = Mapping[str, str | int | Sequence[str] | None]

_BETWEEN = "\0"  # ffmpeg-python has no repeated options; no word of a command line holds this
_INPUT = re.compile(r"<input (.*)>")


@dataclass(frozen=True)
class Filter:
    """One filter of a chain, with its options by name."""

    name: str
    options: Mapping[str, str | int] = field(default_factory=dict)


def program(name: Program) -> str:
    """Returns the path of ffmpeg or ffprobe.

    MILLRACE_FFMPEG and MILLRACE_FFPROBE name others than those on PATH. Set both or neither: facts
    must come from the version that does the work. Raises ToolMissing.
    """
    variable = f"MILLRACE_{name.upper()}"
    chosen = os.environ.get(variable) or name
    found = shutil.which(chosen)
    if found is None:
        raise ToolMissing(
            f"{chosen} is not installed",
            hint=f"install it (Debian: apt-get install ffmpeg), or set {variable} to its path",
        )
    return found


def versions() -> dict[str, str]:
    """Returns the version of ffmpeg and of ffprobe. Raises ToolMissing."""
    found: dict[str, str] = {}
    names: tuple[Program, ...] = ("ffmpeg", "ffprobe")
    for name in names:
        with Tool([program(name), "-version"]) as tool:
            first = tool.read().decode(errors="replace").split("\n", 1)[0]
        match = re.match(rf"{name} version (\S+)", first)
        if not match:
            raise ToolMissing(f"{program(name)} is not {name}", hint=f"see MILLRACE_{name.upper()}")
        found[name] = match[1]
    return found


def opened(path: Path, demuxer: str, options: Options | None = None) -> Any:
    """Returns a graph's input: the file at `path`, read by `demuxer` and by nothing else."""
    return graphs.input(f"file:{path}", f=demuxer, protocol_whitelist="file", **dict(options or {}))


def raw_frames(options: Options) -> Any:
    """Returns a graph's input that reads raw frames in IVF from standard input."""
    return graphs.input("pipe:0", f="ivf", protocol_whitelist="pipe", **dict(options))


def listed(path: Path) -> Any:
    """Returns a graph's input: our own list of files, read one after the other."""
    return graphs.input(f"file:{path}", f="concat", safe=0, protocol_whitelist="file")


def filtered(stream: Any, filters: Sequence[Filter]) -> Any:
    """Returns a stream passed through a chain of filters."""
    for each in filters:
        stream = stream.filter(each.name, **each.options)
    return stream


def forked(stream: Any) -> tuple[Any, Any]:
    """Returns a filtered stream twice."""
    both = stream.filter_multi_output("split", 2)
    return both[0], both[1]


def target(streams: Sequence[Any], where: str, options: Options) -> Any:
    """Returns a graph's output: the streams, in order, into the file or pipe `where`.

    An option with several values is given once for each.
    """
    flat = {k: _BETWEEN.join(v) if isinstance(v, (list, tuple)) else v for k, v in options.items()}
    return graphs.output(*streams, where, **flat)


def command(
    outputs: Sequence[Any], flags: Sequence[str] = (), beside: tuple[Path, str] | None = None
) -> list[str]:
    """Returns the command line that makes the outputs; `flags` hold for the whole of it.

    `beside` is a file and its demuxer, to be an input even where no stream of it is taken: for its
    tags and chapters.
    """
    node = graphs.merge_outputs(*outputs) if len(outputs) > 1 else outputs[0]
    quiet = ["-nostdin", "-hide_banner", "-loglevel", "level+warning", "-y"]
    built: list[str] = graphs.compile(node, cmd=[program("ffmpeg"), *quiet, *flags])
    if beside and f"file:{beside[0]}" not in built:
        after = len(built) - built[::-1].index("-i") + 1
        whitelist = ["-protocol_whitelist", "file"]
        built[after:after] = ["-f", beside[1], *whitelist, "-i", f"file:{beside[0]}"]
    built = _repeated(built)
    inputs = [built[place + 1] for place, word in enumerate(built) if word == "-i"]
    return [_INPUT.sub(lambda found: str(inputs.index(found[1])), word) for word in built]


def _repeated(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        name = found[-1:]
        first, *others = word.split(_BETWEEN)
        found += [first, *(part for other in others for part in (*name, other))]
    return found


def input_number(path: Path) -> str:
    """Returns what stands for the number of the input `path` in an option's value.

    The order of inputs on the command line is ffmpeg-python's own affair.
    """
    return f"<input file:{path}>"


def inspection(path: Path, demuxer: str, *arguments: str) -> list[str]:
    """Returns a command line of ffprobe on a file, read by `demuxer` and by nothing else."""
    quiet = ["-hide_banner", "-loglevel", "level+warning"]
    safe = ["-protocol_whitelist", "file", "-f", demuxer]
    return [program("ffprobe"), *quiet, *safe, *arguments, f"file:{path}"]
