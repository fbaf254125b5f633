"""The document kinds as Prefect tasks, for a person's own flows.

    from prefect import flow
    from millrace.tasks.documents import extract, load, read

    @flow
    def mine():
        facts = [extract.submit(read.submit(scan), schemas=["receipt"]) for scan in scans]
        load([one.result() for one in facts], scope="mine")

Each is a one-stage pipeline through the same conductor as any run: leased, cached, resumable.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import task

from millrace.engine.inline import stage_file


@task(name="documents.read", persist_result=False)
def read(source: str | Path, output: str | Path | None = None, **params: Any) -> Path:
    """Reads a document and returns the path of its pages, words and boxes as JSON.

    Without `output` the result stays in the store's run folder. `params` are those of the kind
    (`millrace kinds documents.read`). Raises RunFailed with the reason.
    """
    return stage_file("documents.read", source, output, **params)


@task(name="documents.extract", persist_result=False)
def extract(
    source: str | Path,
    output: str | Path | None = None,
    *,
    schemas: Sequence[str] = ("receipt",),
    **params: Any,
) -> Path:
    """Extracts the facts of a document that was read and returns their path. See `read`."""
    return stage_file("documents.extract", source, output, schemas=list(schemas), **params)


@task(name="documents.load", persist_result=False)
def load(
    sources: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    scope: str,
    **params: Any,
) -> Path:
    """Loads extracted facts, one file a document, into the graph; returns the receipt's path.

    `scope` names whose documents they are. See `read`.
    """
    return stage_file("documents.load", sources, output, scope=scope, **params)
