"""Commands about entities that are the same though written differently: resolve, same, apart."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from millrace.cli.graph_place import Where, opened
from millrace.cli.options import Json
from millrace.engine.errors import UsageError
from millrace.engine.reporting.words import count, safe
from millrace.engine.settings import settings

if TYPE_CHECKING:
    from millrace.tasks.documents.graph.resolving import Resolution
    from millrace.tasks.documents.review.sameness import Word

One = Annotated[
    str, typer.Argument(metavar="ONE", help="An entity's name, or the beginning of its id.")
]
Other = Annotated[
    str, typer.Argument(metavar="OTHER", help="Another's name, or the beginning of its id.")
]
Who = Annotated[str, typer.Option("--who", help="Who says so (default: the user of this session).")]


def resolve(where: Where = "", as_json: Json = False) -> None:
    """Bring together companies, addresses and people that are the same though written differently.

    A load does so at its end. What `same` and `apart` said is obeyed; twice changes nothing.

    Example: millrace graph resolve
    """
    from millrace.tasks.documents.graph.resolving import settle

    with opened(where) as graph:
        done = settle(graph)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    _tell(done)


def same(one: One, other: Other, where: Where = "", who: Who = "") -> None:
    """Say that two entities are the same: they are merged at once, and by every later load.

    Example: millrace graph same "ACME SDN BHD" "ACME TRADING"
    """
    _say(one, other, "same", where, who)


def apart(one: One, other: Other, where: Where = "", who: Who = "") -> None:
    """Say that two entities are not the same: a merge is taken back at once, and stays so.

    Example: millrace graph apart "ACME SDN BHD" "ACNE SDN BHD"
    """
    _say(one, other, "apart", where, who)


def _say(one: str, other: str, word: Word, where: str, who: str) -> None:
    import getpass

    from millrace.tasks.documents.graph import resolving
    from millrace.tasks.documents.review import sameness, tables

    with opened(where) as graph:
        left, right = resolving.find(graph, one), resolving.find(graph, other)
        if left.kind != right.kind or left.kind not in resolving.KINDS:
            raise UsageError(
                f"{left.kind} {left.name!r} and {right.kind} {right.name!r} are not compared",
                hint=f"both must be of one kind of these: {', '.join(resolving.KINDS)}",
            )
        database = tables.connect(settings())
        sameness.say(database, left.id, right.id, word, who=who or getpass.getuser())
        verb = "are the same" if word == "same" else "are not the same"
        typer.echo(safe(f"{left.name} and {right.name} {verb}"))
        _tell(resolving.settle(graph))


def _tell(done: Resolution) -> None:
    changed = f"{done.written:,} written, {done.removed:,} removed"
    typer.echo(
        f"{done.merged:,} of {done.entities:,} entities are in {count(done.resolved, 'group')}; "
        + (changed if done.written or done.removed else "nothing changed")
    )
