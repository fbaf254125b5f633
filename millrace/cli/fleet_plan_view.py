"""A plan on a fleet as a person reads it in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.cli import plan_parts
from millrace.engine.cost import Money
from millrace.engine.fleet.fleet_plan import FleetPlan, GroupPlan, PoolNow, PoolVerdict
from millrace.engine.plan import StagePlan
from millrace.engine.reporting.words import count, duration, number, safe

_SHOWN = 4  # groups of one stage; `--json` has all of them
_SORT = {"cpu": "on processors", "cuda": "on GPUs"}


@dataclass(frozen=True)
class _Lot:
    """Groups of a stage that a person need not tell apart, and their verdicts added up."""

    first: GroupPlan
    batches: int
    pools: tuple[PoolVerdict, ...]
    waiting: Counter[str]


def show(plan: FleetPlan, console: Console) -> None:
    """Prints a plan."""
    console.print(_head(plan))
    console.print(_stages(plan))
    for stage in plan.stages:
        plan_parts.notes(stage, console)
        lots = _lots([group for group in plan.groups if group.stage == stage.name])
        for lot in lots[:_SHOWN]:
            _lot(lot, plan, console)
        if len(lots) > _SHOWN:
            rest = f"{stage.name}: {count(len(lots) - _SHOWN, 'more group')}; `--json` has all"
            console.print(Text(safe(rest), style="dim"))
    console.print()
    plan_parts.refusals(plan.refusals, console)
    plan_parts.outputs(plan.outputs, console)
    for warning in plan.warnings:
        console.print(Text(f"warning: {safe(warning)}", style="yellow"))
    console.print(_total(plan))
    for text in _endings(plan):
        console.print(text)
    console.print(plan_parts.disk(plan.disk))


def _head(plan: FleetPlan) -> Text:
    how = "as the server has it now" if plan.asked else "as declared; no server asked"
    facts = [f"data {plan.label}", f"on {plan.on}, {how}"]
    facts += [f"goal: {plan.goal}"] if plan.goal else []
    facts += [f"schedule: {plan.schedule}"] if plan.schedule else []
    return Text.assemble((safe(plan.pipeline), "bold"), f"  ({'; '.join(map(safe, facts))})")


def _stages(plan: FleetPlan) -> Table:
    table = plan_parts.table("stage", "kind")
    for name in ("items", "in store", "batches", "work", "of slots", "cost"):
        table.add_column(name, justify="right")
    table.add_column("goes to")
    for stage in plan.stages:
        row = plan_parts.cells(stage, plan.currency)[:-1]
        table.add_row(*(Text(cell) for cell in (*row, _goes_to(stage, plan) or "–")))
    return table


def _goes_to(stage: StagePlan, plan: FleetPlan) -> str:
    chosen: dict[str, int] = {}
    for group in plan.groups:
        for verdict in group.pools if group.stage == stage.name else ():
            if verdict.chosen:
                chosen[verdict.pool] = chosen.get(verdict.pool, 0) + verdict.chosen
    return ", ".join(f"{pool} {number(n)}" for pool, n in sorted(chosen.items()))


def _lots(groups: Iterable[GroupPlan]) -> list[_Lot]:
    """Puts together groups that the same rules sent to the same places."""
    alike: dict[tuple[object, ...], list[GroupPlan]] = {}
    for group in groups:
        found = tuple((v.pool, v.rule, v.basis, bool(v.chosen)) for v in group.pools)
        alike.setdefault((group.label, group.device, group.rule, found), []).append(group)
    return [
        _Lot(
            first=lot[0],
            batches=sum(group.batches for group in lot),
            pools=tuple(_sum([g.pools[n] for g in lot]) for n in range(len(lot[0].pools))),
            waiting=sum((Counter(group.waiting) for group in lot), Counter()),
        )
        for lot in alike.values()
    ]


def _sum(verdicts: Sequence[PoolVerdict]) -> PoolVerdict:
    return verdicts[0].model_copy(
        update={
            "seconds": sum(verdict.seconds for verdict in verdicts),
            "cost": sum(verdict.cost for verdict in verdicts),
            "chosen": sum(verdict.chosen for verdict in verdicts),
        }
    )


def _lot(lot: _Lot, plan: FleetPlan, console: Console) -> None:
    group = lot.first
    console.print()
    batches = "batch" if lot.batches == 1 else "batches"
    head = f"{group.stage}: {number(lot.batches)} {batches}, {group.label}, {_SORT[group.device]}"
    console.print(Text(safe(head), style="bold"))
    if group.rule:
        console.print(Text(f"  no pool may run it: {safe(group.reason)}", style="bold red"))
    states = {pool.name: pool for pool in plan.pools}
    table = plan_parts.table("  pool", "device", "an hour")
    for name in ("wait", "there alone", "cost"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for verdict in lot.pools:
        table.add_row(*_row(verdict, states[verdict.pool], plan.currency))
    console.print(table)
    for why, waiting in lot.waiting.items():
        console.print(Text(f"  {number(waiting)} would wait: {safe(why)}", style="yellow"))


def _row(verdict: PoolVerdict, pool: PoolNow, currency: str) -> tuple[Text, ...]:
    fits = verdict.basis is not None
    guess = "~" if verdict.source == "prior" else ""
    price = f"{Money(amount=verdict.price, currency=currency)} {verdict.basis}" if fits else "–"
    said = f"takes {number(verdict.chosen)}" if verdict.chosen else _words(verdict)
    style = "green" if verdict.chosen else "dim"
    cells = (
        f"  {safe(verdict.pool)}",
        safe(pool.device),
        price.replace("_", " "),
        duration(verdict.queue) if fits and verdict.queue else "–",
        f"{guess}{duration(verdict.seconds)}" if fits else "–",
        f"{guess}{Money(amount=verdict.cost, currency=currency)}" if fits else "–",
    )
    return (*(Text(cell) for cell in cells), Text(safe(said), style=style))


def _words(verdict: PoolVerdict) -> str:
    if not verdict.rule:
        return "fits"
    return f"{verdict.rule}: {verdict.reason.removeprefix(f'{verdict.pool}: ')}"


def _total(plan: FleetPlan) -> Text:
    money = Money(amount=plan.cost, currency=plan.currency)
    text = f"done after about {duration(plan.makespan)}, for {money}"
    text += f" ({duration(plan.slot_seconds)} of slots)"
    if any(stage.source == "prior" for stage in plan.stages):
        text += " (~: assumed, until such work was done there)"
    if any(stage.forecast or stage.unknown for stage in plan.stages):
        text += " (~: forecast, as earlier results do not exist yet)"
    return Text(text, style="bold")


def _endings(plan: FleetPlan) -> Iterable[Text]:
    """Yields what is to be said of the deadline and the budget."""
    left = sum(sum(group.waiting.values()) for group in plan.groups)
    if plan.late:
        yield Text("deadline: LATE, no way of dividing the work meets it", style="bold red")
    elif plan.timed:
        but = " by what is placed" if left or plan.forbidden() else ""
        yield Text(f"deadline: met{but}")
    if plan.budget is None:
        return
    limit = Money(amount=plan.budget, currency=plan.currency)
    unpaid = sum(
        batches
        for group in plan.groups
        for why, batches in group.waiting.items()
        if why.startswith("money")
    )
    if unpaid:
        batches = "batch" if unpaid == 1 else "batches"
        yield Text(f"budget: {limit} leaves {number(unpaid)} {batches} undone", style="bold red")
    else:
        yield Text(f"budget: kept ({limit})")
