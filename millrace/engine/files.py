"""Files on a local disk: digests, writing under a final name only when whole, copies that share."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

_FICLONE = 0x40049409  # ioctl number of a copy-on-write clone, linux/fs.h

_BYTES = "bytes:"  # marks a name in JSON that is no valid text


def _path_out(path: Path) -> str:
    raw = os.fsencode(path)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _BYTES + raw.hex()


def _path_in(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a path")
    if value.startswith(_BYTES):
        return Path(os.fsdecode(bytes.fromhex(value.removeprefix(_BYTES))))
    return Path(value)


AnyPath = Annotated[
    Path, PlainValidator(_path_in), PlainSerializer(_path_out, return_type=str, when_used="json")
]
"""A path that survives JSON even where its bytes are no valid text."""


def digest_file(path: Path) -> tuple[str, int]:
    """Returns the SHA-256 of a file in hex, and its size in bytes. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(
    path: Path, data: bytes, *, step: Callable[[str], None] = lambda name: None
) -> None:
    """Writes a file so that under its name there is the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        step("record-written")
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    step("record-renamed")


def share(source: Path, target: Path) -> None:
    """Makes `target` the same bytes as `source` at the least cost: clone, hard link, or copy.

    `target` must not exist. Raises OSError.
    """
    if _clone(source, target):
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def _clone(source: Path, target: Path) -> bool:
    with source.open("rb") as old:
        new = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError:
            target.unlink()
            return False
        finally:
            os.close(new)
    return True
