"""A budget counts what is spent and what is in flight, of all runs, and is never overstepped by
more than predictions were wrong for what is out."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.budgets import Budget, month_start, spending
from millrace.engine.errors import StoreError
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.journal import Journal, Record
from millrace.engine.ledger import Ledger, Row
from millrace.engine.pipeline import Pipeline, load
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings
from millrace.engine.spells import of

FLEET = """
version: 1
currency: EUR
{month}
stores: {{home: {{clearance: restricted}}}}
exchange:
  USD: {{rate: 0.5, source: a test, date: 2026-11-01}}
pools:
  burst:
    where: cloud
    clearance: restricted
    cores: 2
    memory: 2 GiB
    store: home
    prices:
      on_demand: {{amount: 1.0, currency: EUR, source: a test, date: 2026-11-01}}
"""
PIPELINE = """
version: 1
name: copy
inputs:
  files: {{files: "in/*.txt"}}
stages:
  one: {{uses: faults.bytes, each: files}}
outputs:
  copies: {{from: one, to: "out/{{source.path}}.txt"}}
{goal}
"""
NOW = 1_800_000_000.0  # 15 January 2027


@dataclass
class Till:
    """Runs on a fleet with limits, whose journals the test writes."""

    folder: Path
    here: Settings
    month: str = ""
    clock: float = NOW
    pipeline: Pipeline = field(init=False)

    def fleet(self) -> Fleet:
        path = self.folder / "pools.yaml"
        month = f"monthly_budget: {self.month}" if self.month else ""
        path.write_text(FLEET.format(month=month))
        return load_fleet(path)

    def run(self, goal: str = "") -> Run:
        text = PIPELINE.format(goal=f"goal: {{budget: {goal}}}" if goal else "")
        self.pipeline = load(text, base=self.folder)
        return Runs(self.here).create(Order(pipeline=self.pipeline, base=self.folder, on="fleet"))

    def budget(self, run: Run) -> Budget:
        pipeline = run.order().pipeline
        return Budget(run, pipeline, self.fleet(), self.here, clock=lambda: self.clock)

    def write(self, run: Run, event: str, at: float | None = None, **data: object) -> None:
        line = Record(event, self.clock if at is None else at, "one", data=data).line()
        with (run.journal / "desk.jsonl").open("a") as file:
            file.write(line)

    def assign(self, run: Run, name: str, cost: float, price: float = 3600.0) -> None:
        self.write(
            run,
            "assigned",
            assignment=name,
            pool="burst",
            basis="on_demand",
            price=price,
            currency="EUR",
            seconds=cost * 3600 / price,
            cost=cost,
        )

    def close(self, run: Run, name: str, cost: float, at: float | None = None) -> None:
        self.write(run, "closed", at, assignment=name, state="completed", held=cost, cost=cost)


@pytest.fixture
def till(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Till:
    plugins = Path(__file__).parents[1] / "plugins" / "faults"
    monkeypatch.syspath_prepend(str(plugins))
    return Till(tmp_path, settings())


def left(budget: Budget, committed: float = 0.0) -> float:
    money = budget.left(committed)
    assert money is not None and money.currency == "EUR"
    return money.amount


def test_without_a_limit_there_is_nothing_to_keep(till: Till) -> None:
    assert till.budget(till.run()).left() is None


def test_what_is_in_flight_is_as_good_as_spent(till: Till) -> None:
    run = till.run("10 EUR")
    budget = till.budget(run)
    assert left(budget) == 10
    till.assign(run, "a1", cost=4.0)
    till.assign(run, "a2", cost=1.0)
    assert left(budget) == 5
    till.close(run, "a1", cost=2.5)
    assert left(budget) == 6.5


def test_what_takes_longer_than_predicted_counts_as_it_goes(till: Till) -> None:
    run = till.run("10 EUR")
    budget = till.budget(run)
    till.assign(run, "a1", cost=2.0)
    till.write(run, "opened", assignment="a1", seconds=1.0, device="CPU")
    till.clock += 6
    assert left(budget) == pytest.approx(4)
    assert left(budget, committed=3.0) == pytest.approx(1)
    till.clock += 60
    assert left(budget) == 0


def test_failed_and_preempted_assignments_are_paid_too(till: Till) -> None:
    run = till.run("10 EUR")
    till.assign(run, "a1", cost=1.0)
    till.write(run, "closed", assignment="a1", state="preempted", held=3.0, cost=3.0)
    assert left(till.budget(run)) == 7


def test_the_month_is_shared_by_all_runs(till: Till) -> None:
    till.month = "{amount: 100, currency: EUR}"
    other, ended, mine = till.run(), till.run(), till.run("50 EUR")
    till.assign(other, "a1", cost=20.0)
    till.assign(ended, "a1", cost=9.0)
    till.close(ended, "a1", cost=5.0)
    till.write(ended, "ended", state="succeeded")
    row = Row(NOW, "faults.bytes", 1, "CPU", 5.0, pool="burst", cost=5.0, run=ended.id)
    Ledger(till.here.ledger).record(
        [
            row,
            Row(NOW, "faults.bytes", 1, "CPU", 5.0, pool="burst", cost=8.0, currency="USD"),
            Row(month_start(NOW) - 1, "faults.bytes", 1, "CPU", 5.0, pool="burst", cost=70.0),
            Row(NOW, "faults.bytes", 1, "CPU", 5.0, pool="here", cost=70.0),
        ]
    )
    budget = till.budget(mine)
    assert left(budget) == 50
    till.assign(mine, "a1", cost=1.0)
    till.month = "{amount: 40, currency: EUR}"
    assert left(till.budget(mine)) == 40 - 20 - 5 - 4 - 1


def test_what_was_closed_last_month_is_not_of_this_one(till: Till) -> None:
    till.month = "{amount: 10, currency: EUR}"
    run = till.run()
    till.clock = month_start(NOW) - 100
    till.assign(run, "a1", cost=3.0)
    till.close(run, "a1", cost=3.0)
    till.clock = NOW
    assert left(till.budget(run)) == 10


def test_a_ledger_that_cannot_be_read_is_not_taken_for_an_empty_one(till: Till) -> None:
    till.month = "{amount: 10, currency: EUR}"
    run = till.run()
    till.here.ledger.parent.mkdir(parents=True, exist_ok=True)
    till.here.ledger.write_bytes(b"this is no database" * 300)
    with pytest.raises(StoreError, match="cannot be read"):
        till.budget(run).left()


def test_a_ledger_that_goes_away_later_ends_no_run(till: Till) -> None:
    till.month = "{amount: 10, currency: EUR}"
    budget = till.budget(till.run())
    before = budget.left()
    assert before and before.amount == 10
    till.here.ledger.parent.mkdir(parents=True, exist_ok=True)
    till.here.ledger.write_bytes(b"this is no database" * 300)
    till.clock += 60
    assert budget.left() == before


@pytest.mark.parametrize("price", [float("nan"), -1.0])
def test_a_price_that_cannot_be_is_no_price(till: Till, price: float) -> None:
    run = till.run("10 EUR")
    till.assign(run, "a1", cost=1.0, price=price)
    with pytest.raises(ValueError, match="price"):
        till.budget(run).left()


def test_work_without_a_price_is_not_free(till: Till) -> None:
    run = till.run("10 EUR")
    till.write(run, "assigned", assignment="a1", pool="burst", seconds=5.0)
    with pytest.raises(ValueError, match="no price"):
        till.budget(run).left()


def test_a_workers_impossible_seconds_change_no_bill(till: Till) -> None:
    run = till.run("10 EUR")
    till.assign(run, "a1", cost=4.0)
    till.write(run, "done", assignment="a1", key="k", seconds=float("nan"))
    assert left(till.budget(run)) == 6


costs = st.floats(0.01, 10.0)


@given(
    limit=st.floats(0.1, 50.0),
    work=st.lists(st.tuples(costs, st.floats(0.1, 3.0)), min_size=1, max_size=40),
    slots=st.integers(1, 4),
)
def test_a_run_never_overspends_by_more_than_predictions_were_wrong(
    limit: float, work: list[tuple[float, float]], slots: int
) -> None:
    """Whoever places only what `left` covers; with one slot, one assignment's error at most."""
    fleet = _fleet()
    records: list[Record] = []
    out: dict[str, tuple[float, float]] = {}
    spent, wrong = 0.0, 0.0
    worst = 0.0

    def room() -> float:
        return limit - spending(of(records), fleet, NOW).committed

    def settle() -> None:
        nonlocal spent
        name, (_, actual) = next(iter(out.items()))
        del out[name]
        spent += actual
        data = {"assignment": name, "state": "completed", "held": actual, "cost": actual}
        records.append(Record("closed", NOW, "one", data=data))

    for n, (predicted, factor) in enumerate(work):
        while len(out) >= slots:
            settle()
        if predicted > room():
            continue
        name, actual = f"a{n}", predicted * factor
        out[name] = (predicted, actual)
        wrong = sum(max(0.0, a - p) for p, a in out.values())
        worst = max(worst, wrong)
        data = {"assignment": name, "pool": "burst", "price": 1.0, "currency": "EUR"}
        records.append(Record("assigned", NOW, "one", data=data | {"cost": predicted}))
    while out:
        settle()
    assert spent <= limit + worst + 1e-6


def _fleet() -> Fleet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pools.yaml"
        path.write_text(FLEET.format(month=""))
        return load_fleet(path)


def test_the_journal_of_a_live_conductor_counts_before_the_ledger(till: Till) -> None:
    till.month = "{amount: 10, currency: EUR}"
    other, mine = till.run(), till.run()
    till.assign(other, "a1", cost=3.0)
    till.close(other, "a1", cost=3.0)
    with other.held():
        assert left(till.budget(mine)) == 7
    Journal(other.journal, f"end-{os.getpid()}").close()
    assert left(till.budget(mine)) == 7  # it never came to enter anything into the ledger
