"""Carrying out one assignment on this host: open a session, run its jobs, commit the results."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.engine.assignments import Assignment, Job
from millrace.engine.errors import ItemError, SessionLost, StoreError, ToolMissing, UsageError
from millrace.engine.fitness import admit, unfit
from millrace.engine.hosts.devices import Device, choose, inventory
from millrace.engine.hosts.slots import slot
from millrace.engine.journal import Journal
from millrace.engine.runs import Run
from millrace.engine.sessions.host import Limits, Progressed, SessionHost, Started
from millrace.engine.settings import Settings
from millrace.engine.stages import Batch, Failure, Result
from millrace.engine.store import Store
from millrace.engine.telling import Counts, Teller

_STOP_POLL_SECONDS = 0.2
_BEAT_SECONDS = 10.0  # how often a sign of life goes into the journal


def execute(
    run: Run,
    name: str,
    settings: Settings,
    *,
    on_step: Callable[[str], None] = lambda step: None,
    halt: threading.Event | None = None,
) -> Counts:
    """Carries out the assignment `name` of a run, writing to the journal what happens.

    Finished batches are in the store when this returns or raises. Once `halt` is set, because the
    machine is being taken away, the batch in hand is abandoned. Raises NotPermitted, before a byte
    is read, for data above this host's clearance; StoreError when the store cannot be written. A
    lost session is in the journal as `lost`, not an exception.
    """
    assignment = Assignment.read(run.assignments, name)
    admit(assignment, settings)
    journal = Journal(run.journal, name)
    scratch = run.scratch / name
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        store = Store(settings.store, on_step=on_step)
        return _Execution(run, assignment, journal, store, settings, scratch, halt).carry_out()
    finally:
        journal.close()
        shutil.rmtree(scratch, ignore_errors=True)


class _Execution:
    def __init__(
        self,
        run: Run,
        assignment: Assignment,
        journal: Journal,
        store: Store,
        settings: Settings,
        scratch: Path,
        halt: threading.Event | None,
    ) -> None:
        self._run, self._order, self._store = run, assignment, store
        self._settings, self._scratch = settings, scratch
        self._halt = halt or threading.Event()
        self._teller = Teller(assignment, journal, store)

    def carry_out(self) -> Counts:
        began = time.monotonic()
        device = self._device()
        if refusal := unfit(self._order, device):
            self._teller.lost(refusal, first_in_hand=False)
            return self._teller.counts
        with self._slot() as mine:
            if mine:
                self._work(device)
            elif self._halt.is_set():
                self._teller.lost(_taken_away(), first_in_hand=False)
        self._teller.counts.seconds = round(time.monotonic() - began, 3)
        return self._teller.counts

    @contextmanager
    def _slot(self) -> Iterator[bool]:
        """Holds a slot of this host; what was sent ahead of its turn waits for one."""
        if self._order.pool == "here" or not self._settings.slots:
            yield True
            return
        with slot(
            self._settings.slots_folder,
            self._settings.slots,
            waiting=self._teller.queued,
            given_up=lambda: self._ending,
        ) as mine:
            yield mine

    def _work(self, device: Device) -> None:
        host = SessionHost(
            self._order.kind,
            dict(self._order.params),
            lease_folder=self._settings.leases,
            needs=self._order.needs,
            device=device,
            log=self._run.log(self._order.id),
            scratch=self._scratch / "tmp",
            limits=Limits(
                wall_seconds=None,
                quiet_seconds=self._order.patience,
                memory=self._order.needs.memory,
            ),
        )
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(host, over), daemon=True)
        watcher.start()
        try:
            with host:
                self._run_all(host)
        except SessionLost as lost:
            self._lose(lost)
        except (ToolMissing, UsageError) as error:
            self._refuse(error)
        finally:
            over.set()
            watcher.join()

    def _device(self) -> Device:
        """Returns the device to use: in a pool, this host's own, whatever the order was cut for."""
        if self._order.pool == "here":
            return self._order.device
        return choose(self._order.needs, inventory()).model_copy(update={"pooled": True})

    @property
    def _ending(self) -> bool:
        """True once this assignment is not to go on."""
        return self._run.stopping or self._halt.is_set() or self._run.revoked(self._order.id)

    def _watch(self, host: SessionHost, over: threading.Event) -> None:
        beaten = time.monotonic()
        while not over.wait(_STOP_POLL_SECONDS):
            if self._ending:
                host.cancel()
                return
            if time.monotonic() - beaten >= _BEAT_SECONDS:
                beaten = time.monotonic()
                self._teller.alive()

    def _run_all(self, host: SessionHost) -> None:
        plain = [job for job in self._order.jobs if not job.parts and self._is_unchanged(job)]
        if plain:
            out = self._folder("out")
            batches = [self._batch(job, n) for n, job in enumerate(plain)]
            for event in host.run(batches, out):
                self._take(event)
        for n, job in enumerate(j for j in self._order.jobs if j.parts and self._is_unchanged(j)):
            if self._ending:
                return
            out = self._folder(f"join-{n}")
            parts = list(self._parts(job))
            if len(parts) == len(job.parts):
                for event in host.join(self._batch(job, f"j{n}"), parts, out):
                    self._take(event)

    def _take(self, event: object) -> None:
        if isinstance(event, Started):
            self._teller.opened(event)
        elif isinstance(event, Progressed):
            self._teller.progress(event)
        elif isinstance(event, Result):
            self._commit(self._teller.job(event.key), event)
        elif isinstance(event, Failure):
            self._teller.failed(self._teller.job(event.key), event)

    def _commit(self, job: Job, result: Result) -> None:
        if not self._is_unchanged(job):
            return
        if self._order.needs.gpu == "require" and (passed := result.facts.get("fallback")):
            what = f"{job.material.name} was not done on a GPU, which the stage requires: {passed}"
            self._fail(job, ItemError("gpu_required", what))
            return
        seconds = self._teller.lap()
        try:
            manifest = self._store.commit(
                job.key,
                result.path,
                recipe=job.recipe,
                media_type=result.media_type,
                units=result.units,
                seconds=seconds,
                device=self._teller.device,
                facts=result.facts,
                notes=result.notes,
            )
        except StoreError as error:
            self._fail(job, ItemError("store", error.message, hint=error.hint))
            raise
        self._teller.done(job, result, manifest, seconds)

    def _fail(self, job: Job, error: ItemError) -> None:
        failure = Failure(key=job.key, code=error.code, message=error.message, hint=error.hint)
        self._teller.failed(job, failure)

    def _refuse(self, error: ToolMissing | UsageError) -> None:
        """Fails what is left: the session cannot be opened here at all."""
        code = "tool_missing" if isinstance(error, ToolMissing) else "usage"
        for job in list(self._teller.left.values()):
            self._fail(job, ItemError(code, error.message, hint=error.hint))

    def _lose(self, lost: SessionLost) -> None:
        """Says which jobs went down with the session; the first of them was in its hands."""
        if self._halt.is_set():
            self._teller.lost(_taken_away(), first_in_hand=False)
        elif not self._ending:
            self._teller.lost(lost, first_in_hand=True)

    def _is_unchanged(self, job: Job) -> bool:
        """True while the job's files are the ones that were measured; else the job has failed."""
        if job.key not in self._teller.left:
            return False
        if not job.material.changed():
            return True
        what = f"{job.material.name} changed while it was being worked on"
        self._fail(job, ItemError("changed", what, hint="run again once nothing writes to it"))
        return False

    def _batch(self, job: Job, number: int | str) -> Batch:
        staged = job.material.stage(self._scratch / "in" / str(number))
        return Batch(key=job.key, item=staged, outline=job.outline, span=job.span, whole=job.whole)

    def _parts(self, job: Job) -> Iterator[Result]:
        for key in job.parts:
            manifest = self._store.find(key)
            if manifest is None:
                gone = ItemError(
                    "part_missing",
                    f"a finished part of {job.material.name} is gone from the store",
                    hint="run again: the part is made anew",
                )
                self._teller.lost_one(job, gone, in_hand=True)
                self._teller.left.pop(job.key, None)
                return
            yield Result(
                key=key,
                path=self._store.locate(manifest.output.digest),
                media_type=manifest.output.media_type,
                units=manifest.units,
                facts=manifest.facts,
                notes=manifest.notes,
            )

    def _folder(self, name: str) -> Path:
        folder = self._scratch / name
        folder.mkdir()
        return folder


def _taken_away() -> SessionLost:
    return SessionLost("preempted", "its machine was taken away")
