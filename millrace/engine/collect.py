"""Collecting what no recent run uses: old runs, then results nobody names, then their bytes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from millrace.engine.runs import Run, Runs
from millrace.engine.settings import Settings
from millrace.engine.store import Manifest, Store, files_of

_DAY = 86_400.0
_YOUNG_SECONDS = 3600.0  # half-written things this fresh may belong to a run under way


class Collected(BaseModel):
    """What a collection removes (or, tried dry, would remove). Bytes as the disk counts them."""

    model_config = ConfigDict(frozen=True)

    runs: tuple[str, ...]
    results: int
    files: int
    bytes: int


def collect(settings: Settings, *, days: float = 30.0, dry: bool = True) -> Collected:
    """Removes runs older than `days`, results no remaining run used, and their bytes.

    Results are kept while any remaining run made or reused them, so that the next run of a living
    pipeline does nothing twice. Delivered files are the person's and stay. Raises StoreError.
    """
    store = Store(settings.store)
    now = time.time()
    with store.locked(exclusively=not dry):
        runs = Runs(settings).list()
        old = [run for run in runs if _age(run, now) > days * _DAY]
        kept = [run for run in runs if run not in old]
        used = {key for run in kept for key in _keys(run)}
        results = [m for m in store.manifests() if m.key not in used and now - m.made > _DAY]
        gone = {m.key for m in results}
        needed = {
            digest
            for m in store.manifests()
            if m.key not in gone
            for digest, _ in files_of(m.output)
        }
        files = [path for path in _objects(store) if path.name not in needed]
        files += list(_leftovers(store, now))
        files += [p for p in (settings.home / "fetched").glob("*") if _old(p, now, days)]
        size = sum(path.stat().st_blocks * 512 for path in files if path.stat().st_nlink == 1)
        if not dry:
            _remove(store, old, results, files)
    return Collected(
        runs=tuple(run.id for run in old), results=len(results), files=len(files), bytes=size
    )


def _remove(store: Store, runs: list[Run], results: list[Manifest], files: list[Path]) -> None:
    """Removes records first, bytes last: a kill in between leaves bytes that nothing names."""
    for run in runs:
        shutil.rmtree(run.folder, ignore_errors=True)
    for manifest in results:
        store.drop(manifest.key)
    for path in files:
        path.unlink(missing_ok=True)


def _keys(run: Run) -> Iterator[str]:
    for record in run.records():
        if record.event in ("done", "reused"):
            yield record.data["key"]


def _age(run: Run, now: float) -> float:
    stamps = [p.stat().st_mtime for p in (*run.journal.glob("*"), run.folder / "order.json")]
    return now - max(stamps, default=now)


def _old(path: Path, now: float, days: float) -> bool:
    return now - path.stat().st_mtime > days * _DAY


def _objects(store: Store) -> Iterator[Path]:
    return (path for path in (store.root / "objects").glob("*/*") if path.is_file())


def _leftovers(store: Store, now: float) -> Iterator[Path]:
    for pattern in ("tmp/*", "objects/*/.*.part", "manifests/*/.*.part", "failures/*/.*.part"):
        for path in store.root.glob(pattern):
            if now - path.stat().st_mtime > _YOUNG_SECONDS:
                yield path
