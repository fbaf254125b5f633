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


def complete_pools(incomplete: str) -> list[str]:
    """Returns the pools of the fleet that begin so, none where the fleet cannot be read."""
    return [name for name in _pools() if name.startswith(incomplete)]


def complete_places(incomplete: str) -> list[str]:
    """Returns what `--on` takes and begins so."""
    working = (name for name, runs in _pools().items() if runs == "work")
    return [name for name in ("here", "fleet", *working) if name.startswith(incomplete)]


def _pools() -> dict[str, str]:
    """Returns what each pool of the fleet runs."""
    from millrace.engine.errors import UsageError
    from millrace.engine.fleet.reading import read_fleet
    from millrace.engine.settings import settings

    try:
        fleet = read_fleet(settings().fleet).fleet
    except UsageError:
        return {}
    return {name: pool.spec.runs for name, pool in fleet.pools.items()} if fleet else {}


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
    str,
    typer.Option(
        "--on",
        help="Who does the work: here, fleet, or the name of a pool.",
        autocompletion=complete_places,
    ),
]
PoolName = Annotated[
    str,
    typer.Argument(
        metavar="POOL",
        help="The pool the machine works for.",
        autocompletion=complete_pools,
    ),
]
Priority = Annotated[
    Literal["high", "normal", "low"],
    typer.Option(help="Which run goes first where several wait for a pool."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Go without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
