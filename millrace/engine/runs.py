"""Runs: the work order, and the folder in the store that holds all there is to know of one run.

runs/<id>/order.json          what to do
runs/<id>/journal/*.jsonl     what happened
runs/<id>/assignments/*.json  the shares that were handed out
runs/<id>/logs/*.log          what the tools said
runs/<id>/report.html         for people
runs/<id>/stop                somebody asked it to stop
runs/<id>/revoked/            assignments that are no longer wanted
runs/<id>/approved/           stages that a person has let begin
runs/<id>/fleet               its work is sent to pools
runs/<id>/epoch               how many conductors have taken it up
runs/<id>/lock                held by its conductor, and touched while it works
runs/<id>/scratch/            half-done work; gone when the run ends
"""

from __future__ import annotations

import difflib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from millrace.engine import hold
from millrace.engine.errors import UsageError
from millrace.engine.files import AnyPath, write_atomically
from millrace.engine.journal import Journal, Record, read
from millrace.engine.pipeline import Pipeline
from millrace.engine.settings import Settings

_FLEET_SCRATCH_SECONDS = 86_400.0
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Order(BaseModel):
    """A work order: a pipeline with its parameters filled in, and how to run it.

    `base` is the folder relative names start from. `limit` takes only the first items of each
    input; `only` names a stage to stop at; `force` names stages whose stored results are ignored;
    `retry` tries failures again that are remembered as the input's own fault. `on` says who does
    the work: `here`, the `fleet`, or the one pool of that name; `scheduled` names the deployed
    pipeline it is a run of; files in `unsettled` are still being written and are passed over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: Pipeline
    base: Path
    source: str = ""
    limit: int | None = Field(default=None, ge=1)
    only: str | None = None
    force: tuple[str, ...] = ()
    retry: bool = False
    overwrite: bool = False
    on: str = "here"
    priority: Literal["high", "normal", "low"] = "normal"
    scheduled: str = ""
    unsettled: tuple[AnyPath, ...] = ()

    @property
    def complete(self) -> bool:
        """False where items are left out on purpose: that one is missing then means nothing."""
        return self.limit is None and self.only is None and not self.unsettled


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    id: str
    folder: Path

    @property
    def journal(self) -> Path:
        """Folder of the journal's files."""
        return self.folder / "journal"

    @property
    def assignments(self) -> Path:
        """Folder of the assignments."""
        return self.folder / "assignments"

    @property
    def scratch(self) -> Path:
        """Folder for half-done work, on the store's file system."""
        return self.folder / "scratch"

    @property
    def log_files(self) -> list[Path]:
        """The logs of the run's session hosts, in the order they were started."""
        return sorted((self.folder / "logs").glob("*.log"))

    def log(self, name: str) -> Path:
        """Returns where the log of a session host goes."""
        return self.folder / "logs" / f"{name}.log"

    def order(self) -> Order:
        """Returns the work order. Raises UsageError when it cannot be read."""
        try:
            return Order.model_validate_json((self.folder / "order.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"the work order of run {self.id} cannot be read",
                hint="it may come from another version of Millrace",
            ) from error

    def records(self) -> list[Record]:
        """Returns all records of the run's journal, by time."""
        return read(self.journal)

    def request_stop(self, who: str) -> None:
        """Asks the run, wherever it is, to stop cleanly."""
        journal = Journal(self.journal, f"stop-{os.getpid()}")
        journal.write("stop", who=who)
        journal.close()
        (self.folder / "stop").touch()

    @property
    def stopping(self) -> bool:
        """True once somebody asked the run to stop."""
        return (self.folder / "stop").exists()

    @property
    def on_fleet(self) -> bool:
        """True when work of this run was sent to pools."""
        return (self.folder / "fleet").exists()

    def revoke(self, assignment: str) -> None:
        """Asks whoever carries out an assignment to let go of it."""
        folder = self.folder / "revoked"
        folder.mkdir(exist_ok=True)
        (folder / assignment).touch()

    def revoked(self, assignment: str) -> bool:
        """True once an assignment is no longer wanted."""
        return (self.folder / "revoked" / assignment).exists()

    def approve(self, stage: str, who: str) -> None:
        """Lets a stage that waits for a person begin."""
        journal = Journal(self.journal, f"approve-{os.getpid()}")
        journal.write("approved", stage, who=who)
        journal.close()
        folder = self.folder / "approved"
        folder.mkdir(exist_ok=True)
        (folder / stage).touch()

    def approved(self, stage: str) -> bool:
        """True once a person has let a stage begin."""
        return (self.folder / "approved" / stage).exists()

    @property
    def epoch(self) -> int:
        """How many conductors have taken up the run. Only the last of them is to be listened to."""
        try:
            return int((self.folder / "epoch").read_text())
        except (OSError, ValueError):
            return 0

    def begin_epoch(self) -> int:
        """Makes the caller the run's conductor; whoever was it before stops by itself."""
        number = self.epoch + 1
        write_atomically(self.folder / "epoch", str(number).encode())
        return number

    @property
    def alive(self) -> bool:
        """True while a conductor holds the run. The kernel ends the hold with the process."""
        return hold.held(self.folder / "lock")

    @property
    def conducted(self) -> bool:
        """True while its conductor gives signs of life, not merely exists."""
        return self.alive and hold.silent(self.folder / "lock") <= hold.SILENCE

    def beat(self) -> None:
        """Gives its conductor's sign of life."""
        hold.beat(self.folder / "lock")

    @contextmanager
    def held(self, idle: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Holds the run for its conductor, and removes half-done work at the end.

        Unless `idle()` is false then: somebody in a pool goes on with it. On the fleet, a conductor
        that holds the run and gives no sign of life is not waited for.
        """
        handle = hold.take(self.folder / "lock", replace=self.on_fleet)
        try:
            yield
        finally:
            os.close(handle)
            if idle():
                self.clean()

    def clean(self) -> None:
        """Removes half-done work."""
        shutil.rmtree(self.scratch, ignore_errors=True)


class Runs:
    """All runs of a store."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.store / "runs"

    def create(self, order: Order) -> Run:
        """Returns a new run with its order written down."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        run_id = f"{stamp}-{''.join(secrets.choice(_ALPHABET) for _ in range(4))}"
        run = Run(run_id, self._folder / run_id)
        for folder in (run.journal, run.assignments, run.folder / "logs", run.scratch):
            folder.mkdir(parents=True, mode=0o700)
        if order.on != "here":
            (run.folder / "fleet").touch()
        write_atomically(run.folder / "order.json", order.model_dump_json().encode())
        return run

    def get(self, run_id: str) -> Run:
        """Returns the run of an exact id. Raises UsageError."""
        if "/" in run_id or not (self._folder / run_id / "order.json").exists():
            raise UsageError(f"there is no run {run_id}", hint="`millrace runs` lists them")
        return Run(run_id, self._folder / run_id)

    def list(self) -> list[Run]:
        """Returns all runs, newest first."""
        if not self._folder.is_dir():
            return []
        names = sorted((p.parent.name for p in self._folder.glob("*/order.json")), reverse=True)
        return [Run(name, self._folder / name) for name in names]

    def sweep(self) -> None:
        """Removes the half-done work of runs whose conductor was killed.

        What pools do for a run goes on without its conductor, so that is left a day in peace.
        """
        for run in self.list():
            if run.scratch.exists() and (run.folder / "lock").exists() and not run.alive:
                quiet = time.time() - run.scratch.stat().st_mtime
                if not run.on_fleet or quiet > _FLEET_SCRATCH_SECONDS:
                    run.clean()

    def find(self, text: str) -> Run:
        """Returns the run a person means: an id, a unique beginning or end of one, or `last`.

        Raises UsageError that names what is near.
        """
        runs = self.list()
        if not runs:
            raise UsageError("there are no runs yet", hint="start one with `millrace run`")
        if text == "last":
            return runs[0]
        found = [r for r in runs if r.id == text or r.id.startswith(text) or r.id.endswith(text)]
        if len(found) == 1 or (found and found[0].id == text):
            return found[0]
        if found:
            names = ", ".join(r.id for r in found[:5])
            raise UsageError(f"{text!r} fits several runs: {names}")
        near = difflib.get_close_matches(text, [r.id for r in runs], n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}?" if near else "`millrace runs` lists them"
        raise UsageError(f"there is no run {text!r}", hint=hint)
