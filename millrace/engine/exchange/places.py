"""Places: a folder or a bucket that holds small objects under plain names.

    file:///mnt/share/fleet     a folder that all of them see
    s3://bucket/prefix          an object store; gs:// and abfs:// with their fsspec packages

Credentials come from this host's environment alone (AWS_ACCESS_KEY_ID and the like, an instance's
own role), never from a URL, a work order or a pool's description. The endpoint of a server that is
not Amazon's comes from the store's description or AWS_ENDPOINT_URL_S3.

An object is there as a whole or not at all. A place that cannot be reached is tried again with
growing pauses for as long as `patience` says.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from millrace.engine.errors import StoreError, UsageError
from millrace.engine.exchange.buckets import Bucket
from millrace.engine.exchange.folders import Folder
from millrace.engine.exchange.trouble import Trouble
from millrace.engine.remote import without_credentials

PATIENCE = 120.0
"""Seconds a place may be out of reach before it counts as a failure."""

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_CHUNK = 16 << 20  # bytes fetched at a time, so that a lost connection loses little
_T = TypeVar("_T")


class Backend(Protocol):
    """What a kind of place does, once; it raises Trouble."""

    def put(self, name: str, data: bytes, *, if_absent: bool) -> bool: ...
    def upload(self, name: str, path: Path) -> None: ...
    def size(self, name: str) -> int | None: ...
    def read(self, name: str, start: int, end: int) -> bytes | None: ...
    def list(self, prefix: str) -> list[str]: ...
    def delete(self, name: str) -> None: ...


@dataclass(frozen=True)
class Place:
    """A place and how patient to be with it. Safe to use from several threads.

    `url` is for people: it never holds credentials. Every method raises StoreError when the place
    stays out of reach or refuses.
    """

    url: str
    backend: Backend
    patience: float = PATIENCE

    @classmethod
    def open(
        cls,
        url: str,
        endpoint: str | None = None,
        *,
        region: str | None = None,
        patience: float = PATIENCE,
    ) -> Place:
        """Returns the place of an fsspec URL or an absolute path. Nothing is asked of it yet.

        Raises UsageError for a URL that is none or holds credentials, ToolMissing for one whose
        fsspec package is not installed.
        """
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise UsageError(
                f"the URL of the store {without_credentials(url)} holds credentials",
                hint="take them out; credentials come from the environment of each host",
            )
        if parts.scheme in ("", "file"):
            if not parts.path.startswith("/") or parts.netloc not in ("", "localhost"):
                raise UsageError(
                    f"{url!r} names no store",
                    hint="write an absolute path, file:///folder or s3://bucket/prefix",
                )
            return cls(f"file://{parts.path}", Folder(Path(parts.path)), patience)
        return cls(url.rstrip("/"), Bucket(url.rstrip("/"), endpoint, region), patience)

    def patient(self, seconds: float) -> Place:
        """Returns the same place with another patience."""
        return replace(self, patience=seconds)

    def put(self, name: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Writes an object. With `if_absent`, False when another is there and stays."""
        attempts = 0

        def once() -> bool:
            nonlocal attempts
            attempts += 1
            return self.backend.put(_valid(name), data, if_absent=if_absent)

        if self._insist(f"write {name}", once):
            return True
        # The answer to an earlier attempt may have been lost on its way back: then it is ours.
        return attempts > 1 and self.get(name, limit=len(data)) == data

    def upload(self, name: str, path: Path) -> None:
        """Writes an object from a local file. Raises OSError when that cannot be read."""
        with path.open("rb"):  # a fault of this disk is none of the place's
            pass
        self._insist(f"write {name}", lambda: self.backend.upload(_valid(name), path))

    def get(self, name: str, *, limit: int | None = None) -> bytes | None:
        """Returns an object's bytes, None when there is none.

        Raises StoreError when it is longer than `limit` bytes.
        """
        size = self.size(name)
        if size is None:
            return None
        if limit is not None and size > limit:
            raise StoreError(
                f"{name} in the store {self.url} has {size} bytes, allowed are {limit}"
            )
        return self._insist(f"read {name}", lambda: self.backend.read(_valid(name), 0, size))

    def size(self, name: str) -> int | None:
        """Returns an object's size in bytes, None when there is none."""
        return self._insist(f"read {name}", lambda: self.backend.size(_valid(name)))

    def download(self, name: str, path: Path, *, limit: int | None = None) -> int | None:
        """Writes an object's bytes to a local file; returns their number, None when there is none.

        What arrives is not checked: the caller knows the digest. Raises StoreError when there are
        more than `limit` bytes, and OSError when `path` cannot be written; then it is removed.
        """
        size = self.size(name)
        if size is None:
            return None
        if limit is not None and size > limit:
            raise StoreError(
                f"{name} in the store {self.url} has {size} bytes, allowed are {limit}"
            )
        try:
            with path.open("wb") as file:
                while (done := file.tell()) < size:
                    end = min(done + _CHUNK, size)
                    piece = partial(self.backend.read, _valid(name), done, end)
                    data = self._insist(f"read {name}", piece)
                    if not data:
                        raise StoreError(
                            f"{name} in the store {self.url} changed while it was read"
                        )
                    file.write(data)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return size

    def list(self, prefix: str = "") -> list[str]:
        """Returns the names that begin with `prefix`, sorted. Never from a cache."""
        return sorted(self._insist(f"list {prefix or 'it'}", lambda: self.backend.list(prefix)))

    def delete(self, name: str) -> None:
        """Removes an object, if it is there."""
        self._insist(f"remove {name}", lambda: self.backend.delete(_valid(name)))

    def _insist(self, what: str, act: Callable[[], _T]) -> _T:
        end = time.monotonic() + self.patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return act()
            except Trouble as trouble:
                left = end - time.monotonic()
                if not trouble.passing or left <= 0:
                    raise self._error(what, trouble) from None
                time.sleep(min(pause * random.uniform(0.5, 1.0), left))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _error(self, what: str, trouble: Trouble) -> StoreError:
        gave_up = f" for {self.patience:.0f} s" if trouble.passing else ""
        return StoreError(
            f"the store {self.url} could not {what}{gave_up}: {trouble.reason}",
            hint=trouble.hint or "check the address, the network and this machine's credentials",
        )


def _valid(name: str) -> str:
    """Returns the name of an object if it is one: plain parts, none of them `..`."""
    parts = name.split("/")
    if not all(part and part not in (".", "..") and part.isprintable() for part in parts):
        raise StoreError(f"{name!r} is no name of an object")
    return name
