"""The store: artifacts by digest, manifests by key, remembered failures by key.

    objects/ab/abcd…        the bytes, named by their SHA-256
    manifests/ab/abcd….json a batch's result exists and is good; a manifest that exists is true
    failures/ab/abcd….json  this batch failed by its own input's fault; nothing to gain by retrying
    deliveries/abcd….json   what we put under a person's file name, and when
    tmp/                    half-written things; never read

The order of a commit is what makes a kill harmless: the bytes are synced, renamed to their digest,
and only then is the manifest synced and renamed into place.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from millrace.engine.batches import Recipe
from millrace.engine.errors import StoreError
from millrace.engine.files import digest_file, sync_folder, write_atomically

Step = Callable[[str], None]
"""Called with the name of each point of a commit after which a kill must do no harm."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Member(_Frozen):
    """One file of a folder artifact, by its name in the folder."""

    name: str
    digest: str
    size: int


class Artifact(_Frozen):
    """An immutable file, or a folder as the list of its members. Size in bytes."""

    digest: str
    size: int
    media_type: str
    members: tuple[Member, ...] = ()

    @classmethod
    def folder(cls, members: tuple[Member, ...], media_type: str = "inode/directory") -> Artifact:
        """Returns the folder artifact of these members; its digest covers names and contents."""
        text = json.dumps([[m.name, m.digest] for m in members], separators=(",", ":"))
        return cls(
            digest=hashlib.sha256(text.encode()).hexdigest(),
            size=sum(m.size for m in members),
            media_type=media_type,
            members=members,
        )


class Manifest(_Frozen):
    """The record that a batch's result exists and is good, with what it took."""

    key: str
    recipe: Recipe
    output: Artifact
    mtimes: tuple[int, ...]  # of each object at commit, ns: a changed one is digested again
    units: float
    facts: dict[str, JsonValue] = {}
    notes: tuple[str, ...] = ()
    seconds: float
    device: str
    made: float


