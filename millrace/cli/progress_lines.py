"""A run's progress as plain lines, for logs and pipes. Pure: records and a time in, lines out.

One line for each item that was done or failed in a stage, and every ten seconds one line for each
stage at work. Items found in the store are summed up: nobody reads ten thousand such lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from millrace.engine.journal import Record
from millrace.engine.reporting.tally import Tally
from millrace.engine.reporting.tally_parts import StageTally
from millrace.engine.reporting.words import count, duration, number, rate, safe

_SUMMARY_SECONDS = 10.0


class Lines:
    """Remembers what was told."""

    def __init__(self, units: dict[str, str]) -> None:
        self._tally = Tally()
        self._units = units
        self._told = 0.0
        self._stored: dict[str, int] = {}

    def after(self, records: Sequence[Record], now: float) -> list[str]:
        """Returns the lines to tell after these records."""
        lines: list[str] = []
        for record in records:
            failed_before = len(self._tally.failures)
            self._tally.add(record)
            if record.event == "finished" and record.data.get("status") == "done":
                lines.append(self._done(record))
            elif len(self._tally.failures) > failed_before:
                lines.append(self._failed(record))
        self._told = self._told or now
        if now - self._told >= _SUMMARY_SECONDS or (self._tally.ended and records):
            self._told = now
            lines += self._summary(now)
        return lines

    def _done(self, record: Record) -> str:
        item = self._tally.stage(record.stage).items[record.item]
        work = count(item.units or 0.0, self._units.get(record.stage, "unit"))
        return safe(f"done {record.stage} {record.item}: {work} in {duration(item.seconds)}")

    def _failed(self, record: Record) -> str:
        failed = next(reversed(self._tally.failures.values()))
        known = " (known from before)" if failed.known else ""
        return safe(f"failed {failed.stage} {failed.item}: {failed.reason}{known}")

    def _summary(self, now: float) -> list[str]:
        lines = []
        for name, stage in self._tally.stages.items():
            expected = max((stage.expected or 0) - self._tally.absent(name), len(stage.items))
            at_work = 0 < stage.over < expected or (stage.items and stage.over < expected)
            news = stage.reused != self._stored.get(name, 0)
            if at_work or news:
                self._stored[name] = stage.reused
                lines.append(safe(self._stage(name, stage, expected, now)))
        return lines

    def _stage(self, name: str, stage: StageTally, expected: int, now: float) -> str:
        unit = self._units.get(name, "unit")
        parts = [f"{stage.over:,}/{count(expected, 'item')}"]
        parts += [f"{stage.reused:,} of them stored"] if stage.reused else []
        parts.append(f"{number(stage.units_done)}/{count(stage.total(), unit)}")
        speed, left = stage.rate(now), stage.eta(now, self._tally.absent(name))
        if stage.over < expected:
            parts += [rate(speed, unit)] if speed else []
            parts += [f"about {duration(left)} left"] if left is not None else []
        parts += [f"{stage.failed} failed"] if stage.failed else []
        return f"{name}: {', '.join(parts)}"
