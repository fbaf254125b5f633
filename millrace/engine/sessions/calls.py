"""What the child of a session host does with each command: measure, run, join.

Everything a kind gets wrong becomes an event that names it. Nothing a kind does for one batch keeps
the others from being tried.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from millrace.engine import stages
from millrace.engine.errors import ItemError, MillraceError, UsageError
from millrace.engine.hosts.devices import Device, inventory
from millrace.engine.hosts.leases import LeaseBook
from millrace.engine.sessions import wire
from millrace.engine.sessions.blame import disk_full, failure_of, whose, word_of
from millrace.engine.sessions.claims import BrokenKind, Claims, require_plain
from millrace.engine.sessions.environment import confined
from millrace.engine.sessions.wire import Command
from millrace.engine.stages import Batch, Failure, Result, Stage

_BETWEEN_PROGRESS_S = 0.1


class Cancelled(BaseException):
    """The host asked to stop. No `except Exception` of a kind swallows it."""


class Calls:
    """Answers commands, writing events to the pipe numbered `events`."""

    def __init__(self, events: int) -> None:
        self.cancelled = threading.Event()
        self._events = events
        self._writing = threading.Lock()
        self._told = 0.0
        self._setup: wire.Setup | None = None
        self._stage: Stage | None = None
        self._device: Device | None = None
        self._lease = ExitStack()
        self._opened = ExitStack()
        self._session: Any = None
        self._is_open = False
        self._told_start = False
        self._waited = 0.0

    def answer(self, command: Command) -> bool:
        """Does what the command says; False when there is nothing more to do."""
        match command:
            case wire.Setup():
                self._setup = command
            case wire.Measure():
                self._answer(lambda: self._measure(command))
            case wire.Run():
                self._answer(lambda: self._run(command))
            case wire.Join():
                self._answer(lambda: self._join(command))
            case _:
                return False
        return True

    def close(self) -> None:
        """Closes the session and gives the lease back."""
        try:
            self._opened.close()
        finally:
            self._lease.close()

    def _answer(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BrokenKind as broken:
            self._say(wire.Refused(because="kind", code="broken_kind", message=str(broken)))
        except MillraceError as error:  # of the lease, or of finding the kind
            because = "usage" if isinstance(error, UsageError) else "kind"
            self._refuse(because, word_of(error), error)
        self._say(wire.Done())

    # -- the three calls

    def _measure(self, command: wire.Measure) -> None:
        stage = self._load()
        try:
            outline = stage.measure(command.item)
            require_plain(stage.kind, outline.facts)
        except (UsageError, BrokenKind):
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a kind raises
            failure = failure_of(stage.kind, "", command.item.name, error)
            self._say(
                wire.Refused(
                    because=whose(error),
                    code=failure.code,
                    message=failure.message,
                    hint=failure.hint,
                )
            )
        else:
            self._say(wire.Measured(outline=outline))

    def _run(self, command: wire.Run) -> None:
        self._hold()
        stage = self._load()
        batches = {batch.key: batch for batch in command.batches}
        claims = Claims(stage.kind, list(batches), command.out)
        error = self._attempt(command.batches, claims, batches, command.out)
        if error is not None and len(claims.pending) > 1 and not disk_full(error):
            self._run_apart(claims, batches, command.out, error)
        elif error is not None:
            for key in claims.pending:
                self._fail(claims, batches[key], error)
        for key in claims.pending:
            claims.settle(key)
            message = f"{stage.kind} gave no result for {batches[key].item.name}"
            self._say(wire.Failed(failure=Failure(key=key, code="no_result", message=message)))

    def _run_apart(
        self, claims: Claims, batches: dict[str, Batch], out: Path, error: BaseException | None
    ) -> None:
        """Runs what an exception left undone one batch at a time: only the culprit fails."""
        for number, key in enumerate(claims.pending):
            if error is not None and not isinstance(error, ItemError):
                self._shut()
            alone = out / f"alone-{number}"
            alone.mkdir()
            error = self._attempt([batches[key]], claims, batches, alone)
            if error is not None:
                self._fail(claims, batches[key], error)

    def _join(self, command: wire.Join) -> None:
        self._hold()
        stage, batch = self._load(), command.batch
        claims = Claims(stage.kind, [batch.key], command.out)
        try:
            self._open()
            result = stage.join(self._session, batch, command.parts, command.out, self._progress)
            self._take(result, claims, {batch.key: batch})
        except BrokenKind:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._fail(claims, batch, error)

    # -- one attempt, one answer

    def _attempt(
        self, batches: Sequence[Batch], claims: Claims, known: dict[str, Batch], out: Path
    ) -> BaseException | None:
        """Runs the kind over the batches; returns what it raised, if it did."""
        try:
            self._open()
            answers: Iterable[object] = self._load().run(
                self._session, batches, out, self._progress
            )
            iterator = iter(answers)
            try:
                for answer in iterator:
                    self._take(answer, claims, known)
                    self._stop_if_cancelled()
            finally:
                getattr(iterator, "close", lambda: None)()
        except BrokenKind:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return error
        return None

    def _take(self, answer: object, claims: Claims, batches: dict[str, Batch]) -> None:
        stage = self._load()
        if not isinstance(answer, Result | Failure):
            raise BrokenKind(f"{stage.kind} gave {type(answer).__name__}, not a Result or Failure")
        claims.settle(answer.key)
        if isinstance(answer, Failure):
            self._say(wire.Failed(failure=answer))
            return
        batch = batches[answer.key]
        try:
            claims.place(answer.path)
            require_plain(stage.kind, answer.facts)
            stage.check(batch, answer)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            failure = failure_of(stage.kind, batch.key, batch.item.name, error)
            self._say(wire.Failed(failure=failure))
        else:
            self._say(wire.Finished(result=answer))

    def _fail(self, claims: Claims, batch: Batch, error: BaseException) -> None:
        if batch.key in claims.pending:
            claims.settle(batch.key)
            failure = failure_of(self._load().kind, batch.key, batch.item.name, error)
            self._say(wire.Failed(failure=failure))

    # -- the kind, its lease and its session

    def _load(self) -> Stage:
        if self._stage is None:
            setup = self._settled()
            cls = stages.load(setup.kind)
            try:
                self._stage = cls(cls.Params.model_validate(setup.params))
            except ValidationError as error:
                raise UsageError(f"the parameters of {setup.kind} are wrong: {error}") from error
        return self._stage

    def _hold(self) -> None:
        """Takes the lease, once, before the kind is loaded: libraries read what it sets."""
        if self._device is None:
            began = time.monotonic()
            setup = self._settled()
            self._device = self._lease.enter_context(leased(setup, self._wait))
            self._waited = time.monotonic() - began

    def _wait(self) -> None:
        self._stop_if_cancelled()
        self._say(wire.Waiting())

    def _open(self) -> None:
        """Opens the kind's session, again after it was shut."""
        if self._is_open or self._device is None:
            return
        began = time.monotonic()
        self._session = self._opened.enter_context(self._load().open(self._device))
        self._is_open = True
        if not self._told_start:
            self._told_start = True
            opening = time.monotonic() - began
            self._say(wire.Started(device=self._device, waited=self._waited, opening=opening))

    def _shut(self) -> None:
        """Closes the kind's session, so that the next attempt begins with a fresh one."""
        try:
            self._opened.close()
        except (Exception, SystemExit) as error:  # noqa: BLE001
            traceback.print_exception(error, file=sys.stderr)
        self._is_open = False

    def _settled(self) -> wire.Setup:
        if self._setup is None:
            raise UsageError("a session was commanded before it was set up")
        return self._setup

    # -- what the host hears

    def _progress(self, key: str, units: float) -> None:
        self._stop_if_cancelled()
        now = time.monotonic()
        if now - self._told >= _BETWEEN_PROGRESS_S:
            self._told = now
            self._say(wire.Progressed(key=key, units=units))

    def _stop_if_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled

    def _refuse(self, because: Any, code: str, error: MillraceError) -> None:
        self._say(wire.Refused(because=because, code=code, message=error.message, hint=error.hint))

    def _say(self, message: BaseModel) -> None:
        data = memoryview(wire.line(message))
        with self._writing:
            while data:
                data = data[os.write(self._events, data) :]


@contextmanager
def leased(setup: wire.Setup, wait: Callable[[], None]) -> Iterator[Device]:
    """Holds a lease while the context lasts, calling `wait` until it is granted. Until the process
    ends, this one and the tools it starts see the leased device and no other."""
    book = LeaseBook(setup.lease_folder, inventory())
    with book.acquire(setup.needs, like=setup.device, on_wait=wait) as lease:
        os.environ.update(confined(lease.environment(), Path.cwd(), lease.device.cores))
        yield lease.device
