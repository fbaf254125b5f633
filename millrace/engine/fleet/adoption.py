"""What an earlier conductor of a run has sent out, taken over by the next."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from millrace.engine.assignments import Assignment
from millrace.engine.fleet.out import Out
from millrace.engine.journal import Record
from millrace.engine.runs import Run

_ANSWERS = ("done", "failed", "lost")


@dataclass
class _Story:
    """What the journal tells of one assignment."""

    assigned: Record
    sent: Record | None = None
    begun: Record | None = None
    sign: Record | None = None  # of a worker, whose clock may be wrong
    moved: Record | None = None
    closed: bool = False


@dataclass
class _Journal:
    stories: dict[str, _Story] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)

    def read(self, record: Record) -> None:
        name = str(record.data.get("assignment", ""))
        if record.event in _ANSWERS:
            self.answered.add(str(record.data.get("key", "")))
        if record.event == "assigned":
            self.stories[name] = _Story(record)
        elif name in self.stories:
            story = self.stories[name]
            if record.event in ("sent", "begun", "moved"):
                setattr(story, record.event, record)
            elif record.event == "closed":
                story.closed = True
            elif record.event in ("opened", "progress", *_ANSWERS):
                story.sign = story.sign or record


def adoptable(run: Run, records: Iterable[Record], now: float) -> tuple[list[Out], int]:
    """Returns the assignments that are not closed, and how many were ever written down.

    Those that were being taken back are revoked, and only watched until they are over. One without
    a flow run was perhaps never sent. `now` is of the monotonic clock.
    """
    told = _Journal()
    for record in records:
        told.read(record)
    outs = [
        out
        for story in told.stories.values()
        if not story.closed and (out := _out(run, story, told.answered, now))
    ]
    return sorted(outs, key=lambda out: out.id), len(told.stories)


def _out(run: Run, story: _Story, answered: set[str], now: float) -> Out | None:
    data = story.assigned.data
    try:
        order = Assignment.read(run.assignments, data["assignment"])
    except (OSError, ValidationError):
        return None  # it never left; its jobs are placed anew
    revoked = str(story.moved.data.get("why", "")) if story.moved else ""
    keys = frozenset() if revoked else frozenset(job.key for job in order.jobs) - answered
    began = _began(story, now)
    return Out(
        id=order.id,
        pool=order.pool,
        basis=order.basis or "own",
        price=float(data.get("price", 0.0)) / 3600,
        stage=order.stage,
        kind=order.kind,
        seconds=float(data.get("seconds", 0.0)),
        start=0.0,
        sent=now,
        keys=keys,
        flow_run=str(story.sent.data["flow_run"]) if story.sent else "",
        began=began,
        noted=story.begun is not None,
        revoked=revoked,
    )


def _began(story: _Story, now: float) -> float | None:
    """Returns when it began, of the monotonic clock. A worker's word counts within what is sure:
    after it was sent, and before now."""
    wall = time.time()
    if story.begun:
        return now - max(0.0, wall - story.begun.at)
    if story.sign is None:
        return None
    sent = story.sent.at if story.sent else story.assigned.at
    return now - max(0.0, wall - min(max(story.sign.at, sent), wall))
