"""The command deploy: make a Prefect server what pools.yaml and the pipelines declare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from millrace.cli.document import given
from millrace.cli.options import Json, Set
from millrace.engine.errors import UsageError
from millrace.engine.fleet import deployed
from millrace.engine.fleet.declared import Change
from millrace.engine.fleet.deployed import Deployed
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.recording import deploying
from millrace.engine.recording.prefect import recording
from millrace.engine.reporting.words import count, safe
from millrace.engine.settings import Settings, settings

_STYLES = {"+": "green", "~": "yellow", "-": "red"}
_DONE = {"+": "made", "~": "changed", "-": "removed"}


def register(app: typer.Typer) -> None:
    """Adds this command to an application."""
    app.command()(deploy)


def deploy(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PIPELINE…", help="Pipeline documents to run by their schedule."),
    ] = None,
    set_: Set = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also remove what is ours and no longer declared.")
    ] = False,
    no_server: Annotated[
        bool,
        typer.Option("--no-server", help="Only keep the PIPELINEs, for `prefect deploy`."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the Prefect server what pools.yaml declares: pools, queues, deployments, automation.

    A PIPELINE is deployed as it is now, with the parameters of --set; the schedule runs what was
    deployed until it is deployed again. Doing it twice changes nothing the second time. --prune
    never touches what others made; with PIPELINEs it removes all other pipelines, without it
    removes those whose document is gone.

    + is made, ~ changed, - removed. Exit code 0, changed or not.

    Example: millrace deploy deployments/pipelines/remaster.yaml --dry-run
    """
    here = settings()
    named = _read(pipelines or [], given(set_))
    if no_server:
        _keep(named, here)
        return
    fleet = load_fleet(here.fleet)
    console = Console(stderr=True, quiet=as_json)
    with recording(here, console.print):
        changes = deploying.deploy(here, fleet, named, dry_run=dry_run, prune=prune)
    if as_json:
        typer.echo(json.dumps(_json(changes, dry_run=dry_run), indent=2))
        return
    _show(changes, dry_run=dry_run)
    for each in deployed.listed(here):
        if each.changed and each.name not in {fresh.name for fresh in named}:
            what = "has changed since" if each.document_there else "is gone"
            typer.echo(f"! {each.name}: its document {what}: {each.order.source}", err=True)


def _keep(named: list[Deployed], here: Settings) -> None:
    for each in named:
        deployed.save(here, each)
        typer.echo(f"the home store has the pipeline {each.name}")


def _read(documents: list[Path], values: dict[str, str]) -> list[Deployed]:
    read = [deployed.read(document, values) for document in documents]
    for number, each in enumerate(read):
        if each.name in {other.name for other in read[:number]}:
            raise UsageError(
                f"two pipelines are named {each.name}", hint="give one of them another `name:`"
            )
    return read


def _json(changes: tuple[Change, ...], *, dry_run: bool) -> dict[str, object]:
    rows = [
        {"mark": c.mark, "sort": c.sort, "name": c.name, "details": list(c.details)}
        for c in changes
    ]
    return {"dry_run": dry_run, "changes": rows}


def _show(changes: tuple[Change, ...], *, dry_run: bool) -> None:
    console = Console()
    for change in changes:
        line = Text(f"{change.mark} {change.sort:10} ", style=_STYLES[change.mark])
        console.print(Text.assemble(line, safe(change.name)))
        for detail in change.details:
            console.print(Text(safe(f"               {detail}"), style="dim"))
    if not changes:
        typer.echo("nothing to change: the server is as declared")
        return
    words = {"+": "make", "~": "change", "-": "remove"} if dry_run else _DONE
    numbers = {word: sum(c.mark == sign for c in changes) for sign, word in words.items()}
    if dry_run:
        told = ", ".join(f"{word} {count(n, 'thing')}" for word, n in numbers.items() if n)
        typer.echo(f"would {told}; without --dry-run it does")
    else:
        typer.echo(", ".join(f"{count(n, 'thing')} {word}" for word, n in numbers.items() if n))
