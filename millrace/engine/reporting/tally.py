"""What a run's journal adds up to: stages, items, failures, assignments. Pure: no files, no clock.

The terminal, `show`, `runs`, the report and Prefect's artifacts all read a Tally, so that they
never disagree. Records are added one at a time; every figure is kept up to date as they come, so
that asking costs the same for ten items and for ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from millrace.engine.journal import Record
from millrace.engine.reporting.tally_parts import (
    AssignmentTally,
    Bar,
    Failed,
    ItemTally,
    StageTally,
)


class Tally:
    """Adds up records. `stages` are in the order the journal names them."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.stages: dict[str, StageTally] = {}
        self.assignments: dict[str, AssignmentTally] = {}
        self.failures: dict[tuple[str, str], Failed] = {}
        self.outputs: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.run = self.pipeline = self.stopped_by = ""
        self.pid = 0
        self.started = self.latest = 0.0
        self.ended: dict[str, Any] | None = None
        self._missing: dict[str, set[str]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Takes one record into account. Unknown events count for nothing."""
        self.latest = max(self.latest, record.at)
        self.started = self.started or record.at
        handler = getattr(self, f"_on_{record.event}", None)
        if handler:
            handler(record, record.data)

    def stage(self, name: str) -> StageTally:
        """Returns a stage, an empty one if nothing was said of it yet."""
        return self.stages.setdefault(name, StageTally(name))

    def absent(self, name: str) -> int:
        """How many items will never reach this stage because they failed in another."""
        return len(self._missing.get(name, ()))

    @property
    def fraction(self) -> float:
        """How much of the run is over, 0 to 1: the mean over its stages."""
        parts = [stage.fraction(self.absent(name)) for name, stage in self.stages.items()]
        return sum(parts) / len(parts) if parts else 0.0

    @property
    def items(self) -> dict[str, int]:
        """Each item once, by the worst that happened to it: done, reused, failed."""
        failed = {failure.item for failure in self.failures.values()}
        status: dict[str, str] = {}
        for stage in self.stages.values():
            for name, item in stage.items.items():
                if item.status in ("done", "reused") and status.get(name) != "done":
                    status[name] = item.status
        counts = {"done": 0, "reused": 0, "failed": len(failed)}
        for name, word in status.items():
            counts[word] += name not in failed
        return counts

    @property
    def seconds(self) -> float:
        """How long the run took, or has taken by its latest record."""
        if self.ended:
            return float(self.ended.get("seconds", 0.0))
        return max(0.0, self.latest - self.started)

    @property
    def state(self) -> str:
        """succeeded, partial, failed, interrupted; `running` while no end is recorded."""
        if self.ended is None:
            return "running"
        return "interrupted" if self.ended.get("interrupted") else str(self.ended.get("state", ""))

    def _on_started(self, record: Record, data: dict[str, Any]) -> None:
        self.run, self.pipeline = str(data.get("run", "")), str(data.get("pipeline", ""))
        self.pid = int(data.get("pid", 0))

    def _on_expected(self, record: Record, data: dict[str, Any]) -> None:
        self.stage(record.stage).expected = int(data["items"])

    def _on_measured(self, record: Record, data: dict[str, Any]) -> None:
        stage, item = self._of(record)
        stage.measured += item.units is None
        stage.units += float(data["units"]) - (item.units or 0.0)
        item.units = float(data["units"])
        item.notes = tuple(data.get("notes", ()))

    def _on_cut(self, record: Record, data: dict[str, Any]) -> None:
        stage, item = self._of(record)
        stage.batches += int(data["batches"]) - item.batches
        item.batches, item.why = int(data["batches"]), str(data.get("why", ""))

    def _on_reused(self, record: Record, data: dict[str, Any]) -> None:
        stage, item = self._of(record)
        stage.credit(item, str(data["key"]), float(data["units"]), record.at, reused=True)
        stage.seconds_reused += float(data.get("seconds", 0.0))
        stage.batches_reused += 1

    def _on_assigned(self, record: Record, data: dict[str, Any]) -> None:
        stage, name = self.stage(record.stage), str(data["assignment"])
        stage.predicted += float(data.get("seconds", 0.0))
        self.assignments[name] = AssignmentTally(
            name, record.stage, str(data.get("device", "")), record.at, end=record.at
        )

    def _on_opened(self, record: Record, data: dict[str, Any]) -> None:
        assignment = self.assignments.get(str(data["assignment"]))
        self.stage(record.stage).devices.add(str(data.get("device", "")))
        if assignment:
            assignment.opened = assignment.end = record.at
            assignment.device = str(data.get("device", ""))

    def _on_progress(self, record: Record, data: dict[str, Any]) -> None:
        stage, item = self._of(record)
        stage.credit(item, str(data["key"]), float(data["units"]), record.at, reused=False)

    def _on_done(self, record: Record, data: dict[str, Any]) -> None:
        stage, item = self._of(record)
        join = bool(data.get("join"))
        units = 0.0 if join else float(data["units"])
        stage.credit(item, str(data["key"]), units, record.at, reused=False)
        seconds = float(data.get("seconds", 0.0))
        stage.seconds += seconds
        item.seconds += seconds
        stage.batches_done += not join
        stage.bytes += int(data.get("bytes", 0))
        item.notes = tuple(dict.fromkeys((*item.notes, *data.get("notes", ()))))
        self._bar(record, seconds, True)

    def _on_lost(self, record: Record, data: dict[str, Any]) -> None:
        stage, item = self._of(record)
        stage.lost += 1
        stage.credit(item, str(data["key"]), 0.0, record.at, reused=False)
        self._bar(record, 0.0, False)

    def _on_failed(self, record: Record, data: dict[str, Any]) -> None:
        stage, item = self._of(record)
        self._bar(record, 0.0, False)
        self._fail(record, record.stage, data)
        if item.status != "failed":
            item.status = "failed"
            stage.failed += 1
        for name, other in self.stages.items():
            if name != record.stage and record.item not in other.items:
                self._missing.setdefault(name, set()).add(record.item)

    def _on_finished(self, record: Record, data: dict[str, Any]) -> None:
        stage, item = self._of(record)
        if not item.status:
            item.status = str(data["status"])
            stage.done += item.status == "done"
            stage.reused += item.status == "reused"

    def _on_delivered(self, record: Record, data: dict[str, Any]) -> None:
        self.outputs.append(data | {"item": record.item})

    def _on_undelivered(self, record: Record, data: dict[str, Any]) -> None:
        self._fail(record, record.stage or str(data.get("output", "")), data)

    def _on_stop(self, record: Record, data: dict[str, Any]) -> None:
        self.stopped_by = str(data.get("who", ""))

    def _on_note(self, record: Record, data: dict[str, Any]) -> None:
        self.notes.append(str(data.get("text", "")))

    def _on_ended(self, record: Record, data: dict[str, Any]) -> None:
        self.ended = data

    def _of(self, record: Record) -> tuple[StageTally, ItemTally]:
        stage = self.stage(record.stage)
        stage.first = stage.first or record.at
        stage.last = record.at
        return stage, stage.items.setdefault(record.item, ItemTally())

    def _bar(self, record: Record, seconds: float, good: bool) -> None:
        assignment = self.assignments.get(str(record.data.get("assignment", "")))
        if assignment:
            start = max(assignment.start, record.at - seconds)
            assignment.bars.append(Bar(record.stage, record.item, start, record.at, good))
            assignment.end = max(assignment.end, record.at)

    def _fail(self, record: Record, stage: str, data: dict[str, Any]) -> None:
        failed = Failed(
            item=record.item,
            stage=stage,
            code=str(data.get("code", "")),
            reason=str(data.get("message", "")),
            hint=str(data.get("hint", "")),
            known=bool(data.get("known")),
            at=record.at,
        )
        self.failures.setdefault((record.item, stage), failed)
