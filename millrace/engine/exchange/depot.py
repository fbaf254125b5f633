"""The conductor's side of an exchange: sends parcels, brings home what comes of them.

The home store stays the only truth. What a worker has sent counts once it lies there, checked and
under the conductor's own recipe; only then does the run's journal tell of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from millrace.engine.assignments import Assignment
from millrace.engine.errors import ItemError, NotPermitted, StoreError
from millrace.engine.exchange import parcels
from millrace.engine.exchange.arrivals import Arrivals
from millrace.engine.exchange.parcels import PARCEL_LIMIT, Moved, Parcel
from millrace.engine.exchange.places import Place
from millrace.engine.files import digest_file
from millrace.engine.labels import Label, permits
from millrace.engine.runs import Run
from millrace.engine.store import Manifest, Store, files_of

_THREADS = 8
_BEAT_SECONDS = 10.0
_COLLECT_PATIENCE = 5.0  # it is asked again a moment later: nobody has to wait for one store


class Depot:
    """Work and results of the pools that exchange them through `place`.

    `clearance` is the store's, `pools` are those of the pools by name. Safe to use from several
    threads, but one at a time collects. Every method raises StoreError while the place is away.
    """

    def __init__(
        self,
        place: Place,
        store: Store,
        clearance: Label,
        pools: Mapping[str, Label] | None = None,
    ) -> None:
        self._place, self._store = place, store
        self._clearance, self._pools = clearance, dict(pools or {})
        self._arrivals: dict[tuple[str, str], Arrivals] = {}
        self._lock = threading.Lock()

    def send(self, run: Run, assignment: Assignment) -> Moved:
        """Puts an assignment and its inputs where the pool's workers find it.

        A job whose file has changed since it was read has failed, and the rest goes. Raises
        NotPermitted, before anything is written, for data above the store's or pool's clearance;
        ItemError `part_missing` when a part of a join is gone from the home store.
        """
        parcels.check_ids(run.id, assignment.id)
        self._permit(assignment)
        began = time.monotonic()
        parts = self._parts(assignment)
        files = parcels.inputs_of(assignment)
        changed = {job.key for job in assignment.jobs if job.material.changed()}
        sizes, moved, spoilt = self._upload(files)
        order = assignment.model_copy(
            update={
                "jobs": tuple(
                    job
                    for job in assignment.jobs
                    if job.key not in changed and not parcels.needed_by(job) & spoilt
                )
            }
        )
        if len(order.jobs) < len(assignment.jobs):
            self._fail(run, assignment, {job.key for job in order.jobs})
        results = {d: self._store.locate(d) for m in parts for d, _ in files_of(m.output)}
        part_sizes, part_moved, lost = self._upload(results)
        if lost:
            raise ItemError("part_missing", "a finished part is damaged in the store")
        parcel = Parcel(
            run=run.id, assignment=parcels.pack(order), sizes=sizes | part_sizes, parts=parts
        )
        data = parcel.model_dump_json().encode()
        if len(data) > PARCEL_LIMIT:
            raise StoreError(f"assignment {assignment.id} is too long to be sent")
        self._place.put(parcels.parcel_name(run.id, assignment.id), data)
        seconds = round(time.monotonic() - began, 3)
        return Moved(bytes=moved + part_moved + len(data), seconds=seconds)

    def collect(self, run: Run, assignments: Iterable[str]) -> Moved:
        """Brings home what these assignments have made and said since the last call.

        While a long result is on its way, signs of life go on being noted. Damaged or hostile
        results become `lost` records, never exceptions.
        """
        wanted = {name: self._arrival(run, name) for name in dict.fromkeys(assignments)}
        self._keep(run, wanted)
        new = self._listen(run, wanted)
        moved, error = Moved(), None
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="collect") as pool:
            open_ = {pool.submit(wanted[name].take_in, upto): name for name, upto in new.items()}
            while open_:
                over, _ = wait(open_, timeout=_BEAT_SECONDS)
                for future in over:
                    open_.pop(future)
                    try:
                        moved += future.result()
                    except StoreError as one:
                        error = one
                self._beat(run, {name: wanted[name] for name in open_.values()})
        if error:
            raise error
        return moved

    def stop(self, run: Run) -> None:
        """Asks whoever works for a run to stop."""
        self._place.put(parcels.stop_name(run.id), b"")

    def revoke(self, run: Run, assignment: str) -> None:
        """Asks whoever carries out an assignment to let go of it."""
        parcels.check_ids(run.id, assignment)
        self._place.put(parcels.stop_name(run.id, assignment), b"")

    def clean(self, run: Run) -> None:
        """Removes everything of a run that is over, and the inputs that no other run's need.

        Inputs go first and parcels last, so that a kill in between leaves what tells of the rest.
        """
        mine: set[str] = set()
        others: set[str] = set()
        for name in self._place.list("parcels/"):
            (mine if name.startswith(f"parcels/{run.id}/") else others).update(self._needs(name))
        gone = [parcels.object_name(digest) for digest in mine - others]
        for prefix in ("journal", "results", "parcels"):
            gone += self._place.list(f"{prefix}/{run.id}/")
        gone += [n for n in self._place.list(f"stops/{run.id}") if n[6:].split(".")[0] == run.id]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="clean") as pool:
            list(pool.map(self._place.delete, gone))
        self._keep(run, ())

    def _permit(self, assignment: Assignment) -> None:
        for what, clearance in (
            (f"the store {self._place.url}", self._clearance),
            (f"the pool {assignment.pool}", self._pools.get(assignment.pool, self._clearance)),
        ):
            if not permits(clearance, assignment.label):
                raise NotPermitted(
                    f"clearance: the data is {assignment.label} and {what} may hold {clearance} "
                    "at most",
                    hint="only pools and stores that are cleared for it may do this stage",
                )

    def _parts(self, assignment: Assignment) -> tuple[Manifest, ...]:
        found = []
        for key in dict.fromkeys(key for job in assignment.jobs for key in job.parts):
            manifest = self._store.find(key)
            if manifest is None:
                raise ItemError("part_missing", "a finished part is gone from the store")
            found.append(manifest)
        return tuple(found)

    def _upload(self, files: Mapping[str, Path]) -> tuple[dict[str, int], int, set[str]]:
        """Puts files under their digests; returns their sizes, the bytes sent, and which were not
        what they should be."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="send") as pool:
            sent = list(pool.map(lambda pair: self._upload_one(*pair), files.items()))
        done = dict(zip(files, sent, strict=True))
        sizes = {digest: one[0] for digest, one in done.items() if one}
        spoilt = {digest for digest, one in done.items() if one is None}
        return sizes, sum(one[1] for one in sent if one), spoilt

    def _upload_one(self, digest: str, path: Path) -> tuple[int, int] | None:
        name = parcels.object_name(digest)
        try:
            size = path.stat().st_size
            if self._place.size(name) == size:
                return size, 0
            if digest_file(path) != (digest, size):
                return None
            self._place.upload(name, path)
            if digest_file(path) != (digest, size):  # it changed under our hands
                self._place.delete(name)
                return None
        except OSError:
            return None
        return size, size

    def _fail(self, run: Run, assignment: Assignment, kept: set[str]) -> None:
        arrival = self._arrival(run, assignment.id)
        for job in assignment.jobs:
            if job.key not in kept:
                what = f"{job.material.name} changed while it was being worked on"
                arrival.refuse(job.key, "changed", what)

    def _arrival(self, run: Run, name: str) -> Arrivals:
        with self._lock:
            known = self._arrivals.get((run.id, name))
            if known is None:
                parcels.check_ids(run.id, name)
                place = self._place.patient(min(_COLLECT_PATIENCE, self._place.patience))
                try:
                    known = Arrivals(run, name, place, self._store)
                except (OSError, ValidationError) as error:
                    raise StoreError(f"assignment {name} of run {run.id} cannot be read") from error
                self._arrivals[run.id, name] = known
            return known

    def _keep(self, run: Run, wanted: Collection[str]) -> None:
        """Forgets the assignments of a run that nobody asks for any more."""
        with self._lock:
            for key in list(self._arrivals):
                if key[0] == run.id and key[1] not in wanted:
                    self._arrivals.pop(key)

    def _listen(self, run: Run, wanted: Mapping[str, Arrivals]) -> dict[str, int]:
        """Returns the highest segment of each assignment from which something new has come."""
        place = self._place.patient(min(_COLLECT_PATIENCE, self._place.patience))
        highest: dict[str, int] = {}
        for name in place.list(f"journal/{run.id}/"):
            number = parcels.segment_number(name)
            if number is not None:
                one = name.split("/")[2]
                highest[one] = max(number, highest.get(one, 0))
        return {n: highest[n] for n, a in wanted.items() if highest.get(n, 0) > a.segment}

    def _beat(self, run: Run, busy: Mapping[str, Arrivals]) -> None:
        with suppress(StoreError):
            for name, number in self._listen(run, busy).items() if busy else ():
                if number > busy[name].heard:
                    busy[name].heard = number
                    busy[name].alive()

    def _needs(self, parcel: str) -> Iterator[str]:
        try:
            data = self._place.get(parcel, limit=PARCEL_LIMIT)
            yield from Parcel.model_validate_json(data or b"").sizes
        except ValidationError:
            return
