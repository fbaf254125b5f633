"""Forgetting a document: graphs, queue, artifacts, caches, models, in that order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from millrace.engine import forgetting
from millrace.engine.errors import MillraceError, UsageError
from millrace.engine.files import digest_file
from millrace.engine.forgetting import Forgotten
from millrace.engine.settings import Settings
from millrace.tasks.documents.review.desk import Desk, Loaded

Withdraw = Callable[[Loaded], None]
"""Takes a document, and all that only it supports, out of the graph it was loaded into."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was removed of a document, and what is left because nobody could reach or undo it.

    `rows` counts what the review queue had of it. `models` are folders of models that were trained
    with it: they are not changed and have to be trained again.
    """

    digest: str
    graphs: int
    rows: dict[str, int]
    store: Forgotten
    models: tuple[Path, ...]
    troubles: tuple[str, ...]


def find(text: str, desk: Desk) -> str:
    """Returns the digest of the document that a file's path, a name or part of a digest names.

    Raises UsageError when there is none, or several.
    """
    path = Path(text)
    if path.is_file():
        try:
            return digest_file(path)[0]
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    found = {digest for digest, _ in desk.find(text)} if text else set()
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        found |= {text}
    if len(found) == 1:
        return found.pop()
    if found:
        raise UsageError(
            f"{len(found)} documents are called {text!r}",
            hint="name one by its digest: " + ", ".join(sorted(d[:12] for d in found)),
        )
    raise UsageError(
        f"no document is known by {text!r}",
        hint="name its file, its name as it was loaded, or its SHA-256",
    )


def forget(
    digest: str, desk: Desk, settings: Settings, *, withdraw: Withdraw | None = None
) -> Report:
    """Removes a document everywhere on this host, and from the graphs it was loaded into.

    A graph that cannot be reached is told of, and what the queue knows of the document stays until
    it could be: the same command finds it again. Raises StoreError.
    """
    take_out = withdraw or withdraw_from_graph
    graphs, troubles = 0, []
    for loaded in desk.documents(digest):
        try:
            take_out(loaded)
            graphs += 1
        except MillraceError as error:
            troubles.append(error.message)
    rows = {} if troubles else desk.forget(digest)
    return Report(
        digest=digest,
        graphs=graphs,
        rows=rows,
        store=forgetting.forget(settings, digest),
        models=tuple(_models(settings, digest)),
        troubles=tuple(troubles),
    )


def withdraw_from_graph(loaded: Loaded) -> None:
    """Takes a document out of its graph. Raises what the graph raises."""
    from millrace.tasks.documents.graph.locations import open_graph
    from millrace.tasks.documents.graph.resolving import settle

    with closing(open_graph(loaded.graph)) as graph:
        graph.withdraw(loaded.scope, [loaded.facts.digest])
        settle(graph)


def _models(settings: Settings, digest: str) -> Iterator[Path]:
    """Yields the models of this home whose card lists the document among those it learnt from."""
    for card in sorted((settings.home / "models").glob("*/card.json")):
        try:
            if digest in json.loads(card.read_text()).get("documents", ()):
                yield card.parent
        except (OSError, ValueError, AttributeError):
            continue
