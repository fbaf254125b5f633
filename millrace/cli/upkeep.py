"""Commands that keep a machine in order: gc, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from millrace.cli.options import Json, Yes
from millrace.engine.settings import settings
from millrace.engine.words import count, size


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    app.command()(gc)


def gc(
    days: Annotated[
        float, typer.Option(min=0, help="Keep runs of the last DAYS days, and their results.")
    ] = 30.0,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Free disk space: forget old runs, and the stored results that no remaining run used.

    Without --yes it only says what it would free. Delivered files are yours and stay.

    Example: millrace gc --days 7 --yes
    """
    from millrace.engine.collect import collect

    found = collect(settings(), days=days, dry=not yes)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    what = (
        f"{count(len(found.runs), 'run')}, {count(found.results, 'result')} and "
        f"{count(found.files, 'file')}: {size(found.bytes)}"
    )
    typer.echo(f"removed {what}" if yes else f"would remove {what}; --yes does it")
