"""Commands about the graph of facts: graph query, show, picture, export, withdraw, and those of
`sameness`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli import sameness
from millrace.cli.graph_place import Where, opened
from millrace.cli.options import Json
from millrace.engine.errors import UsageError

if TYPE_CHECKING:
    from millrace.tasks.documents.graph.adapter import Answer, Graph

Named = Annotated[
    str, typer.Argument(metavar="DOCUMENT", help="Its name, or the beginning of its SHA-256.")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="The value of $NAME in the query."),
]


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    group = typer.Typer(
        rich_markup_mode=None,
        no_args_is_help=True,
        help="Ask the graph of facts, look at it, move it, and take documents out of it.",
    )
    for command in (query, show, picture, export, withdraw):
        group.command()(command)
    group.command()(sameness.resolve)
    group.command()(sameness.same)
    group.command()(sameness.apart)
    app.add_typer(group, name="graph")


def query(
    text: Annotated[str, typer.Argument(metavar="QUERY", help="A query in Cypher.")],
    values: Parameters = None,
    where: Where = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """Ask the graph. A query only reads: no file is imported, no procedure called.

    Example: millrace graph query 'MATCH (f:Fact {field: "total"}) RETURN sum(f.number)'
    """
    with opened(where) as graph:
        answer = graph.query(text, _values(values or []), limit=limit)
    if as_json:
        told = {"columns": answer.columns, "rows": answer.rows, "cut": answer.cut}
        typer.echo(json.dumps(told, ensure_ascii=False, default=str))
        return
    _table(answer)
    if answer.cut:
        typer.echo(f"there is more: these are the first {limit} rows (--limit)", err=True)


def show(where: Where = "", as_json: Json = False) -> None:
    """Show how many documents, facts and entities the graph has.

    Example: millrace graph show
    """
    with opened(where) as graph:
        place, counts = graph.where, graph.counts()
    if as_json:
        typer.echo(json.dumps({"graph": place, "counts": counts}))
        return
    typer.echo(f"graph  {place}")
    for name, number in counts.items():
        typer.echo(f"{name:12}{number:>12,}")


def picture(
    document: Named,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")
    ],
    where: Where = "",
) -> None:
    """Draw a document's neighbourhood into an HTML page that opens without a network.

    Example: millrace graph picture receipt.jpg -o receipt.html
    """
    from millrace.tasks.documents.graph.picture import neighbourhood, page

    with opened(where) as graph:
        around = neighbourhood(graph, _one(graph, document))
    if around is None:
        raise UsageError(f"the document {document!r} was just withdrawn from the graph")
    try:
        output.write_text(page(around), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"the picture is {output}")


def export(
    to: Annotated[
        str, typer.Option("--to", metavar="WHERE", help="Where to: bolt://HOST:7687, or a folder.")
    ],
    where: Where = "",
) -> None:
    """Copy the graph into another, with all that persons decided, and check what was written.

    Twice changes nothing. What the other graph has of other documents stays.

    Example: millrace graph export --to bolt://127.0.0.1:7687
    """
    from millrace.tasks.documents.graph.transfer import transfer

    with opened(where) as source, opened(to) as target:
        if source.where == target.where:
            raise UsageError(
                "both are the same graph",
                hint="name the one to copy by --graph, and another by --to",
            )
        done = transfer(source, target)
        typer.echo(
            f"{done.documents:,} documents with {done.nodes:,} nodes and {done.edges:,} edges "
            f"are in {target.where}; {done.changed:,} had to be written"
        )


def withdraw(document: Named, where: Where = "") -> None:
    """Take a document out of the graph, with everything that only it supported.

    A pipeline that still has it loads it again; `millrace forget` removes it everywhere.

    Example: millrace graph withdraw receipt.jpg
    """
    from millrace.tasks.documents.graph.resolving import settle

    with opened(where) as graph:
        receipt = graph.withdraw("", [_one(graph, document)])
        settle(graph)
    typer.echo(f"withdrawn: {receipt.removed:,} nodes that only it supported are gone")


def _one(graph: Graph, told: str) -> str:
    found = graph.find(told)
    exact = [digest for digest, _ in found if digest == told]
    if len(found) == 1 or exact:
        return exact[0] if exact else found[0][0]
    if not found:
        raise UsageError(
            f"the graph has no document {told!r}", hint="`millrace graph query` lists them"
        )
    raise UsageError(
        f"{told!r} is {len(found)} documents",
        hint="name one by more of its SHA-256:\n"
        + "\n".join(f"  {digest[:16]}  {name}" for digest, name in found),
    )


def _values(told: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for one in told:
        name, equals, value = one.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--set {one!r} is not NAME=VALUE")
        values[name] = value
    return values


def _table(answer: Answer) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from millrace.engine.reporting.words import safe

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in answer.columns:
        table.add_column(Text(safe(column)), overflow="fold")
    for row in answer.rows:
        table.add_row(*(Text(safe(_shown(value))) for value in row))
    Console().print(table)


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "–" if value is None else str(value)
