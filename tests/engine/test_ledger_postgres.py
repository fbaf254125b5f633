"""The ledger on a real PostgreSQL server: what it learns there is what it learns on SQLite."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from millrace.engine.cost import Money
from millrace.engine.ledger import Ledger, Row
from tests.postgres import postgres

ROW = Row(
    at=1000.0,
    kind="video.encode",
    version=1,
    device="NVIDIA L4",
    pace="h264",
    seconds=10.0,
    load=50.0,
    pool="burst",
    basis="spot",
    price=0.3,
    cost=0.25,
    run="r1",
    assignment="a1",
)


WRITER = """
import sys
from millrace.engine.ledger import Ledger, Row
ledger = Ledger(sys.argv[1], warn=lambda text: sys.exit(text))
for i in range(10):
    ledger.record([Row(at=float(i), kind="k", version=1, device="CPU", seconds=1.0)] * 5)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


def test_a_ledger_in_postgresql_is_written_read_and_learnt_from(server: str) -> None:
    command = [sys.executable, "-c", WRITER, server]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [(w.communicate()[1], w.returncode) for w in writers] == [(b"", 0)] * 2

    ledger = Ledger(server, warn=pytest.fail, limit=1000)
    assert len(ledger.rows()) == 2 * 10 * 5
    rows = [replace(ROW, at=1000.0 + n, load=n * 10.0, seconds=2 + n * 2.0) for n in range(1, 9)]
    idle = replace(ROW, at=2000.0, state="idle", currency="USD", cost=1.0, load=0.0)
    ledger.record([*rows, idle])
    assert ledger.rows(run="r1") == [*rows, idle]
    found = ledger.rate("video.encode", 1, "h264", "NVIDIA L4", prior=7.0, pool="burst")
    assert found.load_per_second == pytest.approx(5.0)
    assert found.overhead_seconds == pytest.approx(2.0)
    assert ledger.spent(since=1000.0, pools=["burst"]) == (
        Money(amount=2.0, currency="EUR"),
        Money(amount=1.0, currency="USD"),
    )
    assert ledger.spent(since=1000.0, pools=["burst"], without=["r1"]) == ()


def test_the_oldest_rows_go_beyond_the_limit_there_too(server: str) -> None:
    ledger = Ledger(server, warn=pytest.fail, limit=10)
    ledger.record(replace(ROW, at=5000.0 + n) for n in range(20))
    assert [row.at for row in ledger.rows()] == [5010.0 + n for n in range(10)]
