"""The ledger learns from what work took, and no trouble with it ever fails a run."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.cost import Money
from millrace.engine.errors import StoreError, ToolMissing, UsageError
from millrace.engine.ledger import Ledger, Rate, Row, recent_median

ROW = Row(
    at=1000.0,
    kind="video.encode",
    version=1,
    device="NVIDIA L4",
    pace="h264",
    seconds=10.0,
    load=50.0,
)
PRIOR = Rate(7.0, 1.5, 0, "prior")


def rate(ledger: Ledger, pace: str = "h264", device: str = "NVIDIA L4", version: int = 1) -> Rate:
    return ledger.rate("video.encode", version, pace, device, prior=7.0, start=1.5)


def test_without_history_the_prior_answers_and_no_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "home" / "ledger.db"
    assert rate(Ledger(path)) == PRIOR
    assert not path.parent.exists()


def test_what_is_recorded_is_read_back_whole(tmp_path: Path) -> None:
    rows = [
        replace(ROW, at=1.0, joules=12.5, cost=0.25, currency="USD", units=50, bytes_in=1 << 40),
        replace(ROW, at=2.0, state="failed", host="a", pool="b", bytes_out=3),
    ]
    Ledger(tmp_path / "ledger.db").record(rows)
    assert Ledger(tmp_path / "ledger.db").rows() == rows
    assert Ledger(tmp_path / "ledger.db").rows(since=1.5) == rows[1:]


def test_a_rate_comes_from_batches_of_the_same_pace(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record([ROW, replace(ROW, pace="av1", load=10.0)])
    assert rate(ledger) == Rate(5.0, 1.5, 1, "ledger")
    assert rate(ledger, pace="av1") == Rate(1.0, 1.5, 1, "ledger")


def test_a_pace_never_seen_borrows_from_the_other_paces_of_that_device(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record([ROW])
    assert rate(ledger, pace="hevc") == Rate(5.0, 1.5, 1, "ledger")


def test_another_device_or_version_teaches_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record([ROW])
    assert rate(ledger, device="NVIDIA H100") == PRIOR
    assert rate(ledger, version=2) == PRIOR


def test_failed_and_empty_batches_teach_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record([replace(ROW, state="failed"), replace(ROW, load=0.0), replace(ROW, seconds=0.0)])
    assert rate(ledger) == PRIOR


def test_the_start_of_sessions_is_learned_apart_from_their_speed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    opened = replace(ROW, state="opened", load=0.0, pace="")
    ledger.record([ROW, *(replace(opened, seconds=s) for s in (4.0, 4.0, 90.0))])
    assert rate(ledger) == Rate(5.0, 4.0, 1, "ledger")


def test_a_machine_that_slept_does_not_spoil_the_rate(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    good = [replace(ROW, at=float(i)) for i in range(9)]
    ledger.record([*good, replace(ROW, at=99.0, seconds=36_000.0)])
    assert rate(ledger).load_per_second == 5.0


def test_newer_batches_outweigh_a_longer_past(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record([replace(ROW, at=float(i)) for i in range(100)])
    ledger.record([replace(ROW, at=1000.0 + i, load=100.0) for i in range(30)])
    assert rate(ledger).load_per_second == 10.0


def test_an_answer_is_kept_until_something_is_recorded(tmp_path: Path) -> None:
    ledger, other = Ledger(tmp_path / "ledger.db"), Ledger(tmp_path / "ledger.db")
    assert rate(ledger) == PRIOR
    other.record([ROW])
    assert rate(ledger) == PRIOR
    ledger.record([replace(ROW, kind="video.upscale")])
    assert rate(ledger).source == "ledger"


speeds = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60)


@given(speeds, st.data())
def test_a_faster_batch_never_lowers_the_rate(values: list[float], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(values) - 1))
    faster = [*values]
    faster[index] *= data.draw(st.floats(1.0, 100.0))
    assert recent_median(faster) >= recent_median(values)


@given(speeds)
def test_a_rate_lies_among_what_was_seen(values: list[float]) -> None:
    assert recent_median(values) in values


def test_a_median_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no values"):
        recent_median([])


WRITER = """
import sys
from millrace.engine.ledger import Ledger, Row
ledger = Ledger(sys.argv[1], warn=lambda text: sys.exit(text))
for i in range(20):
    ledger.record([Row(at=float(i), kind="k", version=1, device="CPU", seconds=1.0)] * 5)
