"""The command that accounts for the money of a run: cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.cli.options import Json, RunName
from millrace.engine.cost import Money, local_price
from millrace.engine.errors import DocumentError, StoreError, UsageError
from millrace.engine.reporting.words import count, duration, number, safe
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings

if TYPE_CHECKING:
    from millrace.engine.comparison import Comparison
    from millrace.engine.costing import Line, RunCost
    from millrace.engine.journal import Record
    from millrace.engine.spells import State

_WORDS: dict[State, str] = {
    "done": "work",
    "opened": "opening sessions",
    "failed": "failed attempts",
    "lost": "lost attempts",
    "idle": "held without work",
}


def register(app: typer.Typer) -> None:
    """Adds this command to an application."""
    app.command()(cost)


def cost(name: RunName = "last", as_json: Json = False) -> None:
    """Show what a run cost against what was estimated, by stage, pool and price basis.

    Failed and lost attempts, and time a slot was held without work, are in the sums. Below stands
    what the same work would have cost all local and all on demand, by the prices of the fleet.

    Example: millrace cost last
    """
    from millrace.engine.costing import account

    here = settings()
    run = Runs(here).find(name)
    order, records = run.order(), run.records()
    try:
        found = account(run.id, records, local_price(here.eur_per_hour))
    except ValueError as error:
        raise StoreError(
            f"what run {run.id} cost cannot be told: {error}",
            hint=f"its journal lies in {run.journal}",
        ) from error
    comparisons, why = _compare(run, order, records, here)
    if as_json:
        shown = found.model_dump(mode="json") | {
            "comparisons": [one.model_dump(mode="json") for one in comparisons],
            "not_compared": why,
        }
        typer.echo(json.dumps(shown, indent=2))
        return
    _show(found, comparisons, why, order)


def _compare(
    run: Run, order: Order, records: list[Record], here: Settings
) -> tuple[tuple[Comparison, ...], str]:
    """Returns the comparisons, or why there are none."""
    from millrace.engine.comparison import compare
    from millrace.engine.fleet.reading import load_fleet
    from millrace.engine.forecasts import Forecaster

    if not here.fleet.exists():
        return (), f"there is no fleet to compare with: {here.fleet} does not exist"
    try:
        found = compare(run, order, records, load_fleet(here.fleet), Forecaster(here))
    except (UsageError, DocumentError) as error:
        return (), f"it cannot be compared: {error.message}"
    return found, "" if found else "no batch was done, so there is nothing to compare"


def _show(found: RunCost, comparisons: tuple[Comparison, ...], why: str, order: Order) -> None:
    console = Console()
    console.print(Text(safe(f"run {found.run}  {order.pipeline.name}"), style="bold"))
    if found.lines:
        console.print(_table(found))
    reused = f"; {number(found.reused)} reused, which costs nothing"
    actual, estimated = _sums(found.actual), _sums(found.estimated)
    total = f"cost {actual}, estimated {estimated}{reused if found.reused else ''}"
    console.print(Text(total, style="bold"))
    for state, words in _WORDS.items():
        if any(money.amount for money in found.parts[state]):
            console.print(Text(f"  {words}: {_sums(found.parts[state])}"))
    if found.out:
        out = count(found.out, "assignment")
        console.print(Text(f"{out} still out: the sums are of what is known by now"))
    for one in comparisons:
        console.print(Text(safe(_sentence(one))))
    if why:
        console.print(Text(safe(why)))


def _table(found: RunCost) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("stage", "pool", "basis", "took", "foreseen", "cost", "estimated", "failed or lost")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in found.lines:
        table.add_row(*(Text(safe(cell)) for cell in _cells(line)))
    return table


def _cells(line: Line) -> tuple[str, ...]:
    def money(amount: float | None) -> str:
        return "–" if amount is None else str(Money(amount=amount, currency=line.currency))

    tries = sum(line.parts[s].count for s in ("failed", "lost") if s in line.parts)
    wasted = sum(line.parts[s].cost for s in ("failed", "lost") if s in line.parts)
    return (
        line.stage,
        line.pool,
        line.basis.replace("_", "-"),
        duration(line.seconds),
        duration(line.estimated_seconds),
        money(line.cost),
        money(line.estimated),
        f"{tries} for {money(wasted)}" if tries else "–",
    )


def _sums(sums: tuple[Money, ...]) -> str:
    return " + ".join(map(str, sums)) or "unknown"


def _sentence(one: Comparison) -> str:
    if one.cost is None:
        return f"{one.name}: not possible: {one.why}"
    text = f"{one.name}: {one.cost}, done in {duration(one.seconds or 0.0)}"
    text += ", after the deadline" if one.late else ""
    if one.assumed:
        text += f" (speed of {', '.join(one.assumed)} assumed: never measured)"
    return text
