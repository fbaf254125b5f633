"""A plan as a person reads it in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.engine.cost import Money
from millrace.engine.plan import Plan, StagePlan
from millrace.engine.reporting.words import count, duration, number, safe, size

_SHOWN = 10  # refusals; `--json` has all of them


def show(plan: Plan, console: Console) -> None:
    """Prints a plan."""
    console.print(_head(plan))
    console.print(_stages(plan))
    for stage in plan.stages:
        for note in stage.notes:
            console.print(Text(f"note ({stage.name}): {safe(note)}", style="cyan"))
    _refusals(plan, console)
    for name, items in plan.outputs.items():
        console.print(Text(f"output {safe(name)}: {count(items, 'file')}"))
    console.print(_total(plan))
    console.print(_disk(plan))


def _head(plan: Plan) -> Text:
    facts = [f"data {plan.label}", f"here: {plan.here}"]
    facts += [f"goal: {plan.goal}"] if plan.goal else []
    facts += [f"schedule: {plan.schedule}"] if plan.schedule else []
    return Text.assemble((safe(plan.pipeline), "bold"), f"  ({'; '.join(map(safe, facts))})")


def _stages(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    table.add_column("kind")
    table.add_column("items", justify="right")
    table.add_column("in store", justify="right")
    table.add_column("batches", justify="right")
    table.add_column("work", justify="right")
    table.add_column("time", justify="right")
    table.add_column("cost", justify="right")
    table.add_column("on")
    for stage in plan.stages:
        table.add_row(*(Text(cell) for cell in _cells(stage, plan.price.currency)))
    return table


def _cells(stage: StagePlan, currency: str) -> tuple[str, ...]:
    mark = "~" if stage.forecast or stage.unknown else ""
    known = bool(stage.source)
    guess = "~" if mark or stage.source == "prior" else ""
    cost = str(Money(amount=stage.cost, currency=currency))
    work = count(stage.units_left, stage.unit)
    return (
        safe(stage.name),
        stage.kind,
        f"{mark}{number(stage.items)}",
        number(stage.reused),
        f"{mark}{number(stage.batches - stage.batches_reused)}",
        f"{mark}{work}" if not stage.unknown else "known later",
        f"{guess}{duration(stage.seconds)}" if known else "–",
        f"{guess}{cost}" if known else "–",
        ", ".join(stage.devices) or "–",
    )


def _refusals(plan: Plan, console: Console) -> None:
    if not plan.refusals:
        return
    told = f"{count(len(plan.refusals), 'item')} will not be done:"
    console.print(Text(told, style="bold yellow"))
    for refusal in plan.refusals[:_SHOWN]:
        console.print(Text(f"  {safe(refusal.item)} ({refusal.stage}): {safe(refusal.reason)}"))
    if len(plan.refusals) > _SHOWN:
        console.print(Text(f"  and {len(plan.refusals) - _SHOWN} more; `plan --json` has all"))


def _total(plan: Plan) -> Text:
    money = Money(amount=plan.cost, currency=plan.price.currency)
    text = f"in all about {duration(plan.seconds)} and {money}"
    if any(stage.source == "prior" for stage in plan.stages):
        text += " (~: assumed, until this machine has done such work)"
    if any(stage.forecast or stage.unknown for stage in plan.stages):
        text += " (~: forecast, as earlier results do not exist yet)"
    return Text(text, style="bold")


def _disk(plan: Plan) -> Text:
    disk = plan.disk
    text = (
        f"disk: needs up to {size(disk.needed)}, {size(disk.free)} free in {safe(str(disk.place))}"
    )
    if disk.enough:
        return Text(text)
    return Text(f"{text}: NOT ENOUGH", style="bold red")
