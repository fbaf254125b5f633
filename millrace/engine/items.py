"""Items from inputs: what a pipeline's globs, lists and manifest files name, in a stable order."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from millrace.engine.document.parameters import at_home
from millrace.engine.errors import BadInput
from millrace.engine.globs import match
from millrace.engine.labels import Label, derived
from millrace.engine.measurements import Measurements, Stamp
from millrace.engine.pipeline import Input
from millrace.engine.remote import Remote, is_remote
from millrace.engine.store import Artifact, Member

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an item comes from, for output names: `path` is relative and without the suffix."""

    path: str
    name: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Item:
    """One item of an input or of a stage's result.

    `location` is a local file, or a folder of `members`; empty until a remote file was fetched.
    `artifact` is None until the content was read; `gathered` are the items it is made of.
    `refusal` says why the item cannot be used. For an effect, `absent` are the items of inputs that
    failed on their way, and `complete` tells that no item was left out on purpose.
    """

    id: str
    origin: Origin
    label: Label
    location: Path = Path()
    url: str = ""
    artifact: Artifact | None = None
    stamps: tuple[Stamp, ...] = ()
    members: tuple[Path, ...] = ()
    member_names: tuple[str, ...] = ()
    refusal: BadInput | None = None
    gathered: tuple[Item, ...] = ()
    absent: tuple[Item, ...] = ()
    complete: bool = True

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests of its files in their order, empty until they were read."""
        if self.artifact is None:
            return ()
        if self.members:
            return tuple(member.digest for member in self.artifact.members)
        return (self.artifact.digest,)


def expand(
    name: str, source: Input, base: Path, label: Label, *, avoid: Iterable[Path] = ()
) -> list[Item]:
    """Returns the items an input names, ordered naturally, each once.

    `base` is the folder relative names start from. Files under one of the `avoid` folders (where
    this pipeline's own outputs go) are passed over. What is missing or unusable becomes an item
    with a refusal, so that the rest goes on. Raises BadInput when a manifest file is unreadable.
    """
    label = source.label if source.label is not None else label
    if source.folders:
        found = (item for text in source.folders for item in _folders(text, base, label))
    else:
        names = _manifest(source.manifest, base) if source.manifest else source.files
        root = (base / source.manifest).parent if source.manifest else base
        found = (item for text in names for item in _files(text, root, label))
    skip = [_fixed_root(p, base)[0] for p in source.exclude if not _MAGIC.search(p)]
    excluded = {Path(p) for pattern in source.exclude for p in _glob(pattern, base)}
    unique: dict[str, Item] = {}
    for item in found:
        place = item.location
        inside = any(place.is_relative_to(f) for f in [*avoid, *skip])
        if (inside and not item.url) or place in excluded:
            continue
        key = item.url or str(place)
        unique.setdefault(key, item)
    return _distinct_ids(sorted(unique.values(), key=lambda i: natural(i.id)))


def natural(text: str) -> list[tuple[int, int | str]]:
    """Returns a sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts if p]


