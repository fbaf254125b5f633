"""Whether a run is under way, from its journal and its lock; cheap for journals of any size."""

from __future__ import annotations

from pathlib import Path

from millrace.engine.journal import Record
from millrace.engine.runs import Run

_TAIL_BYTES = 65_536


def ending(run: Run) -> Record | None:
    """Returns the record that ends a run, None while there is none."""
    for line in reversed(_tail(run.journal / "conductor.jsonl")):
        record = _parsed(line)
        if record and record.event == "ended":
            return record
    return None


def state(run: Run) -> str:
    """Returns succeeded, partial, failed, interrupted, running, or why there is no end:

    `died`: it has no process (killed, or the machine went down); running it again continues it.
    On the fleet `waiting`: no conductor has taken it up yet; `lost`: its conductor is gone, and
    `millrace attach` sends for another.
    """
    ended = ending(run)
    if ended:
        word = str(ended.data.get("state", ""))
        return "interrupted" if ended.data.get("interrupted") else word
    if not run.on_fleet:
        return "running" if run.alive else "died"
    if run.conducted:
        return "running"
    return "lost" if run.epoch else "waiting"


def advice(run: Run) -> str:
    """Returns what a person can do about a run that does not go on, "" where nothing is needed."""
    attach = f"`millrace attach {run.id}`"
    return {
        "died": f"`millrace retry {run.id}` continues it",
        "lost": f"{attach} sends another conductor; what is out goes on meanwhile",
        "waiting": f"no conductor has taken it up; {attach} says what it waits for",
    }.get(state(run), "")


def _parsed(line: bytes) -> Record | None:
    try:
        return Record.parse(line.decode())
    except (ValueError, KeyError):
        return None


def _tail(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().splitlines()
    except OSError:
        return []
