"""The options that several commands share, with their completion."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def complete_runs(incomplete: str) -> list[str]:
    """Returns `last` and the ids of the newest runs that begin so."""
    from millrace.engine.settings import settings

    folder = settings().store / "runs"
    names = sorted((p.name for p in folder.glob("*-*-*")), reverse=True) if folder.is_dir() else []
    return [name for name in ("last", *names[:50]) if name.startswith(incomplete)]


def complete_what(incomplete: str) -> list[str]:
    """Returns the kinds that begin so, and the pipeline documents of the folder."""
    from pathlib import Path

    from millrace.engine import stages

    kinds = [name for name in stages.available() if name.startswith(incomplete)]
    folder = Path(incomplete).parent if "/" in incomplete else Path()
    found = [str(p) for p in folder.glob("*.y*ml")] if folder.is_dir() else []
    return kinds + sorted(name for name in found if name.startswith(incomplete))


RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, a unique part of it, or `last`.",
        autocompletion=complete_runs,
    ),
]
What = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE|KIND",
        help="A pipeline document, or a stage kind to run over FILES without one.",
        autocompletion=complete_what,
    ),
]
Files = Annotated[
    list[str] | None, typer.Argument(metavar="FILES", help="With a kind: its input files.")
]
OutputName = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="With a kind: the result.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Give a parameter; may stand several times."),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="Only the first N items of each input."),
]
Only = Annotated[
    str | None,
    typer.Option("--only", metavar="STAGE", help="Only this stage and what it needs."),
]
Force = Annotated[
    list[str] | None,
    typer.Option("--force", metavar="STAGE", help="Do this stage anew, stored or not."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace other files that have an output's name.")
]
On = Annotated[
    str, typer.Option("--on", help="Who does the work: here, fleet, or the name of a pool.")
]
Priority = Annotated[
    Literal["high", "normal", "low"],
    typer.Option(help="Which run goes first where several wait for a pool."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Go without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
