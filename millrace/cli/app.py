"""The typer application, put together from the modules that hold the commands."""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "init": "document",
    "kinds": "document",
    "check": "document",
    "schema": "document",
    "plan": "plan",
    "run": "run",
    "watch": "watch",
    "retry": "run",
    "cancel": "run",
    "attach": "fleet",
    "approve": "fleet",
    "runs": "history",
    "show": "history",
    "logs": "history",
    "why": "evidence",
    "cost": "cost",
    "verify": "evidence",
    "relabel": "relabel",
    "documents": "documents",
    "review": "review",
    "forget": "forget",
    "gc": "upkeep",
    "doctor": "upkeep",
    "server": "server",
    "pools": "pools",
    "deploy": "deploy",
    "worker": "worker",
    "graph": "graph",
}
"""Which module of this package holds a command, in the order they are listed."""


class LazyGroup(TyperGroup):
    """Imports a command's module when the command is asked for: `runs` need not load what `run`
    does."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns the command, or None when there is none of that name."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.callback()(_nothing)  # a lone command would otherwise become the whole application
        importlib.import_module(f"millrace.cli.{module}").register(app)
        return typer.main.get_group(app).commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Returns (name, command, rest); for an unknown name it fails with the nearest."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"there is no command {args[0]!r}{meant}")
        return super().resolve_command(ctx, args)


def build() -> typer.Typer:
    """Returns the application."""
    app = typer.Typer(
        cls=LazyGroup,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_top)
    return app


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"millrace {version('millrace')}")
        raise typer.Exit


def _top(
    shown: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and end.", is_eager=True, callback=_version
        ),
    ] = False,
) -> None:
    """Declared pipelines for media and document work: planned, resumable, explained.

    Start with `millrace init`, look with `millrace plan`, go with `millrace run`. Every command
    has a --help with an example.

    Exit codes: 0 all done; 1 some items failed and the rest is done; 2 the document or the
    arguments are wrong; 3 nothing is permitted to run it; 4 a tool or the server is missing;
    130 interrupted.
    """


def _nothing() -> None:
    """Holds the commands of one module together."""
