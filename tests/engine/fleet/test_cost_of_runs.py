"""What whole runs on a simulated fleet cost: in the account, in the ledger, and otherwise."""

from __future__ import annotations

from millrace.engine.comparison import compare
from millrace.engine.cost import local_price
from millrace.engine.costing import account
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.forecasts import Forecaster
from millrace.engine.ledger import Ledger
from millrace.engine.settings import settings
from tests.engine.fleet.ground import Yard, fleet_text
from tests.engine.runs.conftest import Workshop

TWO = fleet_text(
    {"name": "studio", "price": 1.0},
    {"name": "cloud", "price": 8.0, "where": "cloud"},
)


def test_the_account_the_journal_and_the_ledger_agree(shop: Workshop, yard: Yard) -> None:
    for n in range(3):
        shop.file(f"{n}.txt", f"file {n}\n" * 50)
    path = yard.declare(TWO.replace("on_demand", "reserved", 1))
    run = yard.order(shop.order())
    assert yard.conduct(run).state == "succeeded"

    found = account(run.id, run.records(), local_price(0.06))
    bills = sum(float(str(one["cost"])) for one in yard.events("closed"))
    assert abs(found.actual[0].amount - bills) < 1e-9 and bills > 0
    assert {(line.pool, line.basis) for line in found.lines} == {("studio", "reserved")}
    assert found.estimated[0].amount > 0

    rows = Ledger(settings().ledger).rows(run=run.id)
    assert {(row.pool, row.basis, row.price) for row in rows} == {("studio", "reserved", 1.0)}
    assert abs(sum(row.cost for row in rows) - bills) < 1e-4  # records are rounded

    local, rented = compare(
        run, run.order(), run.records(), load_fleet(path), Forecaster(settings())
    )
    assert (local.name, rented.name) == ("all local", "all on demand")
    assert local.cost and rented.cost and local.cost.amount > 0
    assert rented.cost.amount > 4 * local.cost.amount
    assert local.assumed == ()


def test_what_cannot_be_done_otherwise_has_no_price(shop: Workshop, yard: Yard) -> None:
    shop.file("a.txt")
    path = yard.declare(fleet_text({"name": "cloud", "where": "cloud"}))
    run = yard.order(shop.order())
    assert yard.conduct(run).state == "succeeded"
    local, rented = compare(
        run, run.order(), run.records(), load_fleet(path), Forecaster(settings())
    )
    assert local.cost is None and local.why
    assert rented.cost and rented.cost.amount > 0
