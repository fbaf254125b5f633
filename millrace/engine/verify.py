"""Verifying a run: every byte it made, in the store and under the names it was delivered to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from millrace.engine.files import digest_file
from millrace.engine.journal import Record
from millrace.engine.runs import Run
from millrace.engine.settings import Settings
from millrace.engine.store import Store


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
    doubts += [d for path, r in outputs.items() for d in _output(Path(path), r)]
    return Verdict(results=len(results), outputs=len(outputs), doubts=tuple(doubts))


def _result(store: Store, key: str, record: Record) -> Iterator[Doubt]:
    what = f"{record.stage}: {record.item}"
    manifest = store.find(key)
    if manifest is None:
        yield Doubt(what=what, problem="its result is gone from the store, or damaged")
        return
    for digest in store.verify(manifest):
        yield Doubt(what=what, problem=f"its result {digest[:12]}… is not what was stored")


def _output(path: Path, record: Record) -> Iterator[Doubt]:
    try:
        if path.is_dir():
            return
        digest, size = digest_file(path)
    except OSError as error:
        yield Doubt(what=str(path), problem=f"cannot be read: {error.strerror}")
        return
    if (digest, size) != (record.data["digest"], record.data["bytes"]):
        yield Doubt(what=str(path), problem="is another file than the one delivered")
