"""A place in an object store, by way of fsspec."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from millrace.engine.errors import StoreError, ToolMissing, UsageError
from millrace.engine.exchange.trouble import Trouble

_CONNECT_SECONDS = 5
_SILENCE_SECONDS = 30
_PARTS_AT_ONCE = 2  # of a long upload; each is held in memory
_THERE = {"PreconditionFailed", "412"}
_WRONG = {
    "AllAccessDisabled": "this machine's credentials may not do that there",
    "AccessDenied": "this machine's credentials may not do that there",
    "403": "this machine's credentials may not do that there",
    "InvalidAccessKeyId": "it does not know this machine's credentials",
    "SignatureDoesNotMatch": "it does not accept this machine's credentials",
    "ExpiredToken": "this machine's credentials have expired",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "NoSuchBucket": "there is no such bucket",
    "InvalidBucketName": "that is no name of a bucket",
    "PermanentRedirect": "the bucket lies in another region",
    "EntityTooLarge": "the object is too large for it",
}
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


class Bucket:
    """Objects below a URL. Nothing is cached: not the listings, not the file system itself."""

    def __init__(self, url: str, endpoint: str | None, region: str | None) -> None:
        scheme = urlsplit(url).scheme
        self._is_s3 = scheme in ("s3", "s3a")
        options = _s3_options(endpoint, region) if self._is_s3 else {}
        self._fs: Any = _file_system(scheme, url, options)
        self._fs.retries = 1  # Place is the one that tries again
        self._root = str(self._fs._strip_protocol(url)).rstrip("/")

    def put(self, name: str, data: bytes, *, if_absent: bool) -> bool:
        """Writes an object; False when `if_absent` and there is one."""
        path = self._path(name)
        try:
            self._fs.pipe_file(path, data, mode="create" if if_absent else "overwrite")
        except FileExistsError:
            return False
        except Exception as error:
            code = _code(error)
            if if_absent and code in _THERE:
                return False
            if if_absent and code in ("NotImplemented", "501"):
                return self._put_unless_seen(name, data)
            raise _trouble(error) from error
        return True

    def upload(self, name: str, path: Path) -> None:
        """Writes an object from a file."""
        try:
            self._fs.put_file(str(path), self._path(name))
        except Exception as error:
            raise _trouble(error) from error

    def size(self, name: str) -> int | None:
        """Returns an object's size, None when there is none."""
        try:
            found = self._fs.info(self._path(name))
        except Exception as error:
            if _is_absent(error):
                return None
            raise _trouble(error) from error
        return int(found["size"]) if found["type"] == "file" else None

    def read(self, name: str, start: int, end: int) -> bytes | None:
        """Returns some of an object's bytes, None when there is none."""
        if start == end:
            return b""
        try:
            return bytes(self._fs.cat_file(self._path(name), start=start, end=end))
        except Exception as error:
            if _is_absent(error):
                return None
            raise _trouble(error) from error

    def list(self, prefix: str) -> list[str]:
        """Returns the names that begin with `prefix`."""
        head, _, tail = prefix.rpartition("/")
        folder = self._path(head) if head else self._root
        narrow = {"prefix": tail} if tail and self._is_s3 else {}  # one request instead of many
        try:
            found = self._fs.find(folder, **narrow)
        except Exception as error:
            if _is_absent(error):
                return []
            raise _trouble(error) from error
        names = (str(name).removeprefix(f"{self._root}/") for name in found)
        return [name for name in names if name.startswith(prefix) and not name.endswith("/")]

    def delete(self, name: str) -> None:
        """Removes an object."""
        try:
            self._fs.rm_file(self._path(name))
        except Exception as error:
            if not _is_absent(error):
                raise _trouble(error) from error

    def _put_unless_seen(self, name: str, data: bytes) -> bool:
        """What can be done where the store knows no conditional write: look first."""
        return self.size(name) is None and self.put(name, data, if_absent=False)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _file_system(scheme: str, url: str, options: dict[str, Any]) -> Any:
    import fsspec

    if scheme not in fsspec.available_protocols():
        raise UsageError(
            f"{url!r} names no store",
            hint="write an absolute path, file:///folder or s3://bucket/prefix",
        )
    try:
        return fsspec.filesystem(
            scheme, use_listings_cache=False, skip_instance_cache=True, **options
        )
    except ImportError as error:
        raise ToolMissing(
            f"a {scheme}:// store needs a package that is not installed: {error}",
            hint="install millrace[s3] for s3://, [gcs] for gs://, [azure] for abfs://",
        ) from None
    except Exception as error:  # noqa: BLE001 - whatever the package makes of bad configuration
        raise StoreError(
            f"the store {url} cannot be opened: {type(error).__name__}",
            hint="check this machine's credentials for it, in its environment",
        ) from None


def _s3_options(endpoint: str | None, region: str | None) -> dict[str, Any]:
    given = endpoint or next((os.environ[n] for n in _ENDPOINTS if os.environ.get(n)), None)
    config: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _SILENCE_SECONDS,
        "retries": {"total_max_attempts": 1, "mode": "standard"},
    }
    if given:
        config["s3"] = {"addressing_style": "path"}
    return {
        "endpoint_url": given,
        "client_kwargs": {"region_name": region} if region else {},
        "config_kwargs": config,
        "max_concurrency": _PARTS_AT_ONCE,
    }


def _code(error: BaseException) -> str:
    """Returns what the store itself called its error, empty when it did not answer."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def _is_absent(error: Exception) -> bool:
    # fsspec also says "not found" of a server that cannot be reached, and of a missing bucket.
    cause = error.__cause__
    unreachable = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
    return (
        isinstance(error, FileNotFoundError) and not unreachable and _code(error) != "NoSuchBucket"
    )


def _trouble(error: Exception) -> Trouble:
    code = _code(error)
    if reason := _WRONG.get(code):
        return Trouble(reason, passing=False)
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return Trouble(
            "this machine has no credentials for it",
            passing=False,
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
        )
    if isinstance(error, PermissionError):
        return Trouble("this machine's credentials may not do that there", passing=False)
    return Trouble(code or type(error).__name__, passing=True)
