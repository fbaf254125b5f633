"""Which results a kind may give: the keys it was asked for, once each, in its own folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from pydantic import JsonValue


class BrokenKind(Exception):
    """A kind broke the contract; the message says how."""


def require_plain(kind: str, facts: Mapping[str, JsonValue]) -> None:
    """Raises BrokenKind for facts that JSON cannot carry: NaN and infinity become null on the way.

    Everything else that is no JSON the model has refused already.
    """
    try:
        json.dumps(facts, allow_nan=False)
    except ValueError as error:
        raise BrokenKind(f"{kind} gave facts that are not plain JSON: {error}") from error


class Claims:
    """Says of each result whether the kind may make it: a key that was asked for, once, and a file
    or folder of its own under `out`, without links or devices in it."""

    def __init__(self, kind: str, keys: Sequence[str], out: Path) -> None:
        self._kind = kind
        self._asked = dict.fromkeys(keys)
        self._open = dict.fromkeys(keys)
        self._out = out.resolve()
        self._taken: set[Path] = set()
        self._above: set[Path] = set()  # every folder that holds one of them

    def has(self, key: str) -> bool:
        """True for a key that was asked for."""
        return key in self._asked

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
        if not path.is_absolute() or path.is_symlink() or self._out not in real.parents:
            raise BrokenKind(f"{self._kind} left its result outside its folder: {path}")
        if real in self._above or not self._taken.isdisjoint((real, *real.parents)):
            raise BrokenKind(f"{self._kind} gave two results the same file: {path.name}")
        if not path.exists():
            raise BrokenKind(f"{self._kind} gave a result that does not exist: {path.name}")
        for one in (path, *path.rglob("*")):
            seen = one.lstat()
            shared = S_ISREG(seen.st_mode) and seen.st_nlink > 1  # maybe with the person's own file
            if shared or not (S_ISREG(seen.st_mode) or S_ISDIR(seen.st_mode)):
                raise BrokenKind(f"{self._kind} left a link or device in its result: {one.name}")
        self._taken.add(real)
        self._above.update(real.parents)
