"""A place in a folder of a file system that everybody concerned can see."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from millrace.engine.exchange.trouble import Trouble
from millrace.engine.files import sync_folder

_PASSING = {errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR, errno.EBUSY}
_ATTEMPTS = 5  # at a folder that somebody tidies away between making it and writing into it


class Folder:
    """Objects are files; each is written aside and renamed, so that none is ever seen half."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes, *, if_absent: bool) -> bool:
        """Writes an object; False when `if_absent` and there is one."""
        return self._place(name, lambda part: _write(part, data), if_absent)

    def upload(self, name: str, path: Path) -> None:
        """Writes an object from a file."""
        self._place(name, lambda part: _copy(path, part), False)

    def size(self, name: str) -> int | None:
        """Returns an object's size, None when there is none."""
        try:
            found = (self._root / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _trouble(error) from error
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, name: str, start: int, end: int) -> bytes | None:
        """Returns some of an object's bytes, None when there is none."""
        try:
            with (self._root / name).open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _trouble(error) from error

    def list(self, prefix: str) -> list[str]:
        """Returns the names that begin with `prefix`."""
        head = prefix.rpartition("/")[0]
        found = []
        for folder, folders, files in os.walk(self._root / head, onerror=_fail):
            folders[:] = [name for name in folders if not name.startswith(".")]
            base = Path(folder).relative_to(self._root)
            found += [str(base / name) for name in files if not name.startswith(".")]
        return [name for name in found if name.startswith(prefix)]

    def delete(self, name: str) -> None:
        """Removes an object, and the folders it leaves empty."""
        path = self._root / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _trouble(error) from error
        with suppress(OSError):  # not empty, or somebody is just writing into it
            while (path := path.parent) != self._root:
                path.rmdir()

    def _place(self, name: str, write: Callable[[Path], None], if_absent: bool) -> bool:
        target = self._root / name
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                return _place_once(target, write, if_absent)
            except FileNotFoundError as error:
                if attempt == _ATTEMPTS:
                    raise _trouble(error) from error
            except OSError as error:
                raise _trouble(error) from error
        raise AssertionError("unreachable")


def _place_once(target: Path, write: Callable[[Path], None], if_absent: bool) -> bool:
    part = target.parent / f".{uuid.uuid4().hex}.part"
    try:
        write(part)
        if if_absent:
            os.link(part, target)
        else:
            part.replace(target)
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)
    return True


def _write(part: Path, data: bytes) -> None:
    with part.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _copy(path: Path, part: Path) -> None:
    shutil.copyfile(path, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _fail(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise _trouble(error) from error


def _trouble(error: OSError) -> Trouble:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Trouble("its disk is full", passing=False, hint="free some room there")
    return Trouble(error.strerror or type(error).__name__, passing=error.errno in _PASSING)
