"""One-off document work from Python: a folder of scans in, facts out, by one call."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from millrace.engine.document.parameters import at_home
from millrace.engine.errors import UsageError
from millrace.engine.inline import check as check_outcome
from millrace.engine.pipeline import Input, Output, Pipeline, StageSpec
from millrace.engine.runs import Order
from millrace.flows import run

SUFFIXES = ("pdf", "jpg", "jpeg", "png", "tif", "tiff")
"""Of the files that are taken from a folder; a file or a glob may have any."""


def extract_documents(
    source: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    schemas: Sequence[str] = ("receipt",),
    graph: str | Path | None = None,
    scope: str = "documents",
    languages: Literal["auto"] | Sequence[str] = "auto",
    speed: Literal["fast", "balanced", "thorough"] = "balanced",
    overwrite: bool = False,
    check: bool = True,
) -> list[Path]:
    """Reads documents, extracts their facts, and returns the JSON files of those, one a document.

    `source` is a folder (with those below it), a file, a glob, or several of these; `output` is the
    folder the JSON files go to, by their documents' names. `schemas` are names of declared document
    types or paths of schema files; which one fits is found out document by document. With `graph`
    (a folder, or bolt://HOST:7687 with NEO4J_USERNAME and NEO4J_PASSWORD) the facts are loaded
    there, for the `scope`, and doubtful ones wait for `millrace review`; nothing is withdrawn.

    What was done before is not done again. With `check`, documents that cannot be done raise
    RunFailed after everything else is done; without, they are left out. Raises UsageError and
    DocumentError for wrong arguments, ToolMissing for a program or library that is not installed.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    if not sources:
        raise UsageError("name a folder, a file or a glob of documents")
    read: dict[str, Any] = {"speed": speed}
    if languages != "auto":
        read["languages"] = list(languages)
    stages = {
        "read": StageSpec(uses="documents.read", each="files", params=read),
        "extract": StageSpec(
            uses="documents.extract", each="read", params={"schemas": list(schemas)}
        ),
    }
    if graph is not None:
        place = str(graph) if "://" in str(graph) else str(at_home(str(graph)).absolute())
        stages["load"] = StageSpec(
            uses="documents.load", all=("extract",), params={"scope": scope, "graph": place}
        )
    folder = str(at_home(str(output)).absolute()).replace("{", "{{").replace("}", "}}")
    pipeline = Pipeline(
        name="documents",
        inputs={"files": Input(files=tuple(p for s in sources for p in patterns(s)))},
        stages=stages,
        outputs={"facts": Output(source="extract", to=folder + "/{source.path}.json")},
    ).checked()
    outcome = run(Order(pipeline=pipeline, base=Path.cwd(), overwrite=overwrite))
    if check:
        check_outcome(outcome)
    return [Path(path) for path in outcome.outputs]


def patterns(source: str | Path) -> Iterator[str]:
    """Yields the globs of what a source stands for: of a folder, the documents in it and below."""
    text = str(source)
    if "://" in text:
        yield text
        return
    path = at_home(text).absolute()
    if not path.is_dir():
        yield str(path)
        return
    for suffix in SUFFIXES:
        either = "".join(f"[{letter}{letter.upper()}]" for letter in suffix)
        yield f"{glob.escape(str(path))}/**/*.{either}"
