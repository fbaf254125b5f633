"""What an earlier conductor of a run has sent out, taken over by the next."""

from __future__ import annotations

import time
from collections.abc import Iterable

from pydantic import ValidationError

from millrace.engine.assignments import Assignment
from millrace.engine.fleet.out import Out
from millrace.engine.journal import Record
from millrace.engine.runs import Run

_ANSWERS = ("done", "failed", "lost")


def adoptable(run: Run, records: Iterable[Record], now: float) -> tuple[list[Out], int]:
    """Returns the assignments that are still out, and how many were ever sent.

    One that was written down but perhaps never sent is taken back: whoever has it lets go. `now` is
    of the monotonic clock.
    """
    assigned: dict[str, Record] = {}
    sent: dict[str, str] = {}
    begun: dict[str, float] = {}
    over: set[str] = set()
    answered: set[str] = set()
    for record in records:
        name = str(record.data.get("assignment", ""))
        if record.event == "assigned":
            assigned[name] = record
        elif record.event == "sent":
            sent[name] = str(record.data["flow_run"])
        elif record.event in ("closed", "moved"):
            over.add(name)
        elif record.event in ("opened", "alive", "progress", *_ANSWERS):
            begun.setdefault(name, record.at)
        if record.event in _ANSWERS:
            answered.add(str(record.data.get("key", "")))
    found = []
    for name in assigned.keys() - over:
        if name not in sent:
            run.revoke(name)
            continue
        out = _out(run, assigned[name], sent[name], answered, now)
        if out:
            if name in begun:
                out.began = now - max(0.0, time.time() - begun[name])
            found.append(out)
    return sorted(found, key=lambda out: out.id), len(assigned)


def _out(run: Run, record: Record, flow_run: str, answered: set[str], now: float) -> Out | None:
    data = record.data
    try:
        order = Assignment.read(run.assignments, data["assignment"])
    except (OSError, ValidationError):
        return None  # its jobs are placed anew; a result that still comes is found in the store
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
        keys=frozenset(job.key for job in order.jobs) - answered,
        flow_run=flow_run,
    )
