"""Stages with an effect outside the store: always run, with what is there, and tried again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from millrace.engine import retries
from millrace.engine.settings import settings
from millrace.engine.verify import verify
from millrace.testing import conformance
from tests.engine.runs.conftest import Workshop

TOKEN = "correct-horse-battery"
LEDGER = """
version: 1
name: ledger
label: internal
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
  enter: {uses: faults.enter, all: one, with: {ledger: LEDGER}}
outputs:
  receipt: {from: enter, to: out/receipt.json}
"""


def _text(shop: Workshop) -> str:
    return LEDGER.replace("LEDGER", str(shop.folder / "ledger"))


def _receipt(shop: Workshop) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shop.folder / "out" / "receipt.json").read_text())
    return found


def _ledger(shop: Workshop) -> list[str]:
    return (shop.folder / "ledger").read_text().splitlines()


@pytest.fixture
def books(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("FAULTS_TOKEN", TOKEN)
    monkeypatch.setattr(retries, "PAUSES", (0.05,))
    monkeypatch.setattr("millrace.engine.tickets.PAUSES", (0.05,))
    shop.file("a.txt", "fine")
    shop.file("b.txt", "good")
    return shop


@pytest.mark.slow
def test_an_effect_runs_every_time_and_what_comes_before_it_is_reused(books: Workshop) -> None:
    assert books.run(_text(books)).items == {"done": 3, "reused": 0, "failed": 0}
    assert _receipt(books)["new"] == 2
    again = books.run(_text(books))
    assert again.items == {"done": 1, "reused": 2, "failed": 0}
    assert _receipt(books)["new"] == 0
    assert _ledger(books) == ["fine", "good"]
    (why,) = {e["why"] for e in books.events("done")}
    assert str(why).startswith("always run")
    assert verify(books.runs[-1], settings()).doubts == ()
    stage = next(s for s in books.plan(_text(books)).stages if s.name == "enter")
    assert (stage.effect, stage.reused, stage.items) == (True, 0, 1)


@pytest.mark.slow
def test_an_effect_gathers_what_is_there_and_is_told_what_failed_or_was_left_out(
    books: Workshop,
) -> None:
    rotten = books.file("c.txt", "!bad-run")
    outcome = books.run(_text(books))
    assert [(f.stage, f.item) for f in outcome.failures] == [("one", "c.txt")]
    digest = hashlib.sha256(rotten.read_bytes()).hexdigest()
    assert _receipt(books)["absent"] == [digest]
    assert _receipt(books)["complete"] is True
    books.file("c.txt", "")
    books.run(_text(books))
    assert _receipt(books)["absent"] == [""]
    assert books.plan(_text(books)).stages[-1].refused == 0
    books.run(_text(books), limit=1)
    assert _receipt(books) == {"new": 0, "token": len(TOKEN), "absent": [], "complete": False}
    books.run(_text(books), only="enter")
    assert _receipt(books)["complete"] is False


@pytest.mark.slow
def test_a_service_that_is_away_is_waited_for_within_the_limit(books: Workshop) -> None:
    away = books.folder / "ledger.away"
    away.write_text("once")
    assert books.run(_text(books)).state == "succeeded"
    assert [e["code"] for e in books.events("lost")] == ["unreachable"]
    away.write_text("for good")
    outcome = books.run(_text(books))
    (failed,) = outcome.failures
    assert (failed.stage, failed.code) == ("enter", "unreachable")
    assert len(books.events("lost")) == retries.LIMITS["outage"]
    assert "4 times" in failed.reason
    assert outcome.items == {"done": 0, "reused": 2, "failed": 1}
    away.unlink()
    assert books.run(_text(books)).state == "succeeded"


@pytest.mark.slow
def test_a_secret_reaches_the_session_that_works_and_no_log_and_no_record(books: Workshop) -> None:
    (books.folder / "ledger.away").write_text("for good")
    books.run(_text(books))
    (books.folder / "ledger.away").unlink()
    books.run(_text(books))
    assert _receipt(books)["token"] == len(TOKEN)
    logs = "".join(log.read_text() for run in books.runs for log in run.log_files)
    assert "the token is •••" in logs
    for run in books.runs:
        for path in (p for p in run.folder.rglob("*") if p.is_file()):
            assert TOKEN.encode() not in path.read_bytes(), path
    measured = [m for m in _outlines() if "token" in m]
    assert measured
    assert all('"token":false' in m for m in measured)


def _outlines() -> list[str]:
    import sqlite3

    with sqlite3.connect(settings().measurements) as database:
        listing = database.execute("select name from sqlite_master where type='table'")
        tables = [name for (name,) in listing]
        rows = [row for table in tables for row in database.execute(f"select * from {table}")]
    return [str(value) for row in rows for value in row if isinstance(value, str)]


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("forgetful", [False, True])
def test_the_kit_asks_that_an_effect_applied_twice_changes_nothing(
    tmp_path: Path, forgetful: bool
) -> None:
    good, bad, ledger = tmp_path / "good", tmp_path / "bad", tmp_path / "ledger"
    for folder, text in ((good, "fine"), (bad, "!rotten")):
        folder.mkdir()
        (folder / "a.txt").write_text(text)

    def check() -> None:
        conformance(
            "faults.enter",
            {"ledger": str(ledger), "forgetful": forgetful},
            good=[good],
            bad=[bad],
            tmp=tmp_path / "kit",
            outside=lambda: ledger.read_text() if ledger.exists() else "",
        )

    if forgetful:
        with pytest.raises(AssertionError, match="changed what it had written"):
            check()
    else:
        check()
