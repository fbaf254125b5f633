"""What was measured before: digests of files by their stamp, outlines by digest and kind.

A cache and nothing more: losing it costs time. It lies on this host, under its clearance.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from millrace.engine.errors import BadInput
from millrace.engine.files import digest_file
from millrace.engine.stages import Outline

_SCHEMA = """
CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outlines (
    subject TEXT PRIMARY KEY, outline TEXT NOT NULL) WITHOUT ROWID;
"""
_FRESH_SECONDS = 2.0  # a file this young may change again within one tick of its time stamp
_NAME = "\x00name\x00"  # stands for the file's name in a remembered refusal


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is still the one that was read, without reading it again."""

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Returns the stamp of a file, following links. Raises OSError."""
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)

    def same_content(self, other: Stamp) -> bool:
        """True when nothing suggests other bytes. A new hard link changes only the ctime."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


class Measurements:
    """The cache in one SQLite file. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = _open(path)

    def digest(self, path: Path) -> tuple[str, Stamp]:
        """Returns the SHA-256 of a file and the stamp it had while it was read.

        Raises BadInput `changed` when the file changes meanwhile, and OSError.
        """
        stamp = Stamp.of(path)
        text = f"{stamp.size}:{stamp.mtime_ns}:{stamp.inode}:{stamp.ctime_ns}"
        name = os.fsencode(path)
        with self._lock:
            row = self._db.execute("SELECT stamp, digest FROM digests WHERE path = ?", (name,))
            found = row.fetchone()
        if found and found[0] == text:
            return found[1], stamp
        digest, _ = digest_file(path)
        if not Stamp.of(path).same_content(stamp):
            raise BadInput("changed", f"{path.name} changed while it was read")
        if time.time() - stamp.mtime_ns / 1e9 > _FRESH_SECONDS:
            self._put("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (name, text, digest))
        return digest, stamp

    def outline(
        self, kind: str, version: int, digest: str, name: str, *, refusals: bool = True
    ) -> Outline | None:
        """Returns the remembered outline, or None. Raises BadInput when it was refused.

        Without `refusals`, what was refused is as if it had never been measured.
        """
        with self._lock:
            row = self._db.execute(
                "SELECT outline FROM outlines WHERE subject = ?", (f"{kind}@{version}/{digest}",)
            ).fetchone()
        if row is None:
            return None
        data = json.loads(row[0])
        if "refused" in data and not refusals:
            return None
        if "refused" in data:
            code, message, hint = (text.replace(_NAME, name) for text in data["refused"])
            raise BadInput(code, message, hint=hint).remembered()
        return Outline.model_validate(data)

    def keep(
        self, kind: str, version: int, digest: str, name: str, outcome: Outline | BadInput
    ) -> None:
        """Remembers an outline or a refusal; the file's name in its words is left out."""
        if isinstance(outcome, BadInput):
            words = (outcome.code, outcome.message, outcome.hint)
            text = json.dumps({"refused": [w.replace(name, _NAME) for w in words]})
        else:
            text = outcome.model_dump_json()
        self._put(
            "INSERT OR REPLACE INTO outlines VALUES (?, ?)", (f"{kind}@{version}/{digest}", text)
        )

    def forget(self, digests: Collection[str]) -> int:
        """Removes what is remembered of contents; returns how many entries that were."""
        gone = 0
        with self._lock:
            for digest in digests:
                for statement in (
                    "DELETE FROM digests WHERE digest = ?",
                    "DELETE FROM outlines WHERE subject LIKE '%/' || ?",
                ):
                    gone += self._db.execute(statement, (digest,)).rowcount
            self._db.commit()
        return gone

    def close(self) -> None:
        """Writes what is pending and closes the file."""
        with self._lock:
            self._db.commit()
            self._db.close()

    def _put(self, statement: str, values: tuple[object, ...]) -> None:
        with self._lock:
            self._db.execute(statement, values)
            self._db.commit()


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)  # a damaged cache is worth nothing
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, timeout=30)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")  # a cache: speed before durability
    db.executescript(_SCHEMA)
    return db
