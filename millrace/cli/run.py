"""The commands that carry work out, or stop it: run, retry, cancel."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from millrace.cli import plan_view, watching
from millrace.cli.options import (
    Files,
    Force,
    Json,
    Limit,
    On,
    Only,
    OutputName,
    Overwrite,
    Priority,
    RunName,
    Set,
    What,
    Yes,
)
from millrace.cli.orders import Asked, order_of
from millrace.cli.plan import planned
from millrace.engine.journal import Reader
from millrace.engine.reporting.tally import Tally
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import settings

_CANCEL_SECONDS = 30.0


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    app.command()(run)
    app.command()(retry)
    app.command()(cancel)


def run(
    what: What,
    files: Files = None,
    output: OutputName = None,
    set_: Set = None,
    limit: Limit = None,
    only: Only = None,
    force: Force = None,
    yes: Yes = False,
    overwrite: Overwrite = False,
    on: On = "here",
    priority: Priority = "normal",
    as_json: Json = False,
) -> None:
    """Run a pipeline, or one stage kind over some files without any pipeline document.

    On a terminal the plan is shown first; --yes goes without asking. What is in the store already
    is not done again, so an interrupted run is continued by running it again. Ctrl-C stops
    cleanly. Each run leaves a report.html beside its outputs.

    With --on fleet every batch is placed on the pools of deployments/pools.yaml, with --on POOL on
    that one. Ctrl-C then only stops watching: `attach` watches again, `cancel` stops the run.

    --json ends with one JSON object on stdout: run, state (succeeded, partial, failed), items,
    failures, outputs, seconds. Exit codes: 0 all done, 1 some items failed, 130 interrupted.

    Example: millrace run remaster.yaml --limit 3

    Example: millrace run video.upscale in.mp4 -o out.mp4 --set scale=2
    """
    asked = Asked(
        what=what,
        files=tuple(files or ()),
        output=output,
        set=tuple(set_ or ()),
        limit=limit,
        only=only,
        force=tuple(force or ()),
        overwrite=overwrite,
    )
    order = order_of(asked).model_copy(update={"on": on, "priority": priority})
    if not (yes or as_json) and sys.stdin.isatty() and sys.stdout.isatty():
        plan_view.show(planned(order, quiet=False), Console())
        if not typer.confirm("run it?", default=True):
            raise typer.Exit(130)
    raise typer.Exit(watching.carry_out(order, as_json=as_json))


def retry(
    name: RunName = "last",
    as_json: Json = False,
) -> None:
    """Run a run's work order again, and try again what failed by its input's own fault.

    What is done is reused. Without `retry`, a file that was found to be bad is reported as known
    and not tried until it changes.

    Example: millrace retry last
    """
    before = Runs(settings()).find(name).order()
    order: Order = before.model_copy(update={"retry": True})
    raise typer.Exit(watching.carry_out(order, as_json=as_json))


def cancel(
    name: RunName = "last",
    wait: Annotated[bool, typer.Option(help="Wait until it has stopped.")] = True,
) -> None:
    """Stop a run cleanly, whoever started it. What is done is kept; run it again to continue.

    Example: millrace cancel last
    """
    found = Runs(settings()).find(name)
    tally = Tally(found.records())
    if tally.ended is not None:
        typer.echo(f"run {found.id} is over already ({tally.state})")
        return
    if found.on_fleet:
        _cancel_on_fleet(found)
        return
    found.request_stop("millrace cancel")
    if not wait:
        typer.echo(f"run {found.id} was asked to stop")
        return
    if not _stopped(found):
        typer.echo(f"run {found.id} has not stopped yet; its process may be gone", err=True)
        raise typer.Exit(1)
    typer.echo(f"run {found.id} has stopped; `millrace retry {found.id}` continues it")


def _cancel_on_fleet(run: Run) -> None:
    from millrace.flows import fleet

    left = fleet.stop(run)
    if left:
        typer.echo(f"still held for run {run.id}: {', '.join(left)}", err=True)
        typer.echo("their workers do not answer; their machines may still be running", err=True)
        raise typer.Exit(1)
    if run.alive:
        _stopped(run)
    typer.echo(f"run {run.id} has stopped: no assignment is running, nothing bills")
    typer.echo(f"`millrace retry {run.id}` continues it")


def _stopped(run: Run) -> bool:
    reader, end = Reader(run.journal), time.monotonic() + _CANCEL_SECONDS
    while time.monotonic() < end:
        if any(record.event == "ended" for record in reader.new()):
            return True
        time.sleep(0.2)
    return False
