"""Putting results under a person's file names: whole or not at all, and never over their own work.

A file that is already there is replaced only when it is one we delivered and nobody has touched it
since, or when the person said `overwrite`.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from millrace.engine.errors import ItemError
from millrace.engine.files import digest_file, share, write_atomically
from millrace.engine.store import Artifact, Store

Outcome = Literal["written", "unchanged"]


def deliver(store: Store, artifact: Artifact, target: Path, *, overwrite: bool = False) -> Outcome:
    """Puts an artifact at `target` (a file, or a folder of members) and says what it did.

    Raises ItemError with code `exists` (a different file is in the way), `no_permission`,
    `disk_full` or `undelivered`.
    """
    if not artifact.members:
        return _deliver_file(store, artifact.digest, artifact.size, target, overwrite)
    outcomes = {
        _deliver_file(store, m.digest, m.size, target / m.name, overwrite) for m in artifact.members
    }
    return "written" if "written" in outcomes else "unchanged"


def take_back(store: Store, digests: Collection[str]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Removes delivered files with these contents; returns those, and what others have changed.

    A changed file is a person's own and stays; that we delivered it is forgotten.
    """
    gone: list[Path] = []
    kept: list[Path] = []
    for record in sorted((store.root / "deliveries").glob("*.json")):
        try:
            note = json.loads(record.read_bytes())
            path, digest = Path(note["path"]), note["digest"]
        except (OSError, ValueError, KeyError):
            continue
        if digest not in digests:
            continue
        if _untouched(record, path):
            path.unlink(missing_ok=True)
            gone.append(path)
        elif os.path.lexists(path):
            kept.append(path)
        record.unlink(missing_ok=True)
    return tuple(gone), tuple(kept)


def _deliver_file(store: Store, digest: str, size: int, target: Path, overwrite: bool) -> Outcome:
    try:
        return _place(store, digest, size, target, overwrite)
    except PermissionError as error:
        raise ItemError(
            "no_permission",
            f"{target} cannot be written: {error.strerror}",
            hint="the result is in the store; make the folder writable and run again",
        ) from error
    except OSError as error:
        full = error.errno == 28
        raise ItemError(
            "disk_full" if full else "undelivered",
            f"{target} cannot be written: {error.strerror or error}",
            hint="the result is in the store; the next run delivers it without doing it again",
        ) from error


def _place(store: Store, digest: str, size: int, target: Path, overwrite: bool) -> Outcome:
    source = store.locate(digest)
    record = _record(store, target)
    replace = overwrite
    if os.path.lexists(target):
        if target.is_dir():
            raise ItemError("exists", f"{target} is a folder", hint="choose another output name")
        if target.exists() and _same(source, digest, size, target):
            return "unchanged"
        if not (overwrite or _untouched(record, target)):
            raise ItemError(
                "exists",
                f"{target} is there already and is another file",
                hint="move it away, choose another output name, or run with --overwrite",
            )
        replace = True
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".{uuid.uuid4().hex}.part"
    try:
        share(source, part)
        if replace:
            part.replace(target)
        else:
            _rename_new(part, target)
    finally:
        part.unlink(missing_ok=True)
    found = target.stat()
    note = {"path": str(target), "digest": digest, "size": size, "mtime_ns": found.st_mtime_ns}
    write_atomically(record, json.dumps(note).encode())
    return "written"


def _rename_new(part: Path, target: Path) -> None:
    """Renames without replacing what another program may have put there in the meantime."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise ItemError("exists", f"{target} has just been written by another program") from None
    except OSError:  # a file system without hard links
        part.replace(target)


def _record(store: Store, target: Path) -> Path:
    name = hashlib.sha256(os.fsencode(target)).hexdigest()
    return store.root / "deliveries" / f"{name}.json"


def _same(source: Path, digest: str, size: int, target: Path) -> bool:
    found = target.stat()
    if found.st_size != size:
        return False
    ours = source.stat()
    if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
        return True
    return digest_file(target)[0] == digest


def _untouched(record: Path, target: Path) -> bool:
    try:
        note = json.loads(record.read_bytes())
        found = target.stat()
    except (OSError, ValueError):
        return False
    return bool(note["size"] == found.st_size and note["mtime_ns"] == found.st_mtime_ns)
