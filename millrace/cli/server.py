"""Commands about the server that records runs: server start, stop, status."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from millrace.engine.recording import server
from millrace.engine.reporting.words import duration
from millrace.engine.settings import settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    group = typer.Typer(
        rich_markup_mode=None,
        no_args_is_help=True,
        help="Start, stop or look at the Prefect server that records runs.",
    )
    group.command()(start)
    group.command()(stop)
    group.command()(status)
    app.add_typer(group, name="server")


def start() -> None:
    """Start the local Prefect server, if it is not up.

    `millrace run` does this by itself when no server is configured; it takes 15 to 30 seconds
    once, and later runs share it. It listens on this machine alone, under a credential.

    Example: millrace server start
    """
    api = server.ensure(settings(), lambda text: typer.echo(text, err=True))
    kind = "the local server" if api.local else "the configured server"
    typer.echo(f"{kind} is up: {api.ui}")


def stop() -> None:
    """Stop the local Prefect server.

    Runs under way go on and keep their results, but Prefect no longer records them. A server that
    is configured by PREFECT_API_URL or a Prefect profile is not touched.

    Example: millrace server stop
    """
    stopped = server.stop(settings())
    typer.echo("the local server is stopped" if stopped else "no local server was running")


def status(as_json: Json = False) -> None:
    """Show where runs are recorded, and whether that server is up. Exit code 1 if it is not.

    Its pages ask for the credential, which stands in `server.json` of the folder shown.

    Example: millrace server status
    """
    found = server.status(settings())
    if as_json:
        known = {"running": found.running, "local": found.local, "url": found.url or None}
        typer.echo(json.dumps(known | {"pid": found.pid or None, "folder": _text(found.folder)}))
    elif found.local and not found.running:
        typer.echo("the local server is not running; the next run starts it")
    elif found.local:
        age = duration(time.time() - found.started)
        typer.echo(f"the local server is up at {found.url.removesuffix('/api')} for {age}")
        typer.echo(f"process {found.pid}; credential, database and log in {found.folder}")
    else:
        state = "answers" if found.running else "does not answer"
        typer.echo(f"{found.url} (from {found.source}) {state}")
    if not found.running:
        raise typer.Exit(1)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
