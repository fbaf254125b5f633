"""Floors of labels: what lies under certain paths or URLs is never less sensitive than they say.

A pipeline may call its data public; what `pools.yaml` says of the place where the data lies stands
above that. A file is under a path when any of its names is: the one it was given, each link that
one leads through, and where it ends; folders are known by what they are and not by what they are
called, so that `..`, links, bind mounts and a change of case evade nothing. A URL is under another
that it begins with, folder by folder; of a chain (`zip://a::s3://b`) every link counts. What this
cannot see: the same data by another protocol, or another copy of it.
"""

# ruff: noqa: PTH109, PTH114, PTH115, PTH116, PTH118, PTH120
# pathlib forgets how a name was written, and takes longer over ten thousand of them.

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from millrace.engine.document.parameters import at_home
from millrace.engine.fleet.pools import Floor
from millrace.engine.globs import match
from millrace.engine.items import Item
from millrace.engine.labels import Label
from millrace.engine.remote import is_remote
from millrace.engine.settings import Settings

_HOPS = 64  # links on the way to one file; kernels give up at 40
_WILD = frozenset("*?[")
_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs", "https": "http"}
_LOCAL = ("file", "local")

_Parts = tuple[str, ...]  # of a path, or of a URL: scheme, host and folders
_Key = TypeVar("_Key")


@dataclass
class _Declared:
    """Floors by name, by what a folder is, and by pattern."""

    names: dict[str, Label] = field(default_factory=dict)
    inodes: dict[tuple[int, int], Label] = field(default_factory=dict)
    patterns: dict[_Parts, Label] = field(default_factory=dict)
    urls: dict[_Parts, Label] = field(default_factory=dict)


class Floors:
    """Minimum labels by place. Remembers what it saw of folders: make one for each expansion."""

    def __init__(self, floors: Iterable[Floor] = (), base: Path = Path()) -> None:
        """`base` is the folder from which relative paths start: that of `pools.yaml`."""
        self._declared = _Declared()
        self._folders: dict[str, Label] = {}
        for floor in floors:
            for text in floor.paths:
                _declare(self._declared, text, base, floor.label)

    def raised(self, item: Item) -> Item:
        """Returns the item with a label no lower than the floor of anything it is made of."""
        if item.url:
            floor = self.of_url(item.url)
        else:
            floor = max(self.of_path(path) for path in (item.location, *item.members))
        return item if floor <= item.label else replace(item, label=floor)

    def of_path(self, path: Path | str) -> Label:
        """Returns the highest floor of a local file or folder, whether it exists or not."""
        if not (self._declared.names or self._declared.patterns):
            return Label.PUBLIC
        written = os.path.join(os.getcwd(), path)
        name = os.path.normpath(written)
        label = max(self._folder(os.path.dirname(written)), self._exactly(name))
        if name != written or os.path.islink(name):
            label = max([label, *(self._at(way) for way in _ways(written))])
        return label

    def of_url(self, url: str) -> Label:
        """Returns the highest floor of a URL, or of any link of a chain of them."""
        label = Label.PUBLIC
        for link in url.split("::"):
            scheme, found, rest = link.partition("://")
            if found and scheme.lower() in _LOCAL:
                label = max(label, self.of_path("/" + unquote(rest).lstrip("/")))
            for parts in (_parts(link), _parts(_plain(link))):
                label = max(label, _highest(parts, self._declared.urls))
        return label

    def _folder(self, path: str) -> Label:
        if path not in self._folders:
            names = {os.path.normpath(path), *_ways(path)}
            self._folders[path] = max(self._at(name) for name in names)
        return self._folders[path]

    def _at(self, name: str) -> Label:
        """Returns the highest floor of a normal name and of the folders above it."""
        label = self._exactly(name)
        above = os.path.dirname(name)
        return label if above == name else max(label, self._at(above))

    def _exactly(self, name: str) -> Label:
        declared = self._declared
        label = declared.names.get(_composed(name), Label.PUBLIC)
        if declared.inodes and (inode := _inode(name)):
            label = max(label, declared.inodes.get(inode, Label.PUBLIC))
        if declared.patterns:
            label = max(label, _highest(_steps(name), declared.patterns))
        return label


