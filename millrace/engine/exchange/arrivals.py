"""What comes back from one assignment: its results into the home store, its records after them.

The assignment's local journal file is the only state. A line `collected` ends what each segment
told; another conductor goes on behind the last of them, and tells nothing twice.
"""

from __future__ import annotations

import errno
import shutil
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from millrace.engine import space
from millrace.engine.assignments import Assignment, Job
from millrace.engine.exchange import customs, parcels
from millrace.engine.exchange.customs import Refused
from millrace.engine.exchange.hearsay import ANSWERS, Hearsay
from millrace.engine.exchange.parcels import Delivery, Moved
from millrace.engine.exchange.places import Place
from millrace.engine.files import digest_file
from millrace.engine.journal import Record
from millrace.engine.runs import Run
from millrace.engine.store import Manifest, Store

_SKEW_SECONDS = 30.0  # clocks that differ by more are corrected
_INPUT_TROUBLE = {"damaged_input", "missing_input"}


class Arrivals:
    """Takes in the segments of one assignment's journal, in order, each once."""

    def __init__(self, run: Run, name: str, place: Place, store: Store) -> None:
        self._run, self._name, self._place, self._store = run, name, place, store
        self._order = Assignment.read(run.assignments, name)
        self._jobs = {job.key: job for job in self._order.jobs}
        self._hearsay = Hearsay(run, name)
        self._over = False
        self.heard = self._hearsay.segment  # the highest segment that was seen

    @property
    def segment(self) -> int:
        """The last segment that was taken in."""
        return self._hearsay.segment

    def alive(self) -> None:
        """Notes a sign of life: more has come than could be taken in yet."""
        self._hearsay.append(
            Record("alive", time.time(), self._order.stage, data={"assignment": self._name})
        )

    def refuse(self, key: str, code: str, message: str) -> None:
        """Notes that a batch failed before it was sent."""
        job = self._jobs[key]
        words = {"code": code, "message": message, "hint": "", "fault": "stage", "known": False}
        self._answer(self._record("failed", job, words | {"seconds": 0.0}))
        self._hearsay.mark(self.segment)

    def take_in(self, upto: int) -> Moved:
        """Takes in all segments up to this number. Raises StoreError.

        The last one stays until the worker has said that it was the last: another courier of the
        same assignment counts on from there.
        """
        moved = Moved()
        while self.segment < upto:
            number = self.segment + 1
            name = parcels.segment_name(self._run.id, self._name, number)
            size = self._place.size(name)
            if size is None:
                break  # later ones came first
            data = b""
            if size <= customs.SEGMENT_LIMIT:
                data = self._place.get(name, limit=customs.SEGMENT_LIMIT) or b""
            moved += Moved(bytes=len(data)) + self._tell(customs.records(data, self._order))
            self._hearsay.mark(number)
            if number > 1:
                self._place.delete(parcels.segment_name(self._run.id, self._name, number - 1))
            if self._over:
                self._place.delete(name)
        return moved

    def _tell(self, records: list[Record]) -> Moved:
        moved = Moved()
        shift = _shift(records)
        told, answered = self._hearsay.unmarked, set(self._hearsay.answered)
        for record in records:
            if record.event == "alive":
                self.alive()
                continue
            key = str(record.data.get("key", ""))
            if record.event in ANSWERS:
                if key in answered:
                    continue
                answered.add(key)
            if told:  # by a conductor that was killed on the way
                told -= 1
                continue
            at = min(time.time(), max(self._hearsay.latest, record.at + shift))
            record = replace(record, at=round(at, 3))
            if record.event == "done":
                moved += self._done(record, self._jobs[key])
                continue
            if record.event == "failed" and record.data["fault"] == "input":
                self._remember(self._jobs[key], record.data)
            if record.event == "lost" and record.data["code"] in _INPUT_TROUBLE:
                self._renew(self._jobs[key])
            if record.event == "shipped":
                self._over = True
                self._fetch_log()
            self._answer(record)
        return moved

    def _done(self, record: Record, job: Job) -> Moved:
        began = time.monotonic()
        fetched = 0
        try:
            said = self._said(job)
            longest = max(0.0, time.time() - self._hearsay.sent)
            said = said.model_copy(update={"seconds": min(said.seconds, longest)})
            manifest = self._store.find(job.key)
            if manifest is None or manifest.output != said.output:
                fetched, manifest = self._bring(job, said)
        except Refused as refused:
            self._answer(self._lost(record, job, "damaged_result", str(refused)))
            return Moved()
        except (ValueError, TypeError, RecursionError):
            self._answer(self._lost(record, job, "damaged_result", "it cannot be read"))
            return Moved()
        except OSError as error:
            self._answer(self._lost(record, job, "store", error.strerror or "unreadable"))
            return Moved()
        data = {
            "units": said.units,
            "seconds": round(said.seconds, 3),
            "bytes": manifest.output.size,
            "device": said.device,
            "notes": list(said.notes),
        }
        self._answer(replace(record, data=record.data | data))
        self._forget(job, said)
        return Moved(bytes=fetched, seconds=round(time.monotonic() - began, 3))

    def _said(self, job: Job) -> Delivery:
        name = parcels.result_name(self._run.id, self._name, job.key)
        size = self._place.size(name)
        if size is None:
            raise Refused("its record is not there")
        if size > customs.DELIVERY_LIMIT:
            raise Refused("its record is too long")
        data = self._place.get(name, limit=customs.DELIVERY_LIMIT)
        return customs.delivery(data or b"", job)

    def _bring(self, job: Job, said: Delivery) -> tuple[int, Manifest]:
        """Fetches a result's bytes and commits them as the conductor knows the batch."""
        if said.output.size + space.RESERVE_BYTES > space.free(self._store.root):
            raise OSError(errno.ENOSPC, "there is no room for it on the conductor's disk")
        target = self._store.root / "tmp" / f"in-{uuid.uuid4().hex}"
        try:
            fetched = 0
            if said.output.members or said.output.media_type == "inode/directory":
                target.mkdir()
                for member in said.output.members:
                    path = target / member.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    fetched += self._fetch(member.digest, member.size, path)
            else:
                fetched = self._fetch(said.output.digest, said.output.size, target)
            manifest = self._store.commit(
                job.key,
                target,
                recipe=job.recipe,
                media_type=said.output.media_type,
                units=said.units,
                seconds=said.seconds,
                device=said.device,
                facts=said.facts,
                notes=said.notes,
            )
        finally:
            if target.is_dir():
                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink(missing_ok=True)
        return fetched, manifest

    def _fetch(self, digest: str, size: int, target: Path) -> int:
        known = self._store.locate(digest)
        if known.exists() and digest_file(known) == (digest, size):
            shutil.copyfile(known, target)
            return 0
        name = parcels.result_object_name(self._run.id, self._name, digest)
        if self._place.size(name) != size:
            raise Refused("its bytes are not there")
        if self._place.download(name, target, limit=size) != size:
            raise Refused("its bytes are not there")
        if digest_file(target) != (digest, size):
            raise Refused("its bytes are not those it speaks of")
        return size

    def _forget(self, job: Job, said: Delivery) -> None:
        """Removes from the exchange what has come home."""
        digests = {m.digest for m in said.output.members} or {said.output.digest}
        for digest in digests:
            self._place.delete(parcels.result_object_name(self._run.id, self._name, digest))
        self._place.delete(parcels.result_name(self._run.id, self._name, job.key))

    def _renew(self, job: Job) -> None:
        """Has a job's inputs sent again with the next parcel that needs them."""
        for digest in parcels.needed_by(job):
            self._place.delete(parcels.object_name(digest))

    def _fetch_log(self) -> None:
        name, log = parcels.log_name(self._run.id, self._name), self._run.log(self._name)
        if not log.exists() and 0 < (self._place.size(name) or 0) <= customs.LOG_LIMIT:
            log.parent.mkdir(parents=True, exist_ok=True)
            self._place.download(name, log, limit=customs.LOG_LIMIT)

    def _remember(self, job: Job, data: dict[str, Any]) -> None:
        name = job.material.name
        words = {k: str(data[k]).replace(name, "{name}") for k in ("code", "message", "hint")}
        self._store.remember_failure(job.key, words)

    def _lost(self, record: Record, job: Job, code: str, why: str) -> Record:
        message = f"what the worker sent of {job.material.name} was not accepted: {why}"
        words = {"code": code, "message": message, "hint": "", "in_hand": True, "seconds": 0.0}
        return replace(self._record("lost", job, words), at=record.at)

    def _record(self, event: str, job: Job, data: dict[str, Any]) -> Record:
        head = {"assignment": self._name, "key": job.key}
        return Record(event, time.time(), self._order.stage, job.material.name, head | data)

    def _answer(self, record: Record) -> None:
        self._hearsay.append(record)


def _shift(records: list[Record]) -> float:
    """Returns what to add to a worker's times: nothing while its clock is about right."""
    newest = max((record.at for record in records), default=0.0)
    ahead = time.time() - newest
    return ahead if abs(ahead) > _SKEW_SECONDS else 0.0
