"""Session hosts: the parent side of the process group around a session.

A host starts one child (`session.py` beside this file) that loads the kind, takes the lease, opens
the session and runs batches in it. The child and every tool it starts are one process group that
ends together: on the last call, on `cancel`, on a broken limit, and when the host's process dies in
any way. Plain Python and threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import BaseModel

from millrace.engine import stages
from millrace.engine.errors import BadInput, MillraceError, SessionLost, ToolMissing, UsageError
from millrace.engine.hosts.devices import Device
from millrace.engine.sessions import wire
from millrace.engine.sessions.child import ASK_GRACE_S, TERM_GRACE_S, Child
from millrace.engine.sessions.claims import BrokenKind, Claims
from millrace.engine.sessions.environment import clean, confined, masked, secret_values
from millrace.engine.sessions.watch import Limits, Watch
from millrace.engine.sessions.wire import Progressed, Started
from millrace.engine.stages import Batch, Failure, Needs, Outline, Result, Staged

__all__ = ["Event", "Limits", "Progressed", "SessionHost", "Started"]

Event = Started | Progressed | Result | Failure
"""What a call yields, in the order it happens."""

_ENDS_WITHIN_S = ASK_GRACE_S + TERM_GRACE_S + 4.0


def _nothing(device: Device) -> None:
    return None


class SessionHost:
    """Runs batches of one kind with one set of parameters in a child process under limits.

    `lease_folder`, `needs` and `device` say what the child leases before it opens the session.
    `log` receives what the child and its tools print, within bounds. `scratch` is the child's
    working folder and holds its temporary files; the caller removes it. `on_start` is called with
    the device once the session is open.

    One call at a time; `cancel` and `close` may come from any thread. After a SessionLost the host
    is over: make a new one for what was not finished.
    """

    def __init__(
        self,
        kind: str,
        params: dict[str, Any],
        *,
        lease_folder: Path,
        needs: Needs,
        device: Device,
        log: Path,
        scratch: Path,
        limits: Limits,
        on_start: Callable[[Device], None] = _nothing,
    ) -> None:
        self._setup = wire.Setup(
            kind=kind,
            params=params,
            lease_folder=lease_folder.absolute(),  # the child works in another folder
            needs=needs,
            device=device,
        )
        self._log, self._scratch, self._limits = log.absolute(), scratch.absolute(), limits
        self._on_start = on_start
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._leased = False
        self._over: SessionLost | None = None
        self._secret: tuple[str, ...] = ()

    def __enter__(self) -> SessionHost:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process group of the child, while there is one."""
        return self._child.pid if self._child else None

    def measure(self, item: Staged) -> Outline:
        """Returns what the kind finds out about a file. Needs no lease and opens no session.

        Raises BadInput when the file is at fault; SessionLost when the kind crashed, hung or grew
        too big on it.
        """
        outline: Outline | None = None
        for said in self._call(wire.Measure(item=item), (self._scratch,), leased=False):
            if isinstance(said, wire.Measured):
                outline = said.outline
        if outline is None:
            raise self._lose("protocol", f"{self._setup.kind} measured nothing")
        return outline

    def run(self, batches: Sequence[Batch], out: Path) -> Iterator[Event]:
        """Yields what happens to the batches, their results lying under `out`.

        Each batch ends in one Result or Failure. Raises SessionLost after what was finished before
        the session died, hung, outgrew its limits (codes `crashed`, `no_progress`, `timeout`,
        `memory`), was cancelled (`cancelled`) or broke the contract (`broken_kind`, `protocol`);
        UsageError for parameters or a kind that the child refuses.
        """
        out = out.absolute()
        command = wire.Run(batches=tuple(batches), out=out)
        return self._answers(command, [batch.key for batch in batches], out)

    def join(self, batch: Batch, parts: Sequence[Result], out: Path) -> Iterator[Event]:
        """Yields what happens while the parts of an item are joined; see `run`."""
        out = out.absolute()
        command = wire.Join(batch=batch, parts=tuple(parts), out=out)
        return self._answers(command, [batch.key], out)

    def cancel(self) -> None:
        """Asks the kind to stop, and ends the group if it does not. Returns at once; the call under
        way raises SessionLost with code `cancelled`."""
        self._end(SessionLost("cancelled", f"{self._setup.kind} was cancelled"), ask=True)

    def close(self) -> None:
        """Ends the session and waits until none of its processes is left."""
        with self._lock:
            child, busy = self._child, self._over is not None
            self._over = self._over or SessionLost("closed", "the session host was closed")
        if child is None:
            return
        if not busy:
            child.retire()
            if child.wait(TERM_GRACE_S):
                return
        child.end(self._over)
        child.wait(_ENDS_WITHIN_S)

    # -- one call

    def _answers(self, command: BaseModel, keys: Sequence[str], out: Path) -> Iterator[Event]:
        out.mkdir(parents=True, exist_ok=True)
        claims = Claims(self._setup.kind, keys, out)
        for said in self._call(command, (out, self._scratch), leased=True):
            match said:
                case wire.Started():
                    self._on_start(said.device)
                    yield said
                case wire.Progressed() if claims.has(said.key):
                    yield said
                case wire.Finished(result=answer) | wire.Failed(failure=answer):
                    self._accept(claims, answer)
                    yield self._without_secrets(answer)
        if claims.pending:
            raise self._lose("protocol", f"{self._setup.kind} left batches without an answer")

    def _accept(self, claims: Claims, answer: Result | Failure) -> None:
        """Checks once more what the child has checked: it may not be itself any more."""
        try:
            claims.settle(answer.key)
            if isinstance(answer, Result):
                claims.place(answer.path)
        except BrokenKind as broken:
            raise self._lose("protocol", str(broken)) from broken

    def _without_secrets(self, answer: Result | Failure) -> Result | Failure:
        """Returns an answer as it may be written down: errors may repeat what a server was told."""
        if not self._secret:
            return answer
        if isinstance(answer, Result):
            notes = tuple(masked(note, self._secret) for note in answer.notes)
            return answer.model_copy(update={"notes": notes})
        words = {n: masked(getattr(answer, n), self._secret) for n in ("code", "message", "hint")}
        return answer.model_copy(update=words)

    def _call(
        self, command: BaseModel, folders: Sequence[Path], *, leased: bool
    ) -> Iterator[wire.Said]:
        child = self._ready(leased)
        over, refusal = False, None
        try:
            with Watch(child, self._limits, self._setup.kind, folders):
                child.say(command)
                while not isinstance(said := self._hear(child), wire.Done):
                    if isinstance(said, wire.Refused):
                        refusal = said
                    else:
                        yield said
            over = True
        finally:
            if not over:
                self._end(SessionLost("abandoned", "the call was given up"), ask=False)
        if refusal is not None:
            raise self._refusal(refusal)

    def _hear(self, child: Child) -> wire.Said:
        try:
            return child.hear()
        except SessionLost as lost:
            self._over = lost
            raise

    def _refusal(self, said: wire.Refused) -> MillraceError:
        words = {n: masked(getattr(said, n), self._secret) for n in ("message", "hint")}
        said = said.model_copy(update=words)
        match said.because:
            case "input":
                return BadInput(said.code, said.message, hint=said.hint)
            case "usage":
                return UsageError(said.message, hint=said.hint)
            case "tool":
                return ToolMissing(said.message, hint=said.hint)
        return self._lose(said.code, said.message, said.hint)

    # -- the child

    def _ready(self, leased: bool) -> Child:
        """Returns a child that may do the call. One that measured is replaced before a lease is
        taken, so that no library has seen other devices before."""
        with self._lock:
            if self._over is not None:
                raise self._over
            if self._child is not None and leased and not self._leased:
                self._child.retire()
                if not self._child.wait(TERM_GRACE_S):
                    self._child.end(SessionLost("closed", "measuring is over"))
                    self._child.wait(_ENDS_WITHIN_S)
                self._child = None
            if self._child is None:
                self._child = self._start(leased)
            self._leased = self._leased or leased
            return self._child

    def _start(self, leased: bool) -> Child:
        """Starts a child. Credentials reach the one that works, not the one that measures."""
        scratch, cores = self._scratch, self._setup.device.cores
        scratch.mkdir(parents=True, exist_ok=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        kind = stages.load(self._setup.kind)
        declared: Sequence[str] = getattr(kind, "environment", ())
        secret = secret_values(os.environ, stages.secrets_of(kind)) if leased else {}
        environment = confined(clean(os.environ, declared), scratch, cores) | secret
        self._secret = tuple(secret.values())
        child = Child(log=self._log, scratch=scratch, environment=environment, secret=self._secret)
        child.say(self._setup)
        return child

    def _lose(self, code: str, message: str, hint: str = "") -> SessionLost:
        lost = SessionLost(code, message, hint=hint)
        self._end(lost, ask=False)
        return lost

    def _end(self, reason: SessionLost, *, ask: bool) -> None:
        with self._lock:
            self._over = self._over or reason
            child = self._child
        if child is not None:
            child.end(reason, ask=ask)