def floors_of(settings: Settings) -> Floors:
    """Returns the floors of the fleet of this host; without a `pools.yaml` there are none.

    Raises DocumentError when there is one and it is wrong.
    """
    if not settings.fleet.exists():
        return Floors()
    from millrace.engine.fleet.reading import load_fleet  # a host without one need not pay

    return load_fleet(settings.fleet).floors()


def _declare(declared: _Declared, text: str, base: Path, label: Label) -> None:
    if is_remote(text):
        _raise(declared.urls, _parts(_plain(text)), label)
        return
    path = os.path.join(os.getcwd(), base, at_home(text.removeprefix("file://")))
    while path.endswith(("/", "/**")):  # all below a folder is the folder
        path = path.rstrip("/").removesuffix("/**") or "/."
    fixed, pattern = _split(path)
    for name in (os.path.normpath(fixed), *_ways(fixed)):
        if pattern:
            _raise(declared.patterns, _steps(f"{name}/{'/'.join(pattern)}"), label)
        else:
            _raise(declared.names, _composed(name), label)
    for found in match(os.path.normpath(path)) if pattern else [path]:
        if pattern and os.path.realpath(found) != found:  # what it leads to has no such name
            _raise(declared.names, _composed(os.path.realpath(found)), label)
        if inode := None if pattern else _inode(found):
            _raise(declared.inodes, inode, label)


def _raise(labels: dict[_Key, Label], key: _Key, label: Label) -> None:
    labels[key] = max(label, labels.get(key, label))


def _split(path: str) -> tuple[str, _Parts]:
    """Returns the folder before the first wildcard, and the rest; a name with brackets that
    exists is a name first."""
    parts = path.split("/")
    wild = [n for n, part in enumerate(parts) if _WILD & set(part)]
    if not wild or os.path.lexists(path):
        return path, ()
    return "/".join(parts[: wild[0]]) or "/", tuple(p for p in parts[wild[0] :] if p)


def _steps(path: str) -> _Parts:
    return tuple(part for part in _composed(path).split("/") if part)


def _composed(text: str) -> str:
    """Returns text in one of the ways that Unicode has of writing the same."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _ways(path: str) -> Iterator[str]:
    """Yields the real name of each link on the way of an absolute path, and of where it ends."""
    here, hops = "/", 0
    rest = path.split("/")[::-1]
    while rest:
        part = rest.pop()
        if part in ("", ".", ".."):
            here = os.path.dirname(here) if part == ".." else here
            continue
        name = os.path.join(here, part)
        try:
            target = os.readlink(name)
        except OSError:
            here = name
            continue
        yield name
        hops += 1
        if hops > _HOPS:  # it leads in a circle: nothing can be read by it
            return
        here = "/" if target.startswith("/") else here
        rest += target.split("/")[::-1]
    yield here


def _inode(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _highest(parts: Sequence[str], labels: Mapping[_Parts, Label]) -> Label:
    """Returns the highest label of the patterns that `parts` or its beginning match."""
    found = (label for pattern, label in labels.items() if _under(parts, pattern))
    return max(found, default=Label.PUBLIC)


def _under(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_under(parts[n:], pattern[1:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _under(parts[1:], pattern[1:])


def _parts(url: str) -> _Parts:
    """Returns scheme, host and folders of a URL, without what does not say where it lies."""
    scheme, _, rest = url.partition("://")
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    if scheme == "http":
        rest = rest.split("#")[0].split("?")[0]
    host, _, path = rest.partition("/")
    host = host.rpartition("@")[2].split(":")[0].lower()
    return (scheme, host, *_steps(path))


def _plain(url: str) -> str:
    """Returns a URL with its escapes and its `..` resolved, as a server may do."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}{posixpath.normpath('/' + unquote(path))}"
