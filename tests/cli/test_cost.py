"""`millrace cost`: a person sees what a run cost, and a broken journal is no zero."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millrace.engine.journal import Record
from millrace.engine.pipeline import load
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import settings
from tests.cli.conftest import Millrace

PIPELINE = """
version: 1
name: copy
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""
BILL = {"state": "preempted", "held": 100.0, "cost": 1.0}


@pytest.fixture
def run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "plugins" / "faults"))
    order = Order(pipeline=load(PIPELINE, base=tmp_path), base=tmp_path, on="fleet")
    return Runs(settings()).create(order)


def write(run: Run, bill: dict[str, object]) -> None:
    where = {"pool": "burst", "basis": "spot", "price": 36.0, "currency": "EUR"}
    records = [
        Record(
            "assigned", 1.0, "one", "", {"assignment": "a1", "seconds": 80.0, "cost": 0.8, **where}
        ),
        Record("done", 61.0, "one", "x", {"assignment": "a1", "key": "k", "seconds": 60.0}),
        Record("closed", 101.0, "one", "", {"assignment": "a1", **bill}),
    ]
    (run.journal / "c.jsonl").write_text("".join(record.line() for record in records))


def test_a_run_is_accounted_for(run: Run, millrace: Millrace) -> None:
    write(run, dict(BILL))
    shown = millrace("cost", "last")
    assert shown.returncode == 0, shown.stderr
    assert "cost 1.00 EUR, estimated 0.80 EUR" in shown.stdout
    assert "lost attempts: 0.40 EUR" in shown.stdout
    assert "there is no fleet to compare with" in shown.stdout

    told = json.loads(millrace("cost", run.id, "--json").stdout)
    assert told["actual"] == [{"amount": 1.0, "currency": "EUR"}]
    assert told["lines"][0]["ends"] == {"preempted": 1}
    assert told["lines"][0]["parts"]["lost"]["seconds"] == pytest.approx(40)


def test_a_bill_that_is_no_number_is_an_error_and_no_zero(run: Run, millrace: Millrace) -> None:
    write(run, BILL | {"cost": float("nan")})
    shown = millrace("cost", "last")
    assert shown.returncode != 0
    assert "cannot be told" in shown.stderr and "Traceback" not in shown.stderr
    assert "0.00" not in shown.stdout
