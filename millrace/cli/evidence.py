"""Commands that account for a run: why, verify."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from millrace.cli import placements
from millrace.cli.options import Json, RunName
from millrace.engine.document.problems import nearest
from millrace.engine.errors import UsageError
from millrace.engine.journal import Record
from millrace.engine.reporting.words import count, safe
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import settings

_KEY_SHOWN = 12


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    app.command()(why)
    app.command()(verify)


def why(
    name: RunName = "last",
    stage: Annotated[str | None, typer.Argument(metavar="STAGE", help="Only this stage.")] = None,
    as_json: Json = False,
) -> None:
    """Say of each batch whether it was reused or run, and what had changed.

    Of a run on a fleet it also tells, by time, each decision with what was found of every pool and
    how the fleet was then, what was sent where, what was moved and why, and how it ended.

    Example: millrace why last master
    """
    run = Runs(settings()).find(name)
    if stage is not None:
        _require(run, stage)
    records = run.records()
    rows = [row for record in records for row in _row(record, stage)]
    placed = list(placements.rows(records, stage))
    if as_json:
        typer.echo(json.dumps([*rows, *placed], indent=2))
        return
    for row in rows:
        key = f" [{row['key'][:_KEY_SHOWN]}]" if row["key"] else ""
        reason = f": {row['why']}" if row["why"] else ""
        typer.echo(safe(f"{row['stage']}  {row['item']}{key}  {row['what']}{reason}"))
    for row in placed:
        for line in placements.lines(row):
            typer.echo(safe(line))
    if not (rows or placed):
        typer.echo("nothing was run or reused", err=True)


def _require(run: Run, stage: str) -> None:
    stages = run.order().pipeline.stages
    if stage not in stages:
        raise UsageError(
            f"run {run.id} has no stage {stage!r}{nearest(stage, stages)}",
            hint=f"its stages are {', '.join(stages)}",
        )


def _row(record: Record, stage: str | None) -> Iterator[dict[str, Any]]:
    words = {"reused": "reused", "done": "run", "failed": "failed"}
    if record.event not in words or (stage and record.stage != stage):
        return
    data = record.data
    what, reason = words[record.event], str(data.get("why", ""))
    if record.event == "done" and data.get("join"):
        what = "joined"
    if record.event == "failed":
        reason = f"{data.get('code', '')}: {data.get('message', '')}"
        what = "not tried, known to fail" if data.get("known") else "failed"
    yield {
        "stage": record.stage,
        "item": record.item,
        "key": str(data.get("key", "")),
        "what": what,
        "why": reason,
    }


def verify(name: RunName = "last", as_json: Json = False) -> None:
    """Read every file that a run made or delivered, and say which is not as it was left.

    Exit code 1 when something is missing or changed.

    Example: millrace verify last
    """
    from millrace.engine.verify import verify as examine

    run = Runs(settings()).find(name)
    verdict = examine(run, settings())
    if as_json:
        typer.echo(verdict.model_dump_json(indent=2))
    else:
        for doubt in verdict.doubts:
            typer.echo(safe(f"{doubt.what}: {doubt.problem}"))
        read = f"{count(verdict.results, 'result')}, {count(verdict.outputs, 'output')} read"
        found = count(len(verdict.doubts), "doubt") if verdict.doubts else "all as they were left"
        typer.echo(f"run {run.id}: {read}, {found}")
    if verdict.doubts:
        raise typer.Exit(1)
