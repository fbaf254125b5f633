"""Watching over a run's conductor from afar: what it waits for, and another when it is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from millrace.engine.errors import MillraceError, UsageError
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.fleet.snapshot import why_down
from millrace.engine.recording.fleet import FlowRuns
from millrace.engine.recording.observing import observe
from millrace.engine.recording.prefect import recording
from millrace.engine.runs import Run
from millrace.engine.settings import Settings

_QUIET_SECONDS = 3.0  # a conductor that is about to begin is not worth a word
_LOOK_SECONDS = 5.0
_MOST_SENT = 3  # a conductor that dies again and again is not sent for ever


class Vigil:
    """Looks after a run's conductor while a person watches. `say` is told what is news."""

    def __init__(self, run: Run, here: Settings, say: Callable[[str], None]) -> None:
        self._run, self._here, self._say = run, here, say
        self._since: float | None = None  # without a conductor
        self._looked = 0.0
        self._said = ""
        self._sent: set[int] = set()  # epochs

    def look(self) -> None:
        """Looks, if it is time to; tells and does what is due."""
        now = time.monotonic()
        if now - self._looked < (_LOOK_SECONDS if self._since else _QUIET_SECONDS):
            return
        self._looked = now
        if self._run.conducted or self._run.stopping:
            self._since, self._said = None, ""
            return
        if self._since is None:
            self._since = now
            return
        try:
            self._tell(self._deal())
        except MillraceError as error:
            self._tell(f"nobody conducts run {self._run.id} now: {error.message}")

    def _deal(self) -> str:
        """Returns what the run waits for, after sending for another conductor if it lost one."""
        run, fleet = self._run, load_fleet(self._here.fleet)
        epoch = run.epoch
        lost = f"run {run.id} has lost its conductor; " if epoch else ""
        if epoch and epoch not in self._sent:
            if len(self._sent) >= _MOST_SENT:
                return f"{lost}so have {_MOST_SENT} others: `millrace logs {run.id}` may tell why"
            queue = conductors_queue(fleet, run.order().priority)
            with recording(self._here):
                FlowRuns().conduct(run.id, queue, epoch=epoch)
            self._sent.add(epoch)
            lost += "another was sent for; "
        return lost + waiting_for(fleet, self._here)

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)


def waiting_for(fleet: Fleet, here: Settings) -> str:
    """Returns what keeps runs from being taken up, in words. Raises ServerError."""
    pool = fleet.conductors
    assert pool is not None  # noqa: S101 - whoever has a run has asked for its queue
    with recording(here):
        seen = observe([pool.name])[pool.name]
    down = why_down(pool, seen)
    start = f"`millrace worker start {pool.name} --conductor` starts one"
    if not seen.exists:
        return f"there is no pool {pool.name}: `millrace deploy` makes it"
    if seen.paused:
        return f"waiting for a conductor: the pool {pool.name} is paused"
    if down:
        return f"waiting for a conductor: no worker of {pool.name} has been heard of; {start}"
    return (
        f"waiting for a conductor: {seen.running} at work in {pool.name}, "
        f"{seen.pending} waiting there"
    )


def conductors_queue(fleet: Fleet, priority: str) -> str:
    """Returns the queue in which runs of a priority wait for a conductor.

    Raises UsageError when no pool runs conductors.
    """
    if fleet.conductors is None:
        raise UsageError(
            f"no pool of {fleet.path} runs conductors",
            hint="declare one with `runs: conductors`, and `millrace deploy`",
        )
    return f"{fleet.conductors.offers[0].basis}-{priority}"
