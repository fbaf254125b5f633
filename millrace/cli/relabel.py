"""The command that says that some content has another label than its pipeline gives it: relabel."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from millrace.cli.options import Json, Yes
from millrace.engine.errors import UsageError
from millrace.engine.labels import Label
from millrace.engine.relabelling import Relabelling, Relabellings
from millrace.engine.reporting.words import count, safe
from millrace.engine.settings import settings


def register(app: typer.Typer) -> None:
    """Adds this command to an application."""
    app.command()(relabel)


def relabel(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILES", help="Whose content it is about.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="public, internal or restricted.")] = None,
    why: Annotated[str, typer.Option("--why", help="The reason; it is kept.")] = "",
    listed: Annotated[
        bool, typer.Option("--list", help="Show who relabelled what, when and why.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Say that the content of files is less, or more, sensitive than what they are made from.

    It holds for the content wherever it lies and under any name, in every pipeline, and goes into
    the audit file with your name, the time and the reason. No label goes below a floor of
    pools.yaml.

    Example: millrace relabel out/faces-blurred.mp4 --to internal --why "no person can be known"
    """
    here = settings()
    known = Relabellings(here.store)
    if listed:
        _show(known.entries, as_json)
        return
    if not files or to is None:
        raise UsageError("say which FILES, and --to what", hint="`millrace relabel --help`")
    try:
        label = Label.parse(to)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not why.strip():
        raise UsageError("a relabelling needs a reason", hint='say it with --why "…"')
    _confirm(files, label, yes)
    from millrace.engine.fleet.labelling import floors_of

    floors = floors_of(here)
    done = [
        known.record(file, label, why, floor=floors.of_path(file), clearance=here.clearance)
        for file in files
    ]
    _show(done, as_json)


def _confirm(files: list[Path], label: Label, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "relabelling asks for a person's word", hint="say --yes where nobody can be asked"
        )
    what = files[0].name if len(files) == 1 else count(len(files), "file")
    typer.confirm(safe(f"From now on the content of {what} is {label}. Is that so?"), abort=True)


def _show(entries: list[Relabelling] | tuple[Relabelling, ...], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([json.loads(entry.line()) for entry in entries], indent=2))
        return
    for entry in entries:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.at))
        before = "as declared" if entry.before is None else str(entry.before)
        typer.echo(
            safe(
                f"{when}  {entry.who}  {entry.file} [{entry.digest[:12]}]  "
                f"{before} → {entry.to}: {entry.why}"
            )
        )
    if not entries:
        typer.echo("nothing has been relabelled", err=True)
