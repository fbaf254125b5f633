"""What was found in a document, as a person or a script reads it."""

from __future__ import annotations

import json

import typer

from millrace.engine.document.problems import Report
from millrace.engine.errors import DocumentError
from millrace.engine.reporting.words import count


def show(report: Report, name: str, as_json: bool) -> None:
    """Prints problems, warnings and a verdict. Ends with exit code 2 when there are problems."""
    if as_json:
        found = {
            "file": name,
            "valid": not report.problems,
            "problems": [problem.as_json() for problem in report.problems],
            "warnings": [problem.as_json() for problem in report.warnings],
        }
        typer.echo(json.dumps(found, indent=2))
    else:
        for problem in report.problems:
            typer.echo(str(problem))
        for warning in report.warnings:
            typer.echo(f"warning: {warning}")
        typer.echo(_verdict(name, len(report.problems), len(report.warnings)))
    if report.problems:
        raise typer.Exit(DocumentError.exit_code)


def _verdict(name: str, problems: int, warnings: int) -> str:
    noted = f", {count(warnings, 'warning')}" if warnings else ""
    if problems:
        return f"{name}: {count(problems, 'problem')}{noted}"
    return f"{name} is valid{noted}"
