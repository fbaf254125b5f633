"""Programs and Python packages that stages use."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping

from millrace.engine.hosts.doctor.finding import Finding, installed

AREA = "programs"
ENCODERS = {"libx264": "H.264", "libx265": "HEVC", "libsvtav1": "AV1"}
PATIENCE_S = 10


def findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yields what there is of FFmpeg and its encoders, and of the Python extras."""
    for name in ("ffmpeg", "ffprobe"):
        yield from _program(name, environment)
    yield from _extras()


def _program(name: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    variable = f"MILLRACE_{name.upper()}"
    wanted = environment.get(variable) or name
    path = shutil.which(wanted, path=environment.get("PATH"))
    if path is None:
        fix = f"apt install ffmpeg, or name one in {variable}"
        yield _finding("fail", f"{wanted} is not installed: no video can be worked on", fix)
        return
    match = re.match(rf"{name} version (\S+)", _output(path, "-version"))
    if match is None:
        yield _finding("fail", f"{path} does not answer as {name} does", f"see {variable}")
        return
    yield _finding("ok", f"{name} {match[1]} ({path})")
    if name == "ffmpeg":
        yield from _encoders(_output(path, "-hide_banner", "-encoders"))


def _encoders(listing: str) -> Iterator[Finding]:
    there = set(re.findall(r"^ [VAS][.A-Z]{5} (\S+)", listing, re.MULTILINE))
    for encoder, codec in ENCODERS.items():
        if encoder in there:
            yield _finding("ok", f"encoder {encoder}")
        else:
            text = f"this ffmpeg has no {encoder}: nothing can be encoded as {codec}"
            yield _finding("warn", text, "use an ffmpeg built with it (MILLRACE_FFMPEG names it)")
    hardware = sorted(name for name in there if name.endswith("_nvenc"))
    if hardware:
        yield _finding(
            "note",
            f"compiled in: {', '.join(hardware)}; whether a GPU here can do it: not measured "
            "(A100, H100 and H200 cannot)",
        )


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            errors="replace",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _extras() -> Iterator[Finding]:
    """Yields one finding for each extra, by what the installed package itself asks for."""
    wanted: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("millrace") or ():
        match = re.match(r"([\w.-]+)[^;]*;.*extra == ['\"]([\w-]+)['\"]", line)
        if match and match[1] != "millrace":
            wanted.setdefault(match[2], []).append(match[1])
    for extra, packages in sorted(wanted.items()):
        missing = [name for name in packages if not installed(name)]
        if not missing:
            yield _finding("ok", f"extra {extra}: all {len(packages)} packages installed")
        elif extra != "all":
            text = f"extra {extra}: not installed ({', '.join(missing)})"
            yield _finding("note", text, f"pip install 'millrace[{extra}]' if you want its kinds")


def _finding(level: str, text: str, fix: str = "") -> Finding:
    return Finding.model_validate({"area": AREA, "level": level, "text": text, "fix": fix})
