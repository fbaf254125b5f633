"""The record of a run: small append-only lines in the run's folder of the store.

Everything that reports on a run (the terminal, `show`, `why`, report.html, the ledger) reads these
lines and nothing else. Each writer appends to a file of its own, so that no two processes ever
write the same file; readers merge by time.

Events, and the fields each carries beside `at` (seconds since the epoch), `stage` and `item`:

    started       run, pid, pipeline, epoch
    adopted       run, pid, pipeline, epoch   another conductor has taken it up
    expected      items                    how many items the stage will see
    measured      units, load, notes
    cut           batches, units           the item was split
    reused        key, units, seconds      this batch is in the store; seconds = what it took then
    awaiting                               the stage waits for a person
    approved      who                      a person has let the stage begin
    placed        groups, pools, …         where work goes and why (engine/fleet/decisions.py)
    assigned      assignment, keys, device, host, seconds; in a pool also pool, basis, price (an
                  hour of a slot), currency, cost; seconds and cost are predicted
    sent          assignment, flow_run     the server has it
    begun         assignment               the conductor has heard that it runs
    queued        assignment               it waits for its turn on a worker's host
    opened        assignment, device, seconds, waited, host      the session is open (after a wait)
    alive         assignment               a sign of life
    progress      key, units               units of the batch finished so far
    done          key, units, load, seconds, bytes, device, pace, notes, assignment, why, join
    failed        key, code, message, hint, known, assignment, fault, seconds
                                           known = remembered from before
    lost          key, code, message, hint, in_hand, assignment, fault, seconds
                                           it will be tried again
    moved         assignment, pool, why    taken back from a pool
    closed        assignment, pool, basis, state (completed|crashed|cancelled|revoked|unsent),
                  held (seconds of a slot), cost, egress (of the cost, for bytes that came home)
    alerted       kind (failed|partial|late|over_budget)    somebody was told
    fetched       assignment, bytes, seconds      inputs came to a worker
    shipped       assignment, bytes, seconds      results left it
    collected     assignment, segment             how far its journal has been brought home
    finished      status (done|reused)     the item has left the stage
    delivered     output, path, bytes, status (written|unchanged)
    undelivered   output, path, code, message
    stop          who                      somebody asked the run to stop
    note          text
    ended         state, items {done, reused, failed}, seconds, outputs
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millrace.engine.errors import StoreError


@dataclass(frozen=True)
class Record:
    """One line of a journal."""

    event: str
    at: float = 0.0
    stage: str = ""
    item: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Returns the record as one line of JSON."""
        head = {"at": self.at, "event": self.event, "stage": self.stage, "item": self.item}
        return json.dumps({k: v for k, v in head.items() if v != ""} | self.data) + "\n"

    @classmethod
    def parse(cls, line: str) -> Record:
        """Returns the record of a line. Raises ValueError for a line that is none."""
        data = json.loads(line)
        return cls(
            event=data.pop("event"),
            at=data.pop("at"),
            stage=data.pop("stage", ""),
            item=data.pop("item", ""),
            data=data,
        )


class Journal:
    """Appends records under `folder`, in a file named after this writer."""

    def __init__(self, folder: Path, writer: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(
            folder / f"{writer}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )

    def write(self, event: str, stage: str = "", item: str = "", **data: Any) -> None:
        """Appends one record; a single write, so that a reader never sees half a line of two.

        Raises StoreError when the disk is full.
        """
        record = Record(event, round(time.time(), 3), stage, item, data)
        try:
            os.write(self._file, record.line().encode())
        except OSError as error:
            raise unwritable(error) from error

    def close(self) -> None:
        """Closes the file. Writing afterwards is an error."""
        os.close(self._file)


def unwritable(error: OSError) -> StoreError:
    """Returns what is said of a journal that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = (
        "the disk of the run's journal is full"
        if full
        else (f"the run's journal cannot be written: {error.strerror}")
    )
    return StoreError(
        what, hint="free some room on the store's disk, then run again: what is done is kept"
    )


class Reader:
    """Reads a journal from the start, then what came since: call `new()` again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}

    def new(self) -> list[Record]:
        """Returns the records written since the last call, by time. Half-written lines wait."""
        found: list[Record] = []
        for path in sorted(self._folder.glob("*.jsonl")):
            found.extend(self._tail(path))
        return sorted(found, key=lambda r: r.at)

    def _tail(self, path: Path) -> Iterator[Record]:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offsets[path] = self._offsets.get(path, 0) + end
        for line in data[:end].splitlines():
            try:
                yield Record.parse(line.decode())
            except (ValueError, KeyError):
                continue  # a line torn by a full disk or a kill says nothing


def read(folder: Path) -> list[Record]:
    """Returns all records of the journal in `folder`, by time."""
    return Reader(folder).new()
