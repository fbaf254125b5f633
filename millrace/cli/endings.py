"""How a command ends badly: what a person is told, and where the details are."""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

import typer

from millrace.engine.errors import MillraceError
from millrace.engine.reporting.words import safe
from millrace.engine.settings import settings


def tell(error: MillraceError) -> None:
    """Says on stderr what is wrong and what to do next."""
    first, _, rest = error.message.partition("\n")
    _say(first, typer.colors.RED)
    if rest:
        _say(rest)
    if error.hint:
        _say(error.hint, typer.colors.YELLOW)


def apologise(error: Exception) -> None:
    """Says that this is a bug, and keeps the traceback in a file for whoever will fix it."""
    text = "".join(traceback.format_exception(error))
    kept = _keep(text)
    _say(f"millrace failed unexpectedly: {type(error).__name__}: {error}", typer.colors.RED)
    where = f"details in {kept}" if kept else "MILLRACE_DEBUG=1 shows details"
    _say(f"this is a bug; {where}", typer.colors.YELLOW)


def flushed(code: int) -> int:
    """Returns the exit code once what was written has gone out; quiet when nobody reads it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())  # else the interpreter complains at exit
    return code


def _keep(text: str) -> Path | None:
    try:
        path = settings().home / time.strftime("crash-%Y%m%d-%H%M%S.log")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except (OSError, MillraceError):
        return None
    return path


def _say(text: str, colour: str | None = None) -> None:
    plain = colour is None or "NO_COLOR" in os.environ
    lines = "\n".join(safe(line) for line in text.split("\n"))
    typer.secho(lines, err=True, fg=None if plain else colour)
