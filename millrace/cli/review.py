"""Commands of the person at the desk: review, and what shows and decides below it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.cli.options import Json
from millrace.engine.errors import UsageError
from millrace.engine.reporting.words import count, safe
from millrace.engine.settings import settings

if TYPE_CHECKING:
    from millrace.tasks.documents.review.deciding import Done
    from millrace.tasks.documents.review.desk import Case, Desk, Verdict

CaseId = Annotated[
    str, typer.Argument(metavar="CASE", help="A case's id, or a part of it that no other has.")
]
CaseIds = Annotated[list[str], typer.Argument(metavar="CASES", help="Ids, or parts of them.")]
Who = Annotated[str, typer.Option("--who", help="Who decides (default: the user of this session).")]
Type = Annotated[str, typer.Option("--type", help="Only documents of this type.")]
Field = Annotated[str, typer.Option("--field", help="Only this field.")]


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    group = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
    group.callback()(review)
    group.command()(show)
    group.command()(accept)
    group.command()(correct)
    group.command()(reject)
    group.command()(export)
    group.command(name="import")(take)
    app.add_typer(group, name="review")


def review(
    ctx: typer.Context,
    kind: Type = "",
    field: Field = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List what waits for a person: doubtful fields of documents, the least certain first.

    The commands below it show a case with its place on the page, and decide. A decision is in the
    graph at once, and holds when the document is read again.

    Example: millrace review --type receipt
    """
    if ctx.invoked_subcommand is not None:
        return
    desk = _desk()
    cases = desk.cases(kind=kind, field=field, limit=limit)
    if as_json:
        typer.echo(json.dumps([_told(case) for case in cases], indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("case", "document", "field", "value", "sure"):
        table.add_column(heading, justify="right" if heading == "sure" else "left")
    for case in cases:
        told = (case.id[:8], case.facts.name, case.fact.field, case.fact.value)
        table.add_row(*map(Text, map(safe, told)), f"{case.fact.probability:.0%}")
    if cases:
        Console().print(table)
    waiting = sum(desk.count().values())
    typer.echo(f"{count(waiting, 'field')} wait" + ("s" if waiting == 1 else ""), err=True)


def show(
    name: CaseId,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Write the crop of the page to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a case: the value, what else it could be, its checks, and the crop of the page.

    The place is drawn in the terminal; --picture writes it as a JPEG with the box around it.

    Example: millrace review show 3f2a
    """
    case = _desk().case(name)
    if picture is not None:
        if not case.fact.crop:
            raise UsageError(
                f"there is no picture of case {case.id[:8]}",
                hint="pages with a text layer of their own have none; `read` below is the place",
            )
        picture.write_bytes(case.fact.crop)
    if as_json:
        typer.echo(json.dumps(_told(case), indent=2, ensure_ascii=False))
        return
    _show(case)


def accept(names: CaseIds, who: Who = "") -> None:
    """Say that values are right as they stand.

    Example: millrace review accept 3f2a 77b0
    """
    _decide(names, "accepted", who=who)


def correct(
    name: CaseId,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What the document says.")],
    who: Who = "",
) -> None:
    """Say what the value is.

    Example: millrace review correct 3f2a "KEDAI PAPAN YEW CHUAN"
    """
    _decide([name], "corrected", value=value, who=who)


def reject(names: CaseIds, who: Who = "") -> None:
    """Say that the documents have no such value: the facts are taken out of the graph.

    Example: millrace review reject 3f2a
    """
    _decide(names, "rejected", who=who)


def export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The CSV file to write.")],
    kind: Type = "",
    field: Field = "",
) -> None:
    """Write what waits as a CSV file for a spreadsheet. Cells are safe from formulas.

    Fill in the column `decision` (accept, correct, reject) or `correction`, and import the file.

    Example: millrace review export doubtful.csv
    """
    from millrace.tasks.documents.review import sheets

    written = sheets.write(_desk().cases(kind=kind, field=field), path)
    typer.echo(f"{count(written, 'case')} in {path}")


def take(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The filled-in CSV file.")],
    who: Who = "",
) -> None:
    """Take in the decisions of a CSV file. Either all of its rows can be read, or none is taken.

    Example: millrace review import doubtful.csv --who anna
    """
    from millrace.tasks.documents.review import sheets

    answers = list(sheets.read(path))
    desk, person = _desk(), who or _user()
    done, gone = 0, []
    for answer in answers:
        try:
            case = desk.case(answer.case)
        except UsageError:
            gone.append(answer.case[:8])
            continue
        _one(desk, case, answer.verdict, answer.value, person)
        done += 1
    typer.echo(f"{count(done, 'decision')} taken from {path}")
    if gone:
        typer.echo(f"not waiting any more: {safe(', '.join(gone))}", err=True)


def _decide(names: list[str], verdict: Verdict, *, who: str, value: str = "") -> None:
    desk, person = _desk(), who or _user()
    for case in [desk.case(name) for name in names]:
        done = _one(desk, case, verdict, value, person)
        where = f", in {count(done.graphs, 'graph')}" if done.graphs else ""
        typer.echo(safe(f"{case.id[:8]} {case.fact.field} of {case.facts.name}: {verdict}{where}"))


def _one(desk: Desk, case: Case, verdict: Verdict, value: str, who: str) -> Done:
    from millrace.tasks.documents.review.deciding import decide, put_into_graph

    done = decide(desk, case, verdict, value=value, who=who, put=put_into_graph)
    for trouble in done.troubles:
        typer.echo(
            safe(f"not in the graph yet: {trouble}; its next load brings it there"), err=True
        )
    return done


def _desk() -> Desk:
    from millrace.tasks.documents.review.desk import Desk
    from millrace.tasks.documents.review.tables import connect

    return Desk(connect(settings()))


def _user() -> str:
    import getpass

    return getpass.getuser()


def _told(case: Case) -> dict[str, Any]:
    fact = case.fact
    return {
        "case": case.id,
        "document": case.facts.name,
        "digest": case.facts.digest,
        "type": case.facts.kind,
        "field": fact.field,
        "path": fact.path,
        "value": fact.value,
        "read": fact.raw,
        "probability": fact.probability,
        "alternatives": [{"value": v, "probability": p} for v, p in fact.alternatives],
        "checks": dict(fact.checks or {}),
        "methods": list(fact.methods),
        "places": [
            {"page": e.page, "box": [e.box.x0, e.box.y0, e.box.x1, e.box.y1], "reader": e.reader}
            for e in fact.evidence
        ],
    }


def _show(case: Case) -> None:
    fact, console = case.fact, Console()
    lines = [
        ("document", f"{case.facts.name} ({case.facts.kind})"),
        ("field", f"{fact.field} {fact.path}".strip()),
        ("value", f"{fact.value}   {fact.probability:.0%} sure"),
        ("read", fact.raw),
        *(("or", f"{value}   {p:.0%}") for value, p in fact.alternatives),
        *((f"check {n}", "holds" if ok else "FAILS") for n, ok in (fact.checks or {}).items()),
        *(("place", f"page {e.page}, read by {e.reader}") for e in fact.evidence[:1]),
    ]
    for word, told in lines:
        console.print(Text(f"{word:12} {safe(told)}"))
    if fact.crop:
        from millrace.tasks.documents.review.pictures import blocks

        console.print(Text.from_ansi(blocks(fact.crop, columns=min(100, console.width))))