def printable(name: str) -> str:
    """Returns a file name that is valid text: bytes that are no UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read(item: Item, cache: Measurements, remote: Remote) -> Item:
    """Returns the item with its content's digest (fetching it first when it is remote).

    Raises BadInput: `missing`, `no_permission`, `is_folder`, `not_a_file`, `empty`, `changed`.
    """
    if item.refusal:
        raise item.refusal
    if item.artifact is not None:
        return item
    if item.gathered:
        return gather(item.id, [read(one, cache, remote) for one in item.gathered])
    if item.url:
        item = replace(item, location=remote.fetch(item.url))
    if item.members:
        return _read_folder(item, cache)
    digest, stamp = _digest(item.location, item.id, cache)
    media = "application/octet-stream"
    return replace(
        item,
        artifact=Artifact(digest=digest, size=stamp.size, media_type=media),
        stamps=(stamp,),
    )


def gather(stage: str, items: Iterable[Item]) -> Item:
    """Returns one item whose content is the folder of all these items' files, in their order.

    Like any item it is without an artifact until `read`, unless all of them have been read.
    """
    sources = tuple(items)
    names = _member_names(sources)
    members = tuple(
        Member(name=name, digest=item.artifact.digest, size=item.artifact.size)
        for name, item in zip(names, sources, strict=True)
        if item.artifact
    )
    return Item(
        id=stage,
        origin=Origin(path=stage, name=stage, suffix=""),
        label=derived(i.label for i in sources),
        artifact=Artifact.folder(members) if len(members) == len(sources) else None,
        gathered=sources,
        members=tuple(item.location for item in sources),
        member_names=tuple(item.id for item in sources),
        stamps=tuple(stamp for item in sources for stamp in item.stamps),
    )


def _read_folder(item: Item, cache: Measurements) -> Item:
    read_files = [_digest(path, f"{item.id}/{path.name}", cache) for path in item.members]
    members = tuple(
        Member(name=str(path.relative_to(item.location)), digest=digest, size=stamp.size)
        for path, (digest, stamp) in zip(item.members, read_files, strict=True)
    )
    stamps = tuple(stamp for _, stamp in read_files)
    return replace(item, artifact=Artifact.folder(members), stamps=stamps)


def _digest(path: Path, name: str, cache: Measurements) -> tuple[str, Stamp]:
    try:
        if path.is_dir():
            raise BadInput("is_folder", f"{name} is a folder where a file is expected")
        if not path.is_file() and path.exists():
            raise BadInput("not_a_file", f"{name} is a device or a pipe, not a file")
        digest, stamp = cache.digest(path)
    except FileNotFoundError:
        broken = " (a link that leads nowhere)" if path.is_symlink() else ""
        raise BadInput("missing", f"{name} does not exist{broken}") from None
    except PermissionError:
        raise BadInput(
            "no_permission", f"{name} may not be read", hint="give the reading user access"
        ) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadInput("missing", f"{name} is a link to itself") from None
        raise BadInput("unreadable", f"{name} cannot be read: {error.strerror}") from None
    if stamp.size == 0:
        raise BadInput("empty", f"{name} is empty")
    return digest, stamp


def _files(text: str, base: Path, label: Label) -> Iterator[Item]:
    if is_remote(text):
        for url, path in Remote.expand(text):
            yield Item(id=path, origin=_origin(path), label=label, url=url)
        return
    root, pattern = _fixed_root(text, base)
    if not pattern:
        yield _local(root, root.parent, label)
        return
    # `*.mp4` that meets a folder named so is a mistake worth telling; a bare `*` is not.
    folders_matter = "." in pattern.rsplit("/", 1)[-1]
    for file in (Path(p) for p in _glob(text, base)):
        if folders_matter or not file.is_dir():
            yield _local(file, root, label)


def _folders(text: str, base: Path, label: Label) -> Iterator[Item]:
    root, _ = _fixed_root(text, base)
    for folder in (Path(p) for p in _glob(text, base)):
        if not folder.is_dir():
            continue
        item = _local(folder, root if folder != root else root.parent, label)
        files = (p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
        members = tuple(sorted(files, key=lambda p: natural(p.name)))
        refusal = None if members else BadInput("empty", f"{item.id} holds no files")
        names = tuple(printable(p.name) for p in members)
        yield replace(item, members=members, member_names=names, refusal=refusal)


def _local(path: Path, root: Path, label: Label) -> Item:
    relative = path.relative_to(root).as_posix() if path != root else path.name
    return Item(id=printable(relative), origin=_origin(relative), label=label, location=path)


def _origin(relative: str) -> Origin:
    suffix = Path(relative).suffix
    stem = relative.removesuffix(suffix)
    return Origin(path=stem, name=stem.rsplit("/", 1)[-1], suffix=suffix)


def _fixed_root(text: str, base: Path) -> tuple[Path, str]:
    """Splits a pattern into the folder before its first wildcard and the rest."""
    path = Path(os.path.normpath(base / at_home(text)))
    if not _MAGIC.search(text) or path.exists():
        return path, ""
    parts = path.parts
    first = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
    return Path(*parts[:first]), "/".join(parts[first:])


def _glob(text: str, base: Path) -> list[str]:
    path = os.path.normpath(base / at_home(text))
    if os.path.lexists(path):  # a name with brackets in it is a name first
        return [path]
    return match(path)


def _manifest(name: str, base: Path) -> list[str]:
    path = base / name
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput("missing", f"the manifest {name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput("not_text", f"the manifest {name} is not UTF-8 text") from None
    try:
        if path.suffix == ".jsonl":
            return [_text(json.loads(x)["path"]) for x in text.splitlines() if x.strip()]
        if path.suffix == ".csv":
            return [_text(row["path"]) for row in csv.DictReader(text.splitlines())]
    except (ValueError, KeyError, TypeError):
        raise BadInput("bad_manifest", f"the manifest {name} lacks a `path` in some line") from None
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("no path")
    return value


def _distinct_ids(items: list[Item]) -> list[Item]:
    """Numbers items of different roots that share a relative name, so that ids are unique."""
    names = {item.id for item in items}
    counts: dict[str, int] = {}
    out = []
    for item in items:
        count = counts.get(item.id, 0) + 1
        while count > 1 and f"{item.id}#{count}" in names:
            count += 1
        counts[item.id] = count
        out.append(replace(item, id=f"{item.id}#{count}") if count > 1 else item)
    return out


def _member_names(items: Sequence[Item]) -> list[str]:
    width = len(str(len(items)))
    return [f"{n:0{width}d}{i.origin.suffix}" for n, i in enumerate(items, 1)]
