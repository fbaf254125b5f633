"""Commands that keep a machine in order: gc, doctor."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from millrace.cli.options import Json, Yes
from millrace.engine.errors import ToolMissing
from millrace.engine.reporting.words import count, safe, size
from millrace.engine.settings import settings

_MARKS = {"ok": "✓ ok", "note": "· note", "warn": "! warn", "fail": "✗ fail"}
_STYLES = {"ok": "green", "note": "", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    app.command()(gc)
    app.command()(doctor)


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


def doctor(as_json: Json = False) -> None:
    """Examine this machine: what stops work, what costs speed, and what to set or install.

    Looks at processor and memory, GPUs and driver, the CUDA cache, TF32 and allocator settings,
    programs, disks and the server. Exit code 4 when something stops work.

    Example: millrace doctor
    """
    from millrace.engine.hosts.devices import inventory
    from millrace.engine.hosts.doctor import findings
    from millrace.engine.hosts.doctor.finding import worst

    found = findings(inventory(), os.environ, home=settings().home)
    if as_json:
        typer.echo(json.dumps([finding.model_dump(mode="json") for finding in found], indent=2))
    else:
        console = Console()
        for finding in found:
            mark = Text(f"{_MARKS[finding.level]:7}", style=_STYLES[finding.level])
            console.print(Text.assemble(mark, safe(f" {finding.area}: {finding.text}")))
            if finding.fix:
                console.print(Text(safe(f"        → {finding.fix}"), style="bold"))
    if worst(found) == "fail":
        raise typer.Exit(ToolMissing.exit_code)
