"""What an assignment tells of itself in the journal, and which of its jobs are still open."""

from __future__ import annotations

import platform
import time

from pydantic import BaseModel

from millrace.engine.assignments import Assignment, Job
from millrace.engine.errors import ItemError
from millrace.engine.journal import Journal
from millrace.engine.retries import UNREACHABLE
from millrace.engine.sessions.host import Progressed, Started
from millrace.engine.stages import Failure, Result
from millrace.engine.store import Manifest, Store

_PROGRESS_SECONDS = 0.25
_QUEUED_SECONDS = 10.0  # between two signs that it waits for its turn


class Counts(BaseModel):
    """What came of an assignment. Numbers only: this is what Prefect is told."""

    done: int = 0
    failed: int = 0
    lost: int = 0
    seconds: float = 0.0


class Teller:
    """Writes the records of one assignment and keeps count. `left` are its unanswered jobs."""

    def __init__(self, assignment: Assignment, journal: Journal, store: Store) -> None:
        self._order, self._journal, self._store = assignment, journal, store
        self._jobs = {job.key: job for job in assignment.jobs}
        self._marks: dict[str, float] = {}
        self._mark = time.monotonic()
        self._queued = 0.0
        self.left = dict(self._jobs)
        self.counts = Counts()
        self.device = assignment.device.name

    def job(self, key: str) -> Job:
        """Returns the job of a key."""
        return self._jobs[key]

    def lap(self) -> float:
        """Returns the seconds since the last answer, and begins to count anew."""
        now = time.monotonic()
        lap, self._mark = now - self._mark, now
        return lap

    def alive(self) -> None:
        """Gives a sign of life."""
        self._journal.write("alive", self._order.stage, assignment=self._order.id)

    def queued(self, seconds: float) -> None:
        """It waits for its turn on this host, for so many seconds by now."""
        if seconds - self._queued >= _QUEUED_SECONDS or not self._queued:
            self._queued = max(seconds, 1e-6)
            self._journal.write("queued", self._order.stage, assignment=self._order.id)

    def opened(self, event: Started) -> None:
        """The session is open."""
        self.device = event.device.name
        self._mark = time.monotonic()
        self._journal.write(
            "opened",
            self._order.stage,
            assignment=self._order.id,
            device=self.device,
            seconds=round(event.opening, 3),
            waited=round(event.waited, 3),
            host=platform.node(),
        )

    def progress(self, event: Progressed) -> None:
        """Some units of a batch are finished; not every such event is worth a record."""
        now = time.monotonic()
        if now - self._marks.get(event.key, 0.0) >= _PROGRESS_SECONDS:
            self._marks[event.key] = now
            self._write("progress", self._jobs[event.key], units=event.units)

    def done(self, job: Job, result: Result, manifest: Manifest, seconds: float) -> None:
        """A result is in the store."""
        self.left.pop(job.key, None)
        self.counts.done += 1
        self._write(
            "done",
            job,
            units=result.units,
            load=job.load,
            pace=job.pace,
            seconds=round(seconds, 3),
            bytes=manifest.output.size,
            device=self.device,
            notes=list(result.notes),
            why=job.why,
            join=bool(job.parts),
        )

    def failed(self, job: Job, failure: Failure) -> None:
        """A batch cannot be done. Its own input's fault is remembered in the store; what may be
        this host's fault is handed back from a pool, so that another can try. What failed for
        something that is away goes back too.
        """
        away = failure.code == UNREACHABLE
        if (away or self._order.pool != "here") and failure.fault != "input":
            error = ItemError(failure.code, failure.message, hint=failure.hint)
            self.lost_one(job, error, in_hand=True, seconds=self.lap(), fault="stage")
            self.left.pop(job.key, None)
            return
        seconds = self.lap()
        self.left.pop(job.key, None)
        self.counts.failed += 1
        words = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        if failure.fault == "input":
            name = job.material.name
            self._store.remember_failure(
                job.key, {k: v.replace(name, "{name}") for k, v in words.items()}
            )
        self._write(
            "failed", job, **words, known=False, fault=failure.fault, seconds=round(seconds, 3)
        )

    def lost(self, reason: ItemError, *, first_in_hand: bool) -> None:
        """Everything left goes back. With `first_in_hand`, the first of it may be the reason."""
        seconds = self.lap()
        self.counts.lost = len(self.left)
        for n, job in enumerate(self.left.values()):
            mine = first_in_hand and n == 0
            self.lost_one(job, reason, in_hand=mine, seconds=seconds if n == 0 else 0.0)

    def lost_one(
        self,
        job: Job,
        reason: ItemError,
        *,
        in_hand: bool,
        seconds: float = 0.0,
        fault: str = "",
    ) -> None:
        """One job goes back."""
        self._write(
            "lost",
            job,
            code=reason.code,
            message=reason.message,
            hint=reason.hint,
            in_hand=in_hand,
            seconds=round(seconds, 3),
            fault=fault,
        )

    def _write(self, event: str, job: Job, **data: object) -> None:
        self._journal.write(
            event,
            self._order.stage,
            job.material.name,
            assignment=self._order.id,
            key=job.key,
            **data,
        )
