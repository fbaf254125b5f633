"""Verifying a run: every byte it made, in the store and under the names it was delivered to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from millrace.engine.files import digest_file
from millrace.engine.journal import Record
from millrace.engine.runs import Run
from millrace.engine.settings import Settings
from millrace.engine.store import Artifact, Member, Store


class Doubt(BaseModel):
    """Something that is not as the run left it."""

    model_config = ConfigDict(frozen=True)

    what: str
    problem: str


class Verdict(BaseModel):
    """How many results and delivered files were read, and what is wrong with which."""

    model_config = ConfigDict(frozen=True)

    results: int
    outputs: int
    doubts: tuple[Doubt, ...]


def verify(run: Run, settings: Settings) -> Verdict:
    """Returns the verdict on a run, after reading every file it made or delivered."""
    store = Store(settings.store)
    records = run.records()
    results = {r.data["key"]: r for r in records if r.event in ("done", "reused")}
    outputs = {r.data["path"]: r for r in records if r.event == "delivered"}
    doubts = [d for key, r in results.items() for d in _result(store, key, r)]
    folders = _folders(store, results)
    doubts += [d for path, r in outputs.items() for d in _output(Path(path), r, folders)]
    return Verdict(results=len(results), outputs=len(outputs), doubts=tuple(doubts))


def _result(store: Store, key: str, record: Record) -> Iterator[Doubt]:
    what = f"{record.stage}: {record.item}"
    manifest = store.find(key)
    if manifest is None:
        yield Doubt(what=what, problem="its result is gone from the store, or damaged")
        return
    for digest in store.verify(manifest):
        yield Doubt(what=what, problem=f"its result {digest[:12]}… is not what was stored")


def _folders(store: Store, keys: Iterable[str]) -> dict[str, tuple[Member, ...]]:
    """Returns the members of the folders among the results, by the folders' digests."""
    made = [manifest.output for key in keys if (manifest := store.find(key))]
    return {artifact.digest: artifact.members for artifact in made if artifact.members}


def _output(
    path: Path, record: Record, folders: Mapping[str, tuple[Member, ...]]
) -> Iterator[Doubt]:
    digest = record.data["digest"]
    if digest in folders:
        for member in folders[digest]:
            yield from _file(path / member.name, member.digest, member.size)
    elif path.is_dir():
        if Artifact.folder(tuple(_listed(path))).digest != digest:
            yield Doubt(what=str(path), problem="is another folder than the one delivered")
    else:
        yield from _file(path, digest, record.data["bytes"])


def _file(path: Path, digest: str, size: int) -> Iterator[Doubt]:
    try:
        found = digest_file(path)
    except OSError as error:
        yield Doubt(what=str(path), problem=f"cannot be read: {error.strerror}")
        return
    if found != (digest, size):
        yield Doubt(what=str(path), problem="is another file than the one delivered")


def _listed(folder: Path) -> Iterator[Member]:
    """Yields the files of a folder that no result tells of any more, as they lie there."""
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        with contextlib.suppress(OSError):
            digest, size = digest_file(file)
            yield Member(name=str(file.relative_to(folder)), digest=digest, size=size)
