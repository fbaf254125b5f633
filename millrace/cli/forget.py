"""The command that removes a document everywhere: forget."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from millrace.cli.options import Json, Yes
from millrace.engine.errors import StoreError, UsageError
from millrace.engine.reporting.words import count, safe
from millrace.engine.settings import settings

if TYPE_CHECKING:
    from millrace.tasks.documents.forgetting import Report


def register(app: typer.Typer) -> None:
    """Adds this command to an application."""
    app.command()(forget)


def forget(
    document: Annotated[
        str,
        typer.Argument(metavar="DOCUMENT", help="Its file, its name, or the start of its SHA-256."),
    ],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove a document everywhere: pages, facts, crops, decisions, and its part of the graph.

    Facts that other documents state as well stay. Your own file is not touched. It says what it
    removed, and what you have to see to yourself.

    Example: millrace forget scans/receipt-17.jpg
    """
    from millrace.tasks.documents import forgetting
    from millrace.tasks.documents.review.desk import Desk
    from millrace.tasks.documents.review.tables import connect

    here = settings()
    desk = Desk(connect(here))
    digest = forgetting.find(document, desk)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("this cannot be undone", hint="say --yes where nobody can be asked")
        typer.confirm(safe(f"Remove everything of {document} [{digest[:12]}]?"), abort=True)
    report = forgetting.forget(digest, desk, here)
    if as_json:
        typer.echo(json.dumps(_told(report), indent=2))
    else:
        _say(report)
    if report.troubles:
        raise typer.Exit(StoreError.exit_code)


def _told(report: Report) -> dict[str, object]:
    return {
        "digest": report.digest,
        "graphs": report.graphs,
        "review": report.rows,
        "results": report.store.results,
        "files": report.store.files,
        "measurements": report.store.measured,
        "delivered": [str(path) for path in report.store.delivered],
        "kept": [str(path) for path in report.store.kept],
        "models": [str(path) for path in report.models],
        "troubles": list(report.troubles),
    }


def _say(report: Report) -> None:
    store = report.store
    typer.echo(f"removed from {count(report.graphs, 'graph')}")
    typer.echo(f"removed {sum(report.rows.values())} rows of the review queue")
    typer.echo(f"removed {count(store.results, 'result')}, {count(store.files, 'stored file')}")
    for path in store.delivered:
        typer.echo(safe(f"removed {path}"))
    for path in store.kept:
        typer.echo(safe(f"still there, changed since it was delivered: {path}"), err=True)
    for path in report.models:
        typer.echo(safe(f"was trained with it, train it anew: {path}"), err=True)
    for trouble in report.troubles:
        typer.echo(safe(f"not removed there, run this again: {trouble}"), err=True)
    typer.echo("names of files stay in the records of runs until `millrace gc` removes those")
