"""A tally as the live table of a terminal. Pure: the same tally and time give the same table."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from millrace.engine.reporting.tally import Tally
from millrace.engine.reporting.tally_parts import StageTally
from millrace.engine.reporting.words import count, duration, number, rate, safe

_FAILURES = 3


def table(tally: Tally, run: str, units: dict[str, str], now: float) -> RenderableType:
    """Returns the table: for each stage a bar, items, units, units/s, time left, failures."""
    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column("stage", no_wrap=True, max_width=20)
    grid.add_column("", width=20)
    for column in ("items", "work", "speed", "left", "failed"):
        grid.add_column(column, justify="right", no_wrap=True)
    for name, stage in tally.stages.items():
        grid.add_row(*_row(stage, tally.absent(name), units.get(name, "unit"), now))
    parts: list[RenderableType] = [_head(tally, run, now), grid]
    failures = list(tally.failures.values())
    for failed in failures[-_FAILURES:]:
        line = safe(f"failed: {failed.item} ({failed.stage}): {failed.reason}")
        parts.append(Text(line, style="red", overflow="ellipsis", no_wrap=True))
    if len(failures) > _FAILURES:
        parts.append(Text(f"… {len(failures)} failures in all", style="red"))
    return Group(*parts)


def _head(tally: Tally, run: str, now: float) -> Text:
    elapsed = tally.seconds if tally.ended else (now - tally.started if tally.started else 0.0)
    state = "stopping" if tally.stopped_by and not tally.ended else tally.state
    return Text.assemble(("run ", "dim"), (run, "bold"), f"  {state}  {duration(elapsed)}")


def _row(stage: StageTally, absent: int, unit: str, now: float) -> tuple[RenderableType, ...]:
    expected = max((stage.expected or 0) - absent, len(stage.items))
    speed, left = stage.rate(now), stage.eta(now, absent)
    over = expected > 0 and stage.over >= expected
    total = stage.total(absent)
    guessed = "~" if stage.measured < expected else ""
    work = f"{number(stage.units_done)}/{guessed}{count(total, unit)}" if total else "–"
    items = f"{stage.over:,}/{expected:,}"
    if stage.reused:
        items += f" ({stage.reused:,} stored)"
    return (
        Text(safe(stage.name)),
        ProgressBar(total=1.0, completed=1.0 if over else stage.fraction(absent), width=20),
        Text(items),
        Text(work),
        Text(rate(speed, unit) if speed and not over else "–"),
        Text("done" if over else duration(left) if left is not None else "–"),
        Text(str(stage.failed), style="bold red" if stage.failed else "dim"),
    )
