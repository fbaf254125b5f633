"""What a document file is, told by its content; and what is refused, with the reason.

A name says nothing. Passwords are never parameters: they come from the environment variable
MILLRACE_PASSWORDS or from a side input `passwords`, one a line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from millrace.engine.errors import BadInput

PDF, TIFF, JPEG, PNG = "application/pdf", "image/tiff", "image/jpeg", "image/png"
VARIABLE = "MILLRACE_PASSWORDS"

_HEAD = 1024  # bytes in which readers look for a PDF's header
_PICTURES = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
)
_ARCHIVES = (
    (b"PK\x03\x04", "a ZIP archive or an office file"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"PK\x07\x08", "a part of a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
)
_OTHERS = (
    (b"\xd0\xcf\x11\xe0", "an office file"),
    (b"{\\rtf", "an RTF text"),
    (b"%!PS", "a PostScript file"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a bitmap picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"AT&TFORM", "a DjVu document"),
)
_HINT = "give a PDF, TIFF, JPEG or PNG: print or convert it to one of them"


def media_type(path: Path, name: str) -> str:
    """Returns what a file is: PDF, TIFF, JPEG or PNG, by its first bytes.

    Raises BadInput: `archive`, `no_content`, `unsupported`, `unreadable`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
        raise BadInput("unreadable", f"{name}: {reason}") from None
    if not head.strip(b"\0 \t\r\n"):
        raise BadInput("no_content", f"{name} is empty", hint="fetch or scan the file again")
    for start, what in _ARCHIVES:
        if head.startswith(start):
            raise _archive(name, what)
    if head[257:262] == b"ustar":
        raise _archive(name, "a tar archive")
    if b"%PDF-" in head:
        return PDF
    for start, found in _PICTURES:
        if head.startswith(start):
            return found
    what = next((what for start, what in _OTHERS if head.startswith(start)), "")
    raise BadInput(
        "unsupported", f"{name} is {what or 'no document that can be read here'}", hint=_HINT
    )


def passwords(sides: Mapping[str, Path]) -> tuple[str, ...]:
    """Returns the passwords to try: those of the side input, then those of the environment.

    Raises BadInput (`passwords`) for a list that is not UTF-8 text.
    """
    texts = [os.environ.get(VARIABLE, "")]
    if "passwords" in sides:
        try:
            texts.insert(0, sides["passwords"].read_text("utf-8-sig"))
        except (OSError, UnicodeDecodeError):
            raise BadInput(
                "passwords", "the list of passwords is no UTF-8 text", hint="one password a line"
            ) from None
    return tuple(dict.fromkeys(line for text in texts for line in text.splitlines() if line))


def needs_password(name: str, tried: int) -> BadInput:
    """Returns the refusal of a locked document."""
    what = f"none of {tried} passwords opens it" if tried else "it needs a password"
    return BadInput(
        "needs_password",
        f"{name} is locked: {what}",
        hint=f"put its password into {VARIABLE} (one a line), then `millrace retry last`",
    )


def _archive(name: str, what: str) -> BadInput:
    return BadInput("archive", f"{name} is {what}", hint="unpack it, and give the files in it")
