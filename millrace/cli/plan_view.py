"""A plan as a person reads it in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.cli import plan_parts
from millrace.engine.cost import Money
from millrace.engine.fleet.fleet_plan import FleetPlan
from millrace.engine.plan import Plan
from millrace.engine.reporting.words import duration, safe


def show(plan: Plan | FleetPlan, console: Console) -> None:
    """Prints a plan."""
    if isinstance(plan, FleetPlan):
        from millrace.cli import fleet_plan_view

        fleet_plan_view.show(plan, console)
        return
    console.print(_head(plan))
    console.print(_stages(plan))
    for stage in plan.stages:
        plan_parts.notes(stage, console)
    plan_parts.refusals(plan.refusals, console)
    plan_parts.outputs(plan.outputs, console)
    console.print(_total(plan))
    console.print(plan_parts.disk(plan.disk))


def _head(plan: Plan) -> Text:
    facts = [f"data {plan.label}", f"here: {plan.here}"]
    facts += [f"goal: {plan.goal}"] if plan.goal else []
    facts += [f"schedule: {plan.schedule}"] if plan.schedule else []
    return Text.assemble((safe(plan.pipeline), "bold"), f"  ({'; '.join(map(safe, facts))})")


def _stages(plan: Plan) -> Table:
    table = plan_parts.table("stage", "kind")
    for name in ("items", "in store", "batches", "work", "time", "cost"):
        table.add_column(name, justify="right")
    table.add_column("on")
    for stage in plan.stages:
        cells = plan_parts.cells(stage, plan.price.currency)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _total(plan: Plan) -> Text:
    money = Money(amount=plan.cost, currency=plan.price.currency)
    text = f"in all about {duration(plan.seconds)} and {money}"
    if any(stage.source == "prior" for stage in plan.stages):
        text += " (~: assumed, until this machine has done such work)"
    if any(stage.forecast or stage.unknown for stage in plan.stages):
        text += " (~: forecast, as earlier results do not exist yet)"
    return Text(text, style="bold")