"""


def test_processes_that_write_at_once_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(w.communicate()[1], w.returncode) for w in writers] == [(b"", 0)] * 4
    assert len(Ledger(path).rows()) == 4 * 20 * 5


def test_a_damaged_file_is_moved_aside_and_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database" * 300)
    said: list[str] = []
    ledger = Ledger(path, warn=said.append)
    assert rate(ledger) == PRIOR
    assert "priors" in said[0]
    ledger.record([ROW])
    assert "begins anew" in said[1]
    assert rate(ledger).source == "ledger"
    (kept,) = tmp_path.glob("ledger.db.damaged-*")
    assert kept.read_bytes().startswith(b"this is no database")
    assert len(said) == 2


def test_a_file_damaged_in_the_middle_costs_a_warning_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).record([replace(ROW, at=float(i)) for i in range(5000)])
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    said: list[str] = []
    ledger = Ledger(path, warn=said.append)
    assert rate(ledger) == PRIOR
    ledger.record([ROW])
    assert rate(ledger).source == "ledger"
    assert len(said) == 2


def test_a_table_of_a_foreign_schema_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE work_2 (id INTEGER PRIMARY KEY, at REAL, kind TEXT)")
    said: list[str] = []
    ledger = Ledger(path, warn=said.append)
    assert rate(ledger) == PRIOR
    ledger.record([ROW])
    assert ledger.rows() == [ROW]
    assert len(said) == 2


OLD_COLUMNS = (
    "at, kind, version, device, seconds, pace, host, pool, units, load, bytes_in, bytes_out, "
    "joules, cost, currency, state"
)


def test_what_an_older_millrace_has_learnt_stays_usable(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE work_1 (id INTEGER PRIMARY KEY, {OLD_COLUMNS})")
        old = (1.0, "video.encode", 1, "NVIDIA L4", 10.0, "h264", "", "here", 50.0, 50.0)
        marks = ", ".join("?" * 16)
        database.execute(
            f"INSERT INTO work_1 ({OLD_COLUMNS}) VALUES ({marks})",
            (*old, 0, 0, None, 0.5, "EUR", "done"),
        )
    ledger = Ledger(path, warn=pytest.fail)
    assert rate(ledger) == Rate(5.0, 1.5, 1, "ledger")
    assert [row.cost for row in ledger.rows()] == [0.5]
    ledger.record([replace(ROW, run="r1", assignment="a1", basis="spot", price=0.3)])
    assert rate(ledger).n == 2
    assert [row.basis for row in ledger.rows()] == ["", "spot"]
    assert [row.at for row in ledger.rows(run="r1")] == [ROW.at]
    assert ledger.spent(since=0, pools=["here"]) == (Money(amount=0.5, currency="EUR"),)


def test_an_old_table_that_is_none_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE work_1 (id INTEGER PRIMARY KEY, at REAL, kind TEXT)")
    ledger = Ledger(path, warn=pytest.fail)
    ledger.record([ROW])
    assert ledger.rows() == [ROW]


def test_a_pool_is_judged_by_its_own_batches_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record([replace(ROW, pool="burst", load=20.0), replace(ROW, pool="studio", load=80.0)])

    def of(pool: str, device: str) -> float:
        found = ledger.rate("video.encode", 1, "h264", device, prior=7.0, pool=pool)
        return found.load_per_second

    assert of("burst", "NVIDIA L4") == 2.0
    assert of("studio", "NVIDIA L4") == 8.0
    assert of("elsewhere", "NVIDIA L4") in (2.0, 8.0)
    assert of("burst", "NVIDIA H100") == 2.0
    assert of("elsewhere", "NVIDIA H100") == 7.0


def test_a_cpu_pool_is_not_judged_by_the_cpu_of_whoever_asks(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    mine = replace(ROW, device="CPU of mine")
    theirs = replace(ROW, device="CPU of theirs", pool="farm", load=100.0)
    on_a_gpu = replace(ROW, pool="farm", load=1000.0)
    ledger.record([mine, theirs, on_a_gpu])
    asked = ledger.rate("video.encode", 1, "h264", "CPU of mine", prior=7.0, pool="farm")
    assert asked.load_per_second == 10.0
    other = ledger.rate("video.encode", 1, "h264", "CPU of mine", prior=7.0, pool="new")
    assert other.load_per_second == 5.0


def test_what_batches_take_whatever_their_size_is_learnt_apart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    loads = [1.0, 2.0, 4.0, 100.0, 3.0, 50.0, 2.0, 1.0]
    ledger.record(
        replace(ROW, at=float(n), load=load, seconds=1.5 + load / 4) for n, load in enumerate(loads)
    )
    found = rate(ledger)
    assert found.load_per_second == pytest.approx(4.0)
    assert found.overhead_seconds == pytest.approx(1.5)


def test_what_runs_cost_is_summed_by_currency_and_without_some_runs(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    row = replace(ROW, pool="burst", run="r1", cost=2.0, price=1.0)
    ledger.record(
        [
            row,
            replace(row, state="idle", cost=0.5),
            replace(row, state="lost", run="r2", cost=4.0),
            replace(row, currency="USD", cost=8.0),
            replace(row, at=1.0, cost=100.0),
            replace(row, pool="here", cost=100.0),
        ]
    )

    def spent(*without: str) -> dict[str, float]:
        found = ledger.spent(since=500.0, pools=["burst"], without=without)
        return {money.currency: money.amount for money in found}

    assert spent() == {"EUR": 6.5, "USD": 8.0}
    assert spent("r1") == {"EUR": 4.0}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", ["seconds", "cost", "price"])
def test_a_row_that_would_spoil_every_sum_is_refused(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=name):
        replace(ROW, **{name: wrong})  # type: ignore[arg-type]


def test_a_table_of_an_older_version_is_left_in_peace(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE work_0 (kind TEXT)")
        database.execute("INSERT INTO work_0 VALUES ('old')")
    Ledger(path, warn=pytest.fail).record([ROW])
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT kind FROM work_0").fetchall() == [("old",)]


def test_a_locked_ledger_loses_rows_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    said: list[str] = []
    ledger = Ledger(path, warn=said.append, busy_timeout=0.1)
    ledger.record([ROW])
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    ledger.record([ROW, ROW])
    blocker.execute("ROLLBACK")
    assert said == ["the ledger lost 2 rows: database is locked"]
    assert ledger.rows() == [ROW]


def test_a_place_that_cannot_be_written_loses_rows_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    said: list[str] = []
    ledger = Ledger(tmp_path / "file" / "ledger.db", warn=said.append)
    ledger.record([ROW])
    assert len(said) == 1
    assert "lost 1 rows" in said[0]
    assert rate(ledger) == PRIOR


def test_a_report_from_a_damaged_ledger_is_a_store_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database" * 300)
    with pytest.raises(StoreError, match="cannot be read"):
        Ledger(path).rows()


def test_an_address_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="address"):
        Ledger("nonsense://nowhere")


def test_a_database_without_its_driver_names_the_package() -> None:
    with pytest.raises(ToolMissing, match="pymysql"):
        Ledger("mysql+pymysql://host/name")


def test_the_oldest_rows_go_beyond_the_limit(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", limit=10)
    for i in range(8):
        ledger.record([replace(ROW, at=float(i * 10 + j)) for j in range(4)])
    assert [row.at for row in ledger.rows()] == [
        float(i * 10 + j) for i in (5, 6, 7) for j in range(4)
    ][2:]


@pytest.mark.slow
def test_a_hundred_thousand_rows_answer_in_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    paces = [f"pace-{i}" for i in range(20)]
    Ledger(path).record(
        replace(ROW, at=float(i), pace=paces[i % 20], load=float(1 + i % 7)) for i in range(100_000)
    )
    ledger = Ledger(path)
    rate(ledger, pace="warm-up")
    before = time.process_time()
    for pace in paces:
        assert rate(ledger, pace=pace).n == 200
    assert (time.process_time() - before) / len(paces) < 0.05
