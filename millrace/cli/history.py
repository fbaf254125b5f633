"""Commands that look back: runs, show, logs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.cli.display import units_of
from millrace.cli.options import Json, RunName
from millrace.engine.errors import UsageError
from millrace.engine.reporting import liveness
from millrace.engine.reporting.tally import Tally
from millrace.engine.reporting.words import count, counts, duration, number, safe
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import settings

_FOLLOW_SECONDS = 0.3


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    app.command()(runs)
    app.command()(show)
    app.command()(logs)


def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the runs, newest first: what ran, what came of it, how long it took.

    Example: millrace runs -n 5
    """
    rows = [_row(run) for run in Runs(settings()).list()[:limit]]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo("there are no runs yet; start one with `millrace run`")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "pipeline", "state", "items", "took"):
        table.add_column(column, overflow="fold")
    for row in rows:
        items = counts(row["items"]) if row["items"] else ""
        took = duration(row["seconds"]) if row["seconds"] is not None else ""
        cells = (row["run"], row["pipeline"], row["state"], items, took)
        table.add_row(*(Text(safe(cell)) for cell in cells))
    Console().print(table)


def _row(run: Run) -> dict[str, Any]:
    """Returns what the first and last record tell: a journal of 10,000 items is not read for it."""
    ended = liveness.ending(run)
    try:
        name = run.order().pipeline.name
    except UsageError:
        name = "?"
    return {
        "run": run.id,
        "pipeline": name,
        "state": liveness.state(run),
        "items": ended.data.get("items") if ended else None,
        "seconds": ended.data.get("seconds") if ended else None,
    }


def show(name: RunName = "last", as_json: Json = False) -> None:
    """Show one run: its stages, what failed and why, what was delivered, where the report is.

    Example: millrace show last
    """
    run = Runs(settings()).find(name)
    tally = Tally(run.records())
    order = run.order()
    if as_json:
        typer.echo(json.dumps(_as_json(run, tally), indent=2))
        return
    console = Console()
    state = liveness.state(run)
    head = f"run {run.id}  {order.pipeline.name}: {state}, {counts(tally.items)}"
    console.print(Text(safe(f"{head}, in {duration(tally.seconds)}"), style="bold"))
    if advice := liveness.advice(run):
        console.print(Text(advice))
    if order.source:
        console.print(Text(safe(f"from {order.source}")))
    console.print(_stages(tally, units_of(order.pipeline)))
    for note in tally.notes:
        console.print(Text(safe(note)))
    for failed in tally.failures.values():
        known = ", known from before" if failed.known else ""
        line = f"failed: {failed.item} ({failed.stage}, {failed.code}{known}): {failed.reason}"
        console.print(Text(safe(line), style="red"))
        if failed.hint:
            console.print(Text(safe(f"    {failed.hint}")))
    for output in tally.outputs:
        console.print(Text(safe(f"delivered: {output['path']} ({output['status']})")))
    report = run.folder / "report.html"
    if report.exists():
        console.print(Text(f"report: {report}"))


def _stages(tally: Tally, units: dict[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    for column in ("done", "reused", "failed", "work", "took", "foreseen", "on"):
        table.add_column(column, justify="right")
    for name, stage in tally.stages.items():
        cells = (
            name,
            number(stage.done),
            number(stage.reused),
            number(stage.failed),
            count(stage.units_done, units.get(name, "unit")),
            duration(stage.seconds),
            duration(stage.predicted) if stage.predicted else "–",
            ", ".join(sorted(stage.devices)) or "–",
        )
        table.add_row(*(Text(safe(cell)) for cell in cells))
    return table


def _as_json(run: Run, tally: Tally) -> dict[str, Any]:
    return {
        "run": run.id,
        "state": liveness.state(run),
        "items": tally.items,
        "seconds": round(tally.seconds, 3),
        "stages": {
            name: {
                "expected": stage.expected,
                "done": stage.done,
                "reused": stage.reused,
                "failed": stage.failed,
                "units": stage.units_done,
                "units_reused": stage.units_reused,
                "busy_seconds": round(stage.seconds, 3),
                "predicted_seconds": round(stage.predicted, 3),
                "devices": sorted(stage.devices),
            }
            for name, stage in tally.stages.items()
        },
        "failures": [
            {"item": f.item, "stage": f.stage, "code": f.code, "reason": f.reason, "hint": f.hint}
            for f in tally.failures.values()
        ],
        "outputs": [output["path"] for output in tally.outputs],
        "folder": str(run.folder),
    }


def logs(
    name: RunName = "last",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run is over.")
    ] = False,
) -> None:
    """Print what the tools of a run have said, each assignment under its own heading.

    Example: millrace logs last --follow
    """
    run = Runs(settings()).find(name)
    offsets: dict[Path, int] = {}
    heading = ""
    while True:
        over = liveness.state(run) not in ("running", "waiting")
        for path, text in _news(run, offsets):
            if path.stem != heading:
                heading = path.stem
                typer.secho(f"== {heading}", bold=sys.stdout.isatty())
            typer.echo("\n".join(safe(line) for line in text.split("\n")), nl=False)
        if over or not follow:
            break
        time.sleep(_FOLLOW_SECONDS)
    if not offsets:
        typer.echo("the tools of this run have said nothing", err=True)


def _news(run: Run, offsets: dict[Path, int]) -> Iterator[tuple[Path, str]]:
    for path in run.log_files:
        with path.open("rb") as file:
            file.seek(offsets.get(path, 0))
            data = file.read()
        if data:
            offsets[path] = offsets.get(path, 0) + len(data)
            yield path, data.decode(errors="replace")
