"""File patterns as a shell reads them; `**` goes through linked folders, but not in circles."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path


def match(pattern: str) -> list[str]:
    """Returns the paths that an absolute pattern matches, each once.

    Hidden files and folders match only where the pattern names the dot. Folders that cannot be
    listed are passed over.
    """
    parts = Path(pattern).parts
    if "**" not in parts:
        return glob.glob(pattern)  # noqa: PTH207 - as below
    at = parts.index("**")
    rest = parts[at + 1 :] or ("*",)
    found: dict[str, None] = {}
    for start in glob.glob(str(Path(*parts[:at]))):  # noqa: PTH207 - pathlib's follows no links
        for folder in _folders(start, frozenset()):
            found |= dict.fromkeys(match(str(Path(glob.escape(folder), *rest))))
    return list(found)


def _folders(folder: str, above: frozenset[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:  # a link that leads back to where we come from
        return
    yield folder
    try:
        with os.scandir(folder) as entries:
            inner = [e.path for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError:
        return
    for path in inner:
        yield from _folders(path, above | {real})
