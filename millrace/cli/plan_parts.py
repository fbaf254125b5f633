"""What plans of this host and of a fleet show alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.engine.cost import Money
from millrace.engine.plan import Disk, Refusal, StagePlan
from millrace.engine.reporting.words import count, duration, number, safe, size

_SHOWN = 10  # refusals; `--json` has all of them


def table(*columns: str) -> Table:
    """Returns a plain table with these columns."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column)
    return made


def cells(stage: StagePlan, currency: str) -> tuple[str, ...]:
    """Returns a stage's name, kind, items, those in the store, batches, work, time, cost, device.

    ~ marks what is forecast, and what rests on a kind's own guess.
    """
    mark = "~" if stage.forecast or stage.unknown else ""
    known = bool(stage.source)
    guess = "~" if mark or stage.source == "prior" else ""
    cost = str(Money(amount=stage.cost, currency=currency))
    work = count(stage.units_left, stage.unit)
    return (
        safe(stage.name),
        stage.kind,
        f"{mark}{number(stage.items)}",
        "always run" if stage.effect else number(stage.reused),
        f"{mark}{number(stage.batches - stage.batches_reused)}",
        f"{mark}{work}" if not stage.unknown else "known later",
        f"{guess}{duration(stage.seconds)}" if known else "–",
        f"{guess}{cost}" if known else "–",
        ", ".join(stage.devices) or "–",
    )


def notes(stage: StagePlan, console: Console) -> None:
    """Prints what a kind wants a person to know beforehand."""
    for note in stage.notes:
        console.print(Text(f"note ({stage.name}): {safe(note)}", style="cyan"))


def refusals(found: Sequence[Refusal], console: Console) -> None:
    """Prints the items that will not be done, and why."""
    if not found:
        return
    told = f"{count(len(found), 'item')} will not be done:"
    console.print(Text(told, style="bold yellow"))
    for refusal in found[:_SHOWN]:
        console.print(Text(f"  {safe(refusal.item)} ({refusal.stage}): {safe(refusal.reason)}"))
    if len(found) > _SHOWN:
        console.print(Text(f"  and {len(found) - _SHOWN} more; `plan --json` has all"))


def outputs(found: Mapping[str, int], console: Console) -> None:
    """Prints how many files each output will have."""
    for name, items in found.items():
        console.print(Text(f"output {safe(name)}: {count(items, 'file')}"))


def disk(room: Disk) -> Text:
    """Returns whether the disk of the store has room, in words."""
    text = (
        f"disk: needs up to {size(room.needed)}, {size(room.free)} free in {safe(str(room.place))}"
    )
    if room.enough:
        return Text(text)
    return Text(f"{text}: NOT ENOUGH", style="bold red")
