"""What a person sees of a run under way, on a terminal and in a log."""

from __future__ import annotations

import io
import time
from pathlib import Path

from rich.console import Console

from millrace.cli.progress_lines import Lines
from millrace.cli.progress_table import table
from millrace.engine.journal import Journal, Record
from millrace.engine.reporting import liveness
from millrace.engine.reporting.tally import Tally
from millrace.engine.runs import Run

UNITS = {"master": "frame"}


def record(event: str, item: str = "", at: float = 100.0, **data: object) -> Record:
    return Record(event, at, "master", item, data)


def shown(records: list[Record], now: float, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(table(Tally(records), "r1", UNITS, now))
    return console.file.getvalue()  # type: ignore[attr-defined]


def half_way() -> list[Record]:
    return [
        record("expected", items=2),
        record("measured", "a.mp4", units=100, load=100, notes=[]),
        record("measured", "b.mp4", units=100, load=100, notes=[]),
        record("done", "a.mp4", at=110, key="a", units=100, seconds=10.0),
        record("finished", "a.mp4", at=110, status="done"),
    ]


def test_the_table_tells_items_units_speed_and_time_left() -> None:
    text = shown(half_way(), now=110)
    for words in ("run r1", "running", "1/2", "100/200 frames", "10 frames/s", "10 s"):
        assert words in text


def test_the_table_shows_the_newest_failures_and_how_many_there_are() -> None:
    failures = [
        record("failed", f"{n}.mp4", key="", code="empty", message=f"{n}.mp4 is \x1b[2Jempty")
        for n in range(9)
    ]
    text = shown(half_way() + failures, now=110)
    assert "8.mp4 is \\x1b[2Jempty" in text
    assert "0.mp4" not in text
    assert "9 failures in all" in text


def test_ten_thousand_items_are_drawn_fast_enough_for_five_updates_a_second() -> None:
    records = [record("expected", items=10_000)]
    for n in range(10_000):
        at = 100 + n * 0.01
        records += [
            record("measured", f"{n}", at=at, units=1, load=1, notes=[]),
            record("done", f"{n}", at=at, key=f"{n}", units=1, seconds=0.1),
            record("finished", f"{n}", at=at, status="done"),
        ]
    tally = Tally(records)
    console = Console(file=io.StringIO(), width=120)
    began = time.process_time()
    for _ in range(10):
        console.print(table(tally, "r1", UNITS, 200.0))
    assert (time.process_time() - began) / 10 < 0.1


def test_lines_tell_each_item_that_is_done_or_failed_once() -> None:
    lines = Lines(UNITS)
    first = lines.after(half_way(), 110.0)
    assert first == ["done master a.mp4: 100 frames in 10 s"]
    bad = record("failed", "b.mp4", at=111, key="k", code="x", message="b.mp4 is bad", known=True)
    assert lines.after([bad, bad], 111.0) == [
        "failed master b.mp4: b.mp4 is bad (known from before)"
    ]


def test_lines_sum_up_every_ten_seconds_while_a_stage_is_at_work() -> None:
    lines = Lines(UNITS)
    lines.after(half_way(), 110.0)
    assert lines.after([], 115.0) == []
    (summary,) = lines.after([], 120.5)
    assert summary.startswith("master: 1/2 items, 100/200 frames")
    assert "left" in summary
    assert lines.after([], 121.0) == []


def test_lines_sum_up_what_was_stored_instead_of_naming_it() -> None:
    records = [record("expected", items=1000)]
    for n in range(1000):
        records += [
            record("measured", f"{n}", units=1, load=1, notes=[]),
            record("reused", f"{n}", key=f"{n}", units=1, seconds=1.0),
            record("finished", f"{n}", status="reused"),
        ]
    end = record("ended", state="succeeded", items={}, seconds=1.0)
    lines = Lines(UNITS).after([*records, end], 110.0)
    assert lines == ["master: 1,000/1,000 items, 1,000 of them stored, 1,000/1,000 frames"]


def test_a_run_whose_process_is_gone_without_an_end_has_died(tmp_path: Path) -> None:
    run = Run("r1", tmp_path)
    assert liveness.state(run) == "died"
    with run.held():
        assert liveness.state(run) == "running"
    assert liveness.state(run) == "died"
    Journal(run.journal, "conductor").write("ended", state="failed", interrupted=True)
    assert liveness.state(run) == "interrupted"
