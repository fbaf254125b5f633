"""Which results a kind may give: the keys it was asked for, once each, in its own folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG


class BrokenKind(Exception):
    """A kind broke the contract; the message says how."""


class Claims:
    """Says of each result whether the kind may make it: a key that was asked for, once, and a file
    or folder of its own under `out`, without links or devices in it."""

    def __init__(self, kind: str, keys: Sequence[str], out: Path) -> None:
        self._kind = kind
        self._asked = dict.fromkeys(keys)
        self._open = dict.fromkeys(keys)
        self._out = out.resolve()
        self._taken: set[Path] = set()

    @property
    def pending(self) -> list[str]:
        """The keys nothing was said about yet, in the order asked."""
        return list(self._open)

    def settle(self, key: str) -> None:
        """Marks the batch as answered. Raises BrokenKind if it was not asked for or is already."""
        if key not in self._asked:
            raise BrokenKind(f"{self._kind} answered for {key!r}, which was not asked for")
        if key not in self._open:
            raise BrokenKind(f"{self._kind} answered for {key!r} twice")
        del self._open[key]

    def place(self, path: Path) -> None:
        """Accepts where a result lies. Raises BrokenKind if it is not a place for it."""
        real = path.resolve()
        if not path.is_absolute() or path.is_symlink() or not _inside(real, self._out):
            raise BrokenKind(f"{self._kind} left its result outside its folder: {path}")
        if any(_inside(real, t) or _inside(t, real) or real == t for t in self._taken):
            raise BrokenKind(f"{self._kind} gave two results the same file: {path.name}")
        if not path.exists():
            raise BrokenKind(f"{self._kind} gave a result that does not exist: {path.name}")
        for one in (path, *path.rglob("*")):
            mode = one.lstat().st_mode
            if not (S_ISREG(mode) or S_ISDIR(mode)):
                raise BrokenKind(f"{self._kind} left a link or device in its result: {one.name}")
        self._taken.add(real)


def _inside(path: Path, folder: Path) -> bool:
    return folder in path.parents