class Store:
    """A store in a local folder. `on_step` is the seam for fault injection."""

    def __init__(self, root: Path, *, on_step: Step = lambda name: None) -> None:
        self.root = root
        self._step = on_step
        try:
            for name in ("objects", "manifests", "failures", "deliveries", "tmp", "runs"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the store {root} cannot be used: {error.strerror}",
                hint="set MILLRACE_HOME to a folder you can write to",
            ) from error

    # -- results -------------------------------------------------------------------------------

    def find(self, key: str) -> Manifest | None:
        """Returns the manifest of a key when its result is there and sound, else None.

        Sizes are compared always, digests when a file's time stamp has changed since the commit.
        """
        path = self.manifest_path(key)
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValidationError):
            return None  # unreadable is absent: the work is done again and the record replaced
        files = files_of(manifest.output)
        for (digest, size), mtime in zip(files, manifest.mtimes, strict=False):
            if not self._sound(digest, size, mtime):
                return None
        return manifest if len(files) == len(manifest.mtimes) else None

    def commit(
        self,
        key: str,
        path: Path,
        *,
        recipe: Recipe,
        media_type: str,
        units: float,
        seconds: float,
        device: str,
        facts: dict[str, JsonValue],
        notes: tuple[str, ...] = (),
    ) -> Manifest:
        """Moves the file or folder at `path` into the store and returns its manifest.

        Raises StoreError when the disk is full or the store cannot be written; then nothing has
        changed under a final name.
        """
        try:
            with self.locked(exclusively=False):
                output = self._adopt(path, media_type)
                manifest = Manifest(
                    key=key,
                    recipe=recipe,
                    output=output,
                    mtimes=tuple(self.locate(d).stat().st_mtime_ns for d, _ in files_of(output)),
                    units=units,
                    facts=facts,
                    notes=notes,
                    seconds=seconds,
                    device=device,
                    made=time.time(),
                )
                target = self.manifest_path(key)
                write_atomically(target, manifest.model_dump_json().encode(), step=self._step)
            self.forget_failure(key)
        except OSError as error:
            raise _store_error(self.root, error) from error
        self._step("committed")
        return manifest

    def manifest_path(self, key: str) -> Path:
        """Returns where the manifest of a key lies (whether or not it is there)."""
        return self.root / "manifests" / key[:2] / f"{key}.json"

    @contextmanager
    def locked(self, *, exclusively: bool) -> Iterator[None]:
        """Holds the store's lock: commits share it, a collection has it alone."""
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH)
            yield
        finally:
            os.close(handle)

    def locate(self, digest: str) -> Path:
        """Returns where the bytes of a digest lie (whether or not they are there)."""
        return self.root / "objects" / digest[:2] / digest

    def verify(self, manifest: Manifest) -> list[str]:
        """Returns the digests of a result's files that are missing or not what they were."""
        return [
            digest
            for digest, size in files_of(manifest.output)
            if not self._is(self.locate(digest), digest, size)
        ]

    def manifests(self) -> Iterator[Manifest]:
        """Yields every readable manifest."""
        for path in sorted((self.root / "manifests").glob("*/*.json")):
            try:
                yield Manifest.model_validate_json(path.read_bytes())
            except (OSError, ValidationError):
                continue

    def drop(self, key: str) -> None:
        """Forgets a result; its bytes go with the next collection."""
        self.manifest_path(key).unlink(missing_ok=True)

    # -- failures ------------------------------------------------------------------------------

    def remember_failure(self, key: str, failure: dict[str, Any]) -> None:
        """Records that the batch of this key fails by its own input's fault."""
        try:
            write_atomically(self._failure(key), json.dumps(failure).encode())
        except OSError as error:
            raise _store_error(self.root, error) from error

    def known_failure(self, key: str) -> dict[str, Any] | None:
        """Returns the remembered failure of a key, or None."""
        try:
            found = json.loads(self._failure(key).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def forget_failure(self, key: str) -> None:
        """Forgets the remembered failure of a key."""
        self._failure(key).unlink(missing_ok=True)

    # -- internals -----------------------------------------------------------------------------

    def _failure(self, key: str) -> Path:
        return self.root / "failures" / key[:2] / f"{key}.json"

    def _adopt(self, path: Path, media_type: str) -> Artifact:
        if not path.is_dir():
            digest, size = self._adopt_file(path)
            return Artifact(digest=digest, size=size, media_type=media_type)
        members = []
        for file in sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink()):
            digest, size = self._adopt_file(file)
            members.append(Member(name=str(file.relative_to(path)), digest=digest, size=size))
        return Artifact.folder(tuple(members), media_type)

    def _adopt_file(self, path: Path) -> tuple[str, int]:
        with path.open("rb") as file:
            os.fsync(file.fileno())
        digest, size = digest_file(path)
        self._step("object-synced")
        target = self.locate(digest)
        if self._is_there(target, size):
            path.unlink()
            return digest, size
        path.chmod(0o444)  # a delivered output may be the same inode: an edit would corrupt both
        target.parent.mkdir(exist_ok=True)
        if path.stat().st_dev == self.root.stat().st_dev:
            path.replace(target)
        else:
            part = self.root / "tmp" / uuid.uuid4().hex
            shutil.copyfile(path, part)
            part.chmod(0o444)
            part.replace(target)
            path.unlink()
        sync_folder(target.parent)
        self._step("object-renamed")
        return digest, size

    def _is_there(self, target: Path, size: int) -> bool:
        # Only reached when identical bytes were made again, so a full check is affordable.
        return self._is(target, target.name, size)

    def _is(self, path: Path, digest: str, size: int) -> bool:
        try:
            return path.stat().st_size == size and digest_file(path)[0] == digest
        except OSError:
            return False

    def _sound(self, digest: str, size: int, mtime: int) -> bool:
        path = self.locate(digest)
        try:
            found = path.stat()
        except OSError:
            return False
        if found.st_size != size:
            return False
        return found.st_mtime_ns == mtime or digest_file(path)[0] == digest


def files_of(artifact: Artifact) -> list[tuple[str, int]]:
    """Returns (digest, size) of each file an artifact consists of."""
    if artifact.members:
        return [(m.digest, m.size) for m in artifact.members]
    if artifact.media_type == "inode/directory":
        return []
    return [(artifact.digest, artifact.size)]


def _store_error(root: Path, error: OSError) -> StoreError:
    if error.errno == errno.ENOSPC:
        return StoreError(
            f"the disk of the store {root} is full",
            hint="free some room (`millrace gc` removes what no recent run uses) and run again",
        )
    return StoreError(f"the store {root} cannot be written: {error.strerror or error}")
