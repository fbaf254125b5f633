"""A document's file to its text, or the reason why it is none."""

from __future__ import annotations

import stat
from pathlib import Path

from millrace.engine.document.problems import nearest

MAX_BYTES = 1 << 20


class NoText(Exception):
    """A file is no readable document, for the reason given."""


def text_of(path: Path, what: str = "pipeline file") -> str:
    """Returns the text of a document. Raises NoText for anything that is none.

    `what` is what a person calls such a file.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise NoText(f"{path} is a folder; name the {what} in it")
        if not stat.S_ISREG(status.st_mode):
            raise NoText(f"{path} is not a regular file")
        if status.st_size > MAX_BYTES:
            raise NoText(f"{path} is larger than 1 MiB; a {what} names files by their pattern")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise NoText(f"there is no file {path}{_near_file(path)}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NoText(f"{str(path)[:200]!r} cannot be read: {reason}") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NoText(f"{path} is UTF-16; save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise NoText(f"{path}:{line}: this is no UTF-8 text; save the file as UTF-8") from None


def exists(path: str) -> bool:
    """True when something of this name is there; False also for what can be no name."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def _near_file(path: Path) -> str:
    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml")]
    except OSError:
        return ""
    return nearest(path.name, names)
