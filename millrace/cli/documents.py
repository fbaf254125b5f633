"""Commands about what documents say: documents, with train and schemas below it."""

from __future__ import annotations

import glob
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.cli import findings
from millrace.cli.options import Json
from millrace.engine.errors import UsageError
from millrace.engine.reporting.words import count, safe
from millrace.engine.settings import settings

if TYPE_CHECKING:
    from millrace.tasks.documents.extraction.learner import Learnt
    from millrace.tasks.documents.extraction.schema import Schema
    from millrace.tasks.documents.extraction.training import Example
    from millrace.tasks.documents.labelled import Pair

SchemaName = Annotated[
    str, typer.Argument(metavar="SCHEMA", help="A shipped schema, or the file of one's own.")
]


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    group = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
    group.callback()(documents)
    group.command()(train)
    group.command()(schemas)
    app.add_typer(group, name="documents")


def documents() -> None:
    """Train what extracts facts from documents, and look at the schemas of document types.

    Example: millrace documents train receipt --labels labels --documents scans
    """


def train(
    schema: SchemaName,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Folder of labels: {field: value} in STEM.json."),
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(
            "--documents", help="Folder of the documents, read or not (default: that of the labels)"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The model's folder (default: the one that is used here)."),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Learn from what people decided in `review`, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train the model of a document type from labelled documents, and say how good it will be.

    A label is a JSON file of the same stem as its document. Documents may be what documents.read
    wrote, or scans, which are read first. The model is used from the next run on; the figures are
    of documents that the model they were extracted by had not seen.

    Example: millrace documents train receipt --labels labels --documents scans --review
    """
    from millrace.tasks.documents import labelled
    from millrace.tasks.documents.extraction import learner
    from millrace.tasks.documents.extraction.schema import load_schema
    from millrace.tasks.documents.review.learning import learnt

    told = load_schema(schema)
    if labels is None and not review:
        raise UsageError(
            "there is nothing to learn from", hint="name a folder with --labels, or say --review"
        )
    given: list[Example] = []
    if labels is not None:
        given = _examples(labelled.pairs(labels, documents or labels, told))
    decided: list[Example] = []
    if review:
        known = learnt(settings(), told.name)
        decided = list(labelled.of_people(settings(), known))
        if gone := len(known) - len(decided):
            typer.echo(f"not in the store any more as read: {count(gone, 'document')}", err=True)
    place = out or settings().home / "models" / told.name
    made = learner.learn(labelled.together(given, decided), told, place)
    if as_json:
        typer.echo(json.dumps(made.as_json(), indent=2, ensure_ascii=False))
        return
    _say(made, told)


def schemas(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A schema of one's own to check.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the document types that are shipped, or find everything that is wrong with a schema.

    Example: millrace documents schemas schemas/order.yaml
    """
    from millrace.tasks.documents.extraction.model import SHIPPED
    from millrace.tasks.documents.extraction.schema import load_schema, read_schema, shipped

    if file is not None:
        _, report = read_schema(file)
        findings.show(report, str(file), as_json)
        return
    rows = []
    for name in shipped():
        own, place = load_schema(name), settings().home / "models" / name
        here = (place / "card.json").is_file()
        model = "trained here" if here else "shipped" if (SHIPPED / name).is_dir() else "rules"
        rows.append((name, own.title, [field.name for field in own.fields], model))
    if as_json:
        names = ("schema", "title", "fields", "model")
        typer.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("schema", "what it is", "fields", "model"):
        table.add_column(column, overflow="fold")
    for name, title, fields, model in rows:
        told = ", ".join(fields) or "every key with its value"
        table.add_row(*(Text(cell) for cell in (name, title, told, model)))
    Console().print(table)


def _examples(found: Sequence[Pair]) -> list[Example]:
    """Returns labelled documents, those that are not read yet read first."""
    from dataclasses import replace

    from millrace.tasks.documents import labelled

    scans = [one for one in found if not one.is_read]
    if not scans:
        return labelled.examples(found)
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        typer.echo(f"reading {count(len(scans), 'document')}", err=True)
        read = _read([one.document for one in scans], Path(folder))
        return labelled.examples(
            [one if one.is_read else replace(one, document=read[one.document]) for one in found]
        )


def _read(scans: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Reads scans into a folder through the engine, and returns for each its file.

    Raises RunFailed, which names those that cannot be read.
    """
    from millrace.engine.files import digest_file
    from millrace.engine.inline import check
    from millrace.engine.pipeline import Input, Output, Pipeline, StageSpec
    from millrace.engine.runs import Order
    from millrace.flows import run
    from millrace.tasks.documents import page_json

    home = str(folder.absolute()).replace("{", "{{").replace("}", "}}")
    files = tuple(glob.escape(str(path.absolute())) for path in scans)
    pipeline = Pipeline(
        name="documents-train",
        inputs={"files": Input(files=files)},
        stages={"read": StageSpec(uses="documents.read", each="files")},
        outputs={"pages": Output(source="read", to=home + "/{source.path}.json")},
    ).checked()
    outcome = run(Order(pipeline=pipeline, base=Path.cwd()))
    check(outcome)
    read = {page_json.load(path.read_bytes()).digest: path for path in map(Path, outcome.outputs)}
    return {path: read[digest_file(path)[0]] for path in scans}


def _say(made: Learnt, schema: Schema) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("field", "labels", "right", "accepted", "right of these"):
        table.add_column(column, justify="left" if column == "field" else "right")
    for name, told in [*made.fields.items(), ("all", made.all)]:
        share = told.as_json()
        shown = (share["right"], share["accepted"], share["accepted right"])
        table.add_row(name, str(told.labelled), *(f"{one:.1%}" for one in shown))
    Console().print(table)
    if made.untrained:
        names = ", ".join(made.untrained)
        typer.echo(f"too few labels, left to rules: {names}", err=True)
    typer.echo(
        safe(
            f"learnt from {count(made.documents, 'document')}; accepted from {made.threshold:.2f} "
            f"on; {made.folder}"
        )
    )
