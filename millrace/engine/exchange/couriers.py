"""What carries an assignment's results and records to the exchange while it is executed.

A batch's bytes go first, then its record, then the segment of the journal that tells of it: a
worker that is killed at any point has left nothing that looks finished and is not. While the store
is out of reach work goes on, and what has to be told waits.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from millrace.engine.errors import StoreError
from millrace.engine.exchange import parcels
from millrace.engine.exchange.parcels import Delivery, Moved
from millrace.engine.exchange.places import PATIENCE, Place
from millrace.engine.exchange.quarters import held, leave
from millrace.engine.journal import Record
from millrace.engine.runs import Run
from millrace.engine.settings import Settings
from millrace.engine.store import Step, Store, files_of

_SHIP_SECONDS = 1.0
_TURN_SECONDS = 0.05
_LISTEN_SECONDS = 4.0
_PATIENCE_UNDER_WAY = 10.0
_UPLOADS = 2
_SEGMENT = 4 << 20  # bytes
_LOG_TAIL = 1 << 20  # bytes


class Courier:
    """Ships one assignment's results, as a context around its execution.

    On leaving it everything has been shipped, and everything of the assignment is removed from this
    host; raises StoreError when that could not be done within `patience` seconds. Does nothing on a
    host that shares the conductor's store. `on_step` is the seam for fault injection.
    """

    def __init__(
        self,
        run: Run,
        assignment: str,
        settings: Settings,
        *,
        patience: float = PATIENCE,
        on_step: Step = lambda name: None,
    ) -> None:
        self._run, self._name, self._settings = run, assignment, settings
        self._patience, self._over = patience, threading.Event()
        self._holding = ExitStack()
        self._round: _Round | None = None
        self._on_step = on_step
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)

    def __enter__(self) -> Self:
        if self._settings.exchange:
            self._holding.enter_context(held(self._run, self._name))
            place = Place.open(self._settings.exchange, patience=_PATIENCE_UNDER_WAY)
            self._round = _Round(self._run, self._name, place, self._settings, self._on_step)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._round is None:
            return
        self._over.set()
        self._thread.join()
        try:
            with self._holding:
                try:
                    self._round.finish(self._patience)
                finally:
                    self._round.close()
                    leave(self._run, self._name, self._settings)
        except StoreError:
            if error is None:
                raise

    def _work(self) -> None:
        assert self._round is not None  # noqa: S101
        listened = 0.0
        while not self._over.wait(_SHIP_SECONDS):
            with suppress(StoreError):
                if time.monotonic() - listened >= _LISTEN_SECONDS:
                    listened = time.monotonic()
                    self._round.listen()
                self._round.ship()


class _Round:
    """The state of a courier. Only one thread at a time calls it."""

    def __init__(
        self, run: Run, name: str, place: Place, settings: Settings, on_step: Step
    ) -> None:
        self._run, self._name, self._place = run, name, place
        self._store, self._step = Store(settings.store), on_step
        self._path = run.journal / f"{name}.jsonl"
        self._offset = 0
        self._ready: list[bytes] = []
        self._waiting: list[tuple[Record, bytes, Future[Moved]]] = []
        self._segment: bytes | None = None  # under way: never changed once it has been tried
        self._number = 0
        self._moved = Moved()
        self._away = 0.0  # since when the store has been out of reach
        self._uploads = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="ship")

    def listen(self) -> None:
        """Looks whether the work is still wanted, and leaves the word where execution looks."""
        words = self._place.list(parcels.stop_name(self._run.id))
        if parcels.stop_name(self._run.id) in words:
            (self._run.folder / "stop").touch()
        if parcels.stop_name(self._run.id, self._name) in words:
            self._run.revoke(self._name)

    def ship(self) -> None:
        """Ships what is new. Raises StoreError; then it is kept for the next time."""
        try:
            self._ship()
        except StoreError:
            self._away = self._away or time.monotonic()
            raise

    def _ship(self) -> None:
        for line in self._new_lines():
            record = _parse(line)
            if record and record.event == "done":
                self._waiting.append((record, line, self._uploads.submit(self._upload, record)))
            elif record:
                self._ready.append(line)
        self._settle()
        while self._segment or self._ready:
            if self._segment is None:
                self._segment = self._cut()
            self._send(self._segment)

    def finish(self, patience: float) -> None:
        """Ships everything there is, and how much that was. Raises StoreError."""
        with suppress(StoreError, OSError):
            self._ship_log()
        while True:
            with suppress(StoreError):
                self.ship()
                if not self._waiting:
                    break
            if self._away and time.monotonic() - self._away > patience:
                raise StoreError(
                    f"the store {self._place.url} was out of reach for {patience:.0f} s",
                    hint="the batches will be done again elsewhere",
                )
            time.sleep(_TURN_SECONDS)
        record = Record(
            "shipped",
            round(time.time(), 3),
            data={"assignment": self._name} | self._moved.model_dump(),
        )
        self._ready.append(record.line().encode())
        self._place = self._place.patient(patience)
        self.ship()

    def close(self) -> None:
        """Ends the threads."""
        self._uploads.shutdown(wait=True, cancel_futures=True)

    def _settle(self) -> None:
        """Moves on what was told of results that are there now; what failed is tried again."""
        open_ = []
        for record, line, future in self._waiting:
            if not future.done():
                open_.append((record, line, future))
                continue
            error = future.exception()
            if error is None:
                self._moved += future.result()
                self._away = 0.0
                self._ready.append(line)
            elif isinstance(error, StoreError):
                self._away = self._away or time.monotonic()
                open_.append((record, line, self._uploads.submit(self._upload, record)))
            else:
                self._ready.append(_unshipped(record, error))
        self._waiting = open_

    def _upload(self, record: Record) -> Moved:
        """Puts a result's bytes, then its record, into the exchange."""
        began = time.monotonic()
        key = str(record.data["key"])
        manifest = self._store.find(key)
        if manifest is None:
            raise FileNotFoundError("it is gone from the worker's store")
        sent = 0
        for digest, size in dict(files_of(manifest.output)).items():
            name = parcels.result_object_name(self._run.id, self._name, digest)
            if self._place.size(name) != size:
                self._place.upload(name, self._store.locate(digest))
                sent += size
        self._step("objects-shipped")
        data = Delivery.of(manifest).model_dump_json().encode()
        self._place.put(parcels.result_name(self._run.id, self._name, key), data)
        self._step("result-shipped")
        return Moved(bytes=sent + len(data), seconds=round(time.monotonic() - began, 3))

    def _new_lines(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        end = data.rfind(b"\n") + 1
        self._offset += end
        yield from data[:end].splitlines(keepends=True)

    def _cut(self) -> bytes:
        if not self._number:
            self._number = parcels.last_segment(self._place, self._run.id, self._name)
        lines: list[bytes] = []
        size = 0
        while self._ready and (not lines or size + len(self._ready[0]) <= _SEGMENT):
            lines.append(self._ready.pop(0))
            size += len(lines[-1])
        return b"".join(lines)

    def _send(self, segment: bytes) -> None:
        number = self._number + 1
        self._place.put(parcels.segment_name(self._run.id, self._name, number), segment)
        self._number, self._segment, self._away = number, None, 0.0
        self._step("segment-shipped")

    def _ship_log(self) -> None:
        log = self._run.log(self._name)
        if log.exists():
            tail = _tail(log)
            self._place.put(parcels.log_name(self._run.id, self._name), tail)


def _parse(line: bytes) -> Record | None:
    try:
        return Record.parse(line.decode())
    except (ValueError, KeyError, AttributeError):
        return None


def _tail(log: Path) -> bytes:
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LOG_TAIL))
        return file.read(_LOG_TAIL)


def _unshipped(record: Record, error: BaseException) -> bytes:
    """Returns the line that tells instead that a result did not leave this host."""
    data = {
        "assignment": record.data.get("assignment"),
        "key": record.data["key"],
        "code": "unshipped",
        "message": f"the result could not be read where it was made: {error}",
        "in_hand": True,
        "seconds": record.data.get("seconds", 0.0),
    }
    head = {"at": record.at, "event": "lost", "stage": record.stage, "item": record.item}
    return (json.dumps(head | data) + "\n").encode()
