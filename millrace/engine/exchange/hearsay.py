"""The file in a run's journal that tells what came of one assignment elsewhere."""

from __future__ import annotations

import os
import time

from millrace.engine.journal import Record, unwritable
from millrace.engine.runs import Run

ANSWERS = frozenset({"done", "failed", "lost"})
"""Events that tell the end of a batch."""


class Hearsay:
    """Appends to that file, and recalls how far an earlier conductor came.

    `segment` is the last one told in full, `answered` are the batches whose end it and those before
    it told, `unmarked` is how many records of the next are there.
    """

    def __init__(self, run: Run, name: str) -> None:
        self.segment, self.unmarked = 0, 0
        self.answered: set[str] = set()
        self._answering: set[str] = set()
        self._name = name
        self._path = path = run.journal / f"{name}.jsonl"
        self.sent = self.latest = (run.assignments / f"{name}.json").stat().st_mtime
        data = path.read_bytes() if path.exists() else b""
        for line in data.splitlines():
            self._recall(line)
        if data and not data.endswith(b"\n"):
            self._write(b"\n")  # a line torn by a kill must not tear the next

    def append(self, record: Record) -> None:
        """Writes one record. Raises StoreError when the disk is full."""
        self._write(record.line().encode())
        self._note(record)

    def mark(self, segment: int) -> None:
        """Notes that a segment has been told in full."""
        data = {"assignment": self._name, "segment": segment}
        self.append(Record("collected", round(time.time(), 3), data=data))

    def _write(self, data: bytes) -> None:
        # Opened each time: a run may have more assignments than a process may have open files.
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, data)
            finally:
                os.close(handle)
        except OSError as error:
            raise unwritable(error) from error

    def _recall(self, line: bytes) -> None:
        try:
            self._note(Record.parse(line.decode()))
        except (ValueError, KeyError, AttributeError):
            return

    def _note(self, record: Record) -> None:
        if record.event == "collected":
            self.segment, self.unmarked = int(record.data["segment"]), 0
            self.answered |= self._answering
        elif record.event != "alive":
            self.unmarked += 1
            self.latest = max(self.latest, record.at)
            if record.event in ANSWERS:
                self._answering.add(str(record.data["key"]))
