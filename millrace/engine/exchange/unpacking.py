"""Unpacking a parcel on a worker's host: its inputs fetched and checked, its run written down."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from millrace.engine.assignments import Job
from millrace.engine.errors import ItemError, StoreError
from millrace.engine.exchange import parcels
from millrace.engine.exchange.cache import Cache, fetch_whole
from millrace.engine.exchange.parcels import Moved, Parcel
from millrace.engine.exchange.places import Place
from millrace.engine.exchange.quarters import inputs_folder
from millrace.engine.journal import Journal, Record
from millrace.engine.labels import Label
from millrace.engine.runs import Run
from millrace.engine.settings import Settings
from millrace.engine.store import Manifest, Store, files_of

_THREADS = 4
_BEAT_SECONDS = 10.0


def unpack(run: Run, parcel: Parcel, place: Place, settings: Settings) -> None:
    """Makes a run of this host from a parcel, giving signs of life meanwhile.

    Jobs whose inputs are not to be had or damaged are in the journal as `lost` and not in the
    assignment. Raises StoreError, and OSError when the disk is full.
    """
    with _alive(parcel, place):
        _Unpacking(run, parcel, place, settings).unpack()


@contextmanager
def _alive(parcel: Parcel, place: Place) -> Iterator[None]:
    """Tells the conductor every few seconds that inputs are still on their way."""
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(parcel, place, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat(parcel: Parcel, place: Place, over: threading.Event) -> None:
    run, order = parcel.run, parcel.assignment
    number = 0
    while not over.wait(_BEAT_SECONDS):
        data = {"assignment": order.id}
        line = Record("alive", round(time.time(), 3), order.stage, data=data).line()
        with suppress(StoreError):
            number = number or parcels.last_segment(place, run, order.id)
            place.put(parcels.segment_name(run, order.id, number + 1), line.encode())
            number += 1


class _Unpacking:
    """Fetches what a parcel speaks of and writes the run down."""

    def __init__(self, run: Run, parcel: Parcel, place: Place, settings: Settings) -> None:
        self._run, self._parcel, self._place = run, parcel, place
        self._order, self._settings = parcel.assignment, settings
        self._inputs = inputs_folder(run, self._order.id)
        self._store = Store(settings.store)
        restricted = self._order.label >= Label.RESTRICTED
        self._cache = None if restricted else Cache(settings.home / "cache", settings.cache)

    def unpack(self) -> None:
        began = time.monotonic()
        self._prepare()
        bad: dict[str, ItemError] = {}
        wanted = sorted({d for job in self._order.jobs for d in parcels.needed_by(job)})
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as pool:
            fetched = sum(pool.map(partial(self._fetch, bad), wanted))
        for part in self._parcel.parts:
            fetched += self._adopt(part)
        good = tuple(j for j in self._order.jobs if not parcels.needed_by(j) & bad.keys())
        here = self._order.model_copy(update={"jobs": good})
        parcels.located(here, lambda digest: self._inputs / digest).save(self._run.assignments)
        seconds = round(time.monotonic() - began, 3)
        self._tell(Moved(bytes=fetched, seconds=seconds), bad)

    def _prepare(self) -> None:
        """Clears away what an earlier attempt has left."""
        for folder in (self._inputs, self._run.scratch / self._order.id):
            shutil.rmtree(folder, ignore_errors=True)
        (self._run.journal / f"{self._order.id}.jsonl").unlink(missing_ok=True)
        (self._run.folder / "revoked" / self._order.id).unlink(missing_ok=True)
        for folder in (self._inputs, self._run.journal, self._run.assignments):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _fetch(self, bad: dict[str, ItemError], digest: str) -> int:
        size, target = self._parcel.sizes.get(digest, -1), self._inputs / digest
        try:
            if not parcels.DIGEST.fullmatch(digest) or size < 0:
                raise ItemError("missing_input", "the parcel does not speak of it")
            fetch = partial(self._download, digest, size)
            if self._cache:
                return self._cache.obtain(digest, size, target, fetch)
            fetch_whole(digest, size, target, fetch)
        except ItemError as error:
            bad[digest] = error
            return 0
        return size

    def _download(self, digest: str, size: int, target: Path) -> bool:
        name = parcels.object_name(digest)
        found = self._place.size(name)
        if found is not None and found != size:
            raise ItemError("damaged_input", f"{digest[:12]} has another size in the store")
        return self._place.download(name, target, limit=size) is not None

    def _adopt(self, part: Manifest) -> int:
        """Puts a finished part where a join looks for it. What cannot be had is missed there."""
        folder = self._inputs / f".{uuid.uuid4().hex}"
        folder.mkdir()
        names = [m.name for m in part.output.members] or [""]
        fetched = 0
        try:
            for (digest, size), name in zip(files_of(part.output), names, strict=True):
                target = folder / "part" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                fetch_whole(digest, size, target, partial(self._download, digest, size))
                fetched += size
            self._store.commit(
                part.key,
                folder / "part",
                recipe=part.recipe,
                media_type=part.output.media_type,
                units=part.units,
                seconds=part.seconds,
                device=part.device,
                facts=part.facts,
                notes=part.notes,
            )
        except ItemError:
            return fetched
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return fetched

    def _tell(self, moved: Moved, bad: dict[str, ItemError]) -> None:
        order, journal = self._order, Journal(self._run.journal, self._order.id)
        try:
            journal.write("fetched", order.stage, assignment=order.id, **moved.model_dump())
            for job in order.jobs:
                if errors := [bad[d] for d in sorted(parcels.needed_by(job) & bad.keys())]:
                    self._lose(journal, job, errors[0])
        finally:
            journal.close()

    def _lose(self, journal: Journal, job: Job, error: ItemError) -> None:
        journal.write(
            "lost",
            self._order.stage,
            job.material.name,
            assignment=self._order.id,
            key=job.key,
            code=error.code,
            message=f"{job.material.name} could not be fetched: {error.message}",
            hint="",
            in_hand=True,
            seconds=0.0,
        )
