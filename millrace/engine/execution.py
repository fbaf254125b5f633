"""Carrying out one assignment on this host: open a session, run its jobs, commit the results."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel

from millrace.engine.assignments import Assignment, Job
from millrace.engine.errors import ItemError, SessionLost, StoreError, ToolMissing, UsageError
from millrace.engine.journal import Journal
from millrace.engine.runs import Run
from millrace.engine.sessions.host import Limits, Progressed, SessionHost, Started
from millrace.engine.settings import Settings
from millrace.engine.stages import Batch, Failure, Result
from millrace.engine.store import Store

_PROGRESS_SECONDS = 0.25
_STOP_POLL_SECONDS = 0.2


class Counts(BaseModel):
    """What came of an assignment. Numbers only: this is what Prefect is told."""

    done: int = 0
    failed: int = 0
    lost: int = 0
    seconds: float = 0.0


def execute(
    run: Run, name: str, settings: Settings, *, on_step: Callable[[str], None] = lambda step: None
) -> Counts:
    """Carries out the assignment `name` of a run, writing to the journal what happens.

    Finished batches are in the store when this returns or raises. Raises StoreError when the store
    cannot be written; a lost session is in the journal as `lost`, not an exception.
    """
    assignment = Assignment.read(run.assignments, name)
    journal = Journal(run.journal, name)
    scratch = run.scratch / name
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        store = Store(settings.store, on_step=on_step)
        return _Execution(run, assignment, journal, store, settings, scratch).carry_out()
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
    ) -> None:
        self._run, self._order, self._journal = run, assignment, journal
        self._store, self._settings, self._scratch = store, settings, scratch
        self._jobs = {job.key: job for job in assignment.jobs}
        self._left = dict(self._jobs)
        self._device = assignment.device.name
        self._marks: dict[str, float] = {}
        self._counts = Counts()

    def carry_out(self) -> Counts:
        began = self._mark = time.monotonic()
        host = SessionHost(
            self._order.kind,
            dict(self._order.params),
            lease_folder=self._settings.leases,
            needs=self._order.needs,
            device=self._order.device,
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
        self._counts.seconds = round(time.monotonic() - began, 3)
        return self._counts

    def _watch(self, host: SessionHost, over: threading.Event) -> None:
        while not over.wait(_STOP_POLL_SECONDS):
            if self._run.stopping:
                host.cancel()
                return

    def _run_all(self, host: SessionHost) -> None:
        plain = [job for job in self._order.jobs if not job.parts and self._is_unchanged(job)]
        if plain:
            out = self._folder("out")
            batches = [self._batch(job, n) for n, job in enumerate(plain)]
            for event in host.run(batches, out):
                self._take(event)
        for n, job in enumerate(j for j in self._order.jobs if j.parts and self._is_unchanged(j)):
            if self._run.stopping:
                return
            out = self._folder(f"join-{n}")
            parts = list(self._parts(job))
            if len(parts) == len(job.parts):
                for event in host.join(self._batch(job, f"j{n}"), parts, out):
                    self._take(event)

    def _take(self, event: object) -> None:
        if isinstance(event, Started):
            self._device = event.device.name
            self._mark = time.monotonic()
            self._journal.write(
                "opened",
                self._order.stage,
                assignment=self._order.id,
                device=self._device,
                seconds=round(event.opening, 3),
                waited=round(event.waited, 3),
            )
        elif isinstance(event, Progressed):
            now = time.monotonic()
            if now - self._marks.get(event.key, 0.0) >= _PROGRESS_SECONDS:
                self._marks[event.key] = now
                job = self._jobs[event.key]
                self._write("progress", job, key=event.key, units=event.units)
        elif isinstance(event, Result):
            self._commit(self._jobs[event.key], event)
        elif isinstance(event, Failure):
            self._fail(self._jobs[event.key], event)

    def _commit(self, job: Job, result: Result) -> None:
        if not self._is_unchanged(job):
            return
        if self._order.needs.gpu == "require" and (passed := result.facts.get("fallback")):
            what = f"{job.material.name} was not done on a GPU, which the stage requires: {passed}"
            self._fail(job, Failure(key=job.key, code="gpu_required", message=what))
            return
        seconds = self._lap()
        try:
            manifest = self._store.commit(
                job.key,
                result.path,
                recipe=job.recipe,
                media_type=result.media_type,
                units=result.units,
                seconds=seconds,
                device=self._device,
                facts=result.facts,
                notes=result.notes,
            )
        except StoreError as error:
            failure = Failure(
                key=job.key, code="store", message=error.message, hint=error.hint, fault="stage"
            )
            self._fail(job, failure)
            raise
        self._left.pop(job.key, None)
        self._counts.done += 1
        self._write(
            "done",
            job,
            key=job.key,
            units=result.units,
            load=job.load,
            pace=job.pace,
            seconds=round(seconds, 3),
            bytes=manifest.output.size,
            device=self._device,
            notes=list(result.notes),
            why=job.why,
            join=bool(job.parts),
        )

    def _fail(self, job: Job, failure: Failure) -> None:
        self._lap()
        self._left.pop(job.key, None)
        self._counts.failed += 1
        if failure.fault == "input":
            name = job.material.name
            words = {"code": failure.code, "message": failure.message, "hint": failure.hint}
            self._store.remember_failure(
                job.key, {k: v.replace(name, "{name}") for k, v in words.items()}
            )
        self._write(
            "failed",
            job,
            key=job.key,
            code=failure.code,
            message=failure.message,
            hint=failure.hint,
            known=False,
        )

    def _refuse(self, error: ToolMissing | UsageError) -> None:
        """Fails what is left: the session cannot be opened here at all."""
        code = "tool_missing" if isinstance(error, ToolMissing) else "usage"
        for job in list(self._left.values()):
            self._fail(job, Failure(key=job.key, code=code, message=error.message, hint=error.hint))

    def _lose(self, lost: SessionLost) -> None:
        """Says which jobs went down with the session; the first of them was in its hands."""
        if self._run.stopping:
            return
        self._counts.lost = len(self._left)
        for n, job in enumerate(self._left.values()):
            self._write(
                "lost",
                job,
                key=job.key,
                code=lost.code,
                message=lost.message,
                hint=lost.hint,
                in_hand=n == 0,
            )

    def _is_unchanged(self, job: Job) -> bool:
        """True while the job's files are the ones that were measured; else the job has failed."""
        if job.key not in self._left:
            return False
        if not job.material.changed():
            return True
        error = ItemError(
            "changed",
            f"{job.material.name} changed while it was being worked on",
            hint="run again once nothing writes to it",
        )
        failure = Failure(key=job.key, code=error.code, message=error.message, hint=error.hint)
        self._fail(job, failure)
        return False

    def _batch(self, job: Job, number: int | str) -> Batch:
        staged = job.material.stage(self._scratch / "in" / str(number))
        return Batch(key=job.key, item=staged, outline=job.outline, span=job.span, whole=job.whole)

    def _parts(self, job: Job) -> Iterator[Result]:
        for key in job.parts:
            manifest = self._store.find(key)
            if manifest is None:
                self._write(
                    "lost",
                    job,
                    key=job.key,
                    code="part_missing",
                    message=f"a finished part of {job.material.name} is gone from the store",
                    hint="run again: the part is made anew",
                    in_hand=True,
                )
                self._left.pop(job.key, None)
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

    def _lap(self) -> float:
        now = time.monotonic()
        lap, self._mark = now - self._mark, now
        return lap

    def _write(self, event: str, job: Job, **data: object) -> None:
        self._journal.write(
            event, self._order.stage, job.material.name, assignment=self._order.id, **data
        )
