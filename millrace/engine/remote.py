"""Inputs that lie elsewhere: any fsspec URL, fetched once for each version of the file."""

from __future__ import annotations

import hashlib
import re
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from millrace.engine.errors import BadInput

_URL = re.compile(r"^[a-z][a-z0-9+.-]+(::[a-z][a-z0-9+.-]*)*://", re.IGNORECASE)


def is_remote(text: str) -> bool:
    """True for a URL of a scheme other than `file`."""
    return bool(_URL.match(text)) and not text.lower().startswith("file:")


class Remote:
    """Fetches remote files into `folder`. A file is fetched again only when its version changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def expand(url: str) -> list[tuple[str, str]]:
        """Returns (URL, relative path) of every file a URL or URL pattern names.

        Raises BadInput `unreachable` when the place cannot be listed.
        """
        fs, path = _open(url)
        root = path.split("*")[0].rpartition("/")[0]
        try:
            names = sorted(fs.glob(path)) if "*" in path else [path]
        except Exception as error:  # noqa: BLE001 - every file system has its own exceptions
            raise _unreachable(url, error) from None
        return [(fs.unstrip_protocol(name), _relative(name, root)) for name in names]

    def fetch(self, url: str) -> Path:
        """Returns a local copy of the file. Raises BadInput `missing` or `unreachable`."""
        fs, path = _open(url)
        try:
            version = _version(fs.info(path))
            target = self._folder / hashlib.sha256(f"{url}\n{version}".encode()).hexdigest()
            if version and target.exists():
                return target
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f".{uuid.uuid4().hex}.part"
            try:
                fs.get_file(path, str(part))
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except FileNotFoundError as error:
            cause = error.__cause__  # fsspec says so of a server that cannot be reached, too
            if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
                raise _unreachable(url, cause) from None
            raise BadInput("missing", f"{without_credentials(url)} does not exist") from None
        except Exception as error:  # noqa: BLE001 - every file system has its own exceptions
            raise _unreachable(url, error) from None
        return target


def without_credentials(url: str) -> str:
    """Returns the URL without user, password, query and fragment: what may be shown."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _open(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise BadInput(
            "unreachable",
            f"{without_credentials(url)} cannot be opened: {error}",
            hint="install the fsspec package for this kind of URL (millrace[s3] for s3://)",
        ) from None
    return fs, path


def _relative(name: str, root: str) -> str:
    """Returns a file's name below `root`, without the query that may hold a signature."""
    if not is_remote(name):
        return name[len(root) :].lstrip("/") or name
    shown = without_credentials(name)
    return shown.removeprefix(without_credentials(root)).lstrip("/") or shown


def _version(info: dict[str, Any]) -> str:
    for name in ("ETag", "etag", "mtime", "LastModified", "last_modified", "created"):
        if info.get(name):
            return f"{info[name]}:{info.get('size')}"
    return ""


def _unreachable(url: str, error: Exception) -> BadInput:
    return BadInput(
        "unreachable",
        f"{without_credentials(url)} cannot be read: {type(error).__name__}",
        hint="check the address, the network and this machine's credentials for it",
    )
