"""The command `millrace`. Each group of commands is a module, imported when it is asked for."""

from __future__ import annotations

import os
import sys

import typer

from millrace.cli import endings
from millrace.engine.errors import MillraceError


def main() -> None:
    """Runs the command line and ends the process with the exit code."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Runs a command line and returns the exit code. Whatever happens, a person gets a sentence:
    a traceback is for MILLRACE_DEBUG=1 alone."""
    from millrace.cli.app import build

    try:
        build()(arguments, prog_name="millrace")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        return endings.flushed(code)
    except MillraceError as error:
        endings.tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        return endings.flushed(0)
    except Exception as error:
        if os.environ.get("MILLRACE_DEBUG"):
            raise
        endings.apologise(error)
        return 1
    return endings.flushed(0)
