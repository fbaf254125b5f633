"""The timeline of a run as geometry: lanes for assignments, bars for batches. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.engine.reporting.tally import Tally
from millrace.engine.reporting.tally_parts import AssignmentTally

WIDTH, LANE, LEFT, TOP = 1000.0, 22.0, 130.0, 24.0
_LANES = 60
_BARS = 2500  # more would make the page slow; each lane is then one bar
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)
_TICKS = 8


@dataclass(frozen=True)
class Box:
    """A bar: place and width in the drawing's units, what it is, and the words for it."""

    x: float
    width: float
    kind: str  # opening, good, failed
    title: str


@dataclass(frozen=True)
class Lane:
    """One assignment."""

    y: float
    label: str
    title: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Chart:
    """The whole drawing. `ticks` are (x, label)."""

    width: float
    height: float
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    left_out: int
    merged: bool


def chart(tally: Tally) -> Chart | None:
    """Returns the timeline, or None when the run handed out no work."""
    shown = sorted(tally.assignments.values(), key=lambda a: a.start)
    lanes = shown[:_LANES]
    if not lanes:
        return None
    begin = tally.started or lanes[0].start
    span = max([a.end for a in lanes] + [begin + 0.1]) - begin
    merged = sum(len(a.bars) for a in lanes) > _BARS
    scale = (WIDTH - LEFT - 10) / span
    drawn = tuple(_lane(n, a, begin, scale, merged) for n, a in enumerate(lanes))
    return Chart(
        width=WIDTH,
        height=TOP + LANE * len(drawn) + 4,
        lanes=drawn,
        ticks=tuple(_ticks(span, scale)),
        left_out=len(shown) - len(lanes),
        merged=merged,
    )


def _lane(number: int, work: AssignmentTally, begin: float, scale: float, merged: bool) -> Lane:
    opened = work.opened or min([bar.start for bar in work.bars] + [work.end])
    boxes = [_box(work.start, opened, begin, scale, "opening", "waiting, and opening the session")]
    if merged and work.bars:
        bad = sum(not bar.good for bar in work.bars)
        told = f"{len(work.bars)} batches" + (f", {bad} failed" if bad else "")
        kind = "failed" if bad else "good"
        boxes.append(_box(opened, work.end, begin, scale, kind, told))
    else:
        for bar in work.bars:
            kind = "good" if bar.good else "failed"
            told = f"{bar.item}: {bar.end - bar.start:.1f} s" + ("" if bar.good else ", failed")
            boxes.append(_box(bar.start, bar.end, begin, scale, kind, told))
    return Lane(
        y=TOP + LANE * number,
        label=f"{work.name} {work.stage}"[:20],
        title=f"assignment {work.name}, stage {work.stage}, on {work.device}",
        boxes=tuple(boxes),
    )


def _box(start: float, end: float, begin: float, scale: float, kind: str, title: str) -> Box:
    x = LEFT + (start - begin) * scale
    return Box(round(x, 2), round(max(1.5, (end - start) * scale), 2), kind, title)


def _ticks(span: float, scale: float) -> list[tuple[float, str]]:
    step = next((s for s in _STEPS if span / s <= _TICKS), _STEPS[-1] * -(-span // _STEPS[-1] // 8))
    count = int(span / step) + 1
    return [(round(LEFT + n * step * scale, 2), _clock(n * step, step)) for n in range(count)]


def _clock(seconds: float, step: float) -> str:
    if step < 1:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
