"""Commands about pipeline documents: init, check, schema, kinds."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.cli import findings, kind_page
from millrace.cli.options import Json, Set
from millrace.engine import stages
from millrace.engine.document import schema as schemas
from millrace.engine.document import starters
from millrace.engine.document.catalogue import Catalogue, Kind
from millrace.engine.errors import StoreError, UsageError
from millrace.engine.pipeline import check as check_document
from millrace.engine.reporting.words import count


def complete_kinds(incomplete: str) -> list[str]:
    """Returns the installed kinds that begin so."""
    return [name for name in stages.available() if name.startswith(incomplete)]


KindName = Annotated[
    str | None,
    typer.Argument(metavar="KIND", help="Show this one alone.", autocompletion=complete_kinds),
]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", "-k", help="The kind to start with.", autocompletion=complete_kinds),
]


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    app.command()(init)
    app.command()(check)
    app.command()(schema)
    app.command()(kinds)


def given(pairs: list[str] | None) -> dict[str, str]:
    """Returns the values of `--set`. Raises UsageError for one that is not NAME=VALUE."""
    values: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {pair}: write --set NAME=VALUE")
        values[name.strip()] = value
    return values


def check(
    file: Annotated[Path, typer.Argument(help="The pipeline document.", metavar="FILE")],
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Find everything that is wrong with a pipeline document, in one pass.

    Each problem is shown with file:line:column, the line, and the nearest valid name. Exit code 2
    when there are problems; warnings do not count. Nothing is read but the document.

    Example: millrace check remaster.yaml --set scale=4
    """
    findings.show(check_document(file, given(set_)), str(file), as_json)


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.", metavar="FILE")
    ] = None,
    package: Annotated[
        str | None, typer.Option(help="Only the kinds of this package.", metavar="NAME")
    ] = None,
) -> None:
    """Write the JSON Schema of pipeline documents, with the parameters of every installed kind.

    An editor with a YAML language server completes and checks from it when the document begins
    with: # yaml-language-server: $schema=pipeline.schema.json

    Example: millrace schema -o pipeline.schema.json
    """
    found = Catalogue().all()
    chosen = [kind for kind in found if package in (None, kind.package)]
    if package and not chosen:
        raise UsageError(f"no installed package {package!r} has stage kinds")
    text = json.dumps(schemas.document(chosen), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    _write(output, text)
    typer.echo(f"wrote {output} ({count(len(chosen), 'kind')})", err=True)


def init(
    file: Annotated[Path, typer.Argument(help="The document to write.", metavar="FILE")] = Path(
        "pipeline.yaml"
    ),
    kind: KindOption = None,
) -> None:
    """Write a pipeline document to start from, with every part explained.

    It is valid as it stands: change what it reads and where it writes, then `millrace check` and
    `millrace plan`. An existing file is never overwritten.

    Example: millrace init remaster.yaml --kind video.encode
    """
    path = file if file.suffix else file.with_suffix(".yaml")
    name = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-") or "pipeline"
    text = starters.pipeline(name, kind, Catalogue())
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} exists and is left as it is", hint="give another name")
    _write(path, text, fresh=True)
    quoted = shlex.quote(str(path))
    typer.echo(f"wrote {path}; next: millrace check {quoted}, millrace plan {quoted}")


def _write(path: Path, text: str, *, fresh: bool = False) -> None:
    try:
        with path.open("x" if fresh else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def kinds(
    kind: KindName = None,
    as_json: Json = False,
) -> None:
    """List the installed stage kinds, or show one with all its parameters.

    Example: millrace kinds video.encode
    """
    catalogue = Catalogue()
    if kind is None:
        found = catalogue.all()
        if as_json:
            typer.echo(json.dumps([kind_page.as_json(one) for one in found], indent=2))
        else:
            Console().print(_table(found))
        return
    one = catalogue.get(kind)
    if one is None:
        raise UsageError(catalogue.unknown(kind))
    if as_json:
        typer.echo(json.dumps(kind_page.as_json(one), indent=2))
    else:
        Console().print(*kind_page.page(one), sep="\n")


def _table(found: list[Kind]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("kind", "unit", "what it does", "package"):
        table.add_column(column, overflow="fold")
    for kind in found:
        unit = kind.cls.unit if kind.cls is not None else "–"
        does = kind.summary if kind.cls is not None else f"cannot be loaded: {kind.broken}"
        package = f"{kind.package} {kind.package_version}"
        table.add_row(*(Text(cell) for cell in (kind.name, unit, does, package)))
    return table
