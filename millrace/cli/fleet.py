"""The commands for runs that others carry out: attach, approve."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from millrace.cli import watching
from millrace.cli.options import Json, RunName
from millrace.engine.document.problems import listed, nearest
from millrace.engine.errors import UsageError
from millrace.engine.reporting import liveness
from millrace.engine.runs import Runs
from millrace.engine.settings import settings


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    app.command()(attach)
    app.command()(approve)


def attach(name: RunName = "last", as_json: Json = False) -> None:
    """Watch a run of the fleet again. Ctrl-C stops watching, not the run.

    If the run has lost its conductor, another is sent for: it takes over what is still running.

    Example: millrace attach last
    """
    run = Runs(settings()).find(name)
    if not run.on_fleet:
        raise UsageError(
            f"run {run.id} was carried out here, not on the fleet",
            hint=f"`millrace show {run.id}` tells of it; `millrace retry {run.id}` continues it",
        )
    raise typer.Exit(watching.attach(run, as_json=as_json))


def approve(
    name: RunName, stage: Annotated[str, typer.Argument(help="The stage to let begin.")]
) -> None:
    """Let a stage begin that waits for a person (`approve: true` in the pipeline).

    Example: millrace approve last publish
    """
    run = Runs(settings()).find(name)
    stages = run.order().pipeline.stages
    if stage not in stages:
        raise UsageError(f"run {run.id} has no stage {stage!r}{nearest(stage, stages)}")
    waiting = [each for each, spec in stages.items() if spec.approve]
    if stage not in waiting:
        others = f"; {listed(waiting, 'and')} do" if waiting else ""
        raise UsageError(f"the stage {stage} asks for nobody's approval{others}")
    if liveness.ending(run):
        raise UsageError(f"run {run.id} is over", hint="run the pipeline again, then approve")
    run.approve(stage, getpass.getuser())
    typer.echo(f"{stage} of run {run.id} may begin")
