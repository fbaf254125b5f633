"""The graph, whichever database keeps it: load facts, withdraw them, ask.

`locations.open_graph(where)` returns one. A document is written in one transaction, so it is in the
graph whole or not at all; what is there already is left alone. What differs between the databases
stands behind `Engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from millrace.engine.errors import UsageError
from millrace.tasks.documents.facts import Facts
from millrace.tasks.documents.graph import loading, statements
from millrace.tasks.documents.graph.loading import Receipt, Run
from millrace.tasks.documents.graph.model import EDGES, NODES, Row

__all__ = ["Answer", "Engine", "Graph", "Receipt"]

T = TypeVar("T")
_ROWS = 10_000  # nodes and edges of one transaction, about
_WITHDRAWN = 200  # documents withdrawn in one transaction
LIMIT = 10_000
SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """The rows of a query; `cut` where there were more than was asked for."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    cut: bool = False


class Engine(Protocol):
    """A database. `work` runs in one transaction, and perhaps again: a lost server is waited for
    and a conflict tried anew."""

    where: str

    def migrate(self) -> None:
        """Brings the database to this version's tables, constraints and indexes.

        Raises GraphError where it cannot be reached, or a newer Millrace wrote it.
        """

    def write(self, work: Callable[[Run], T]) -> T:
        """Returns what `work` did, committed."""

    def read(self, work: Callable[[Run], T]) -> T:
        """Returns what `work` read."""

    def ask(self, text: str, parameters: Mapping[str, Any], limit: int, seconds: float) -> Answer:
        """Returns the answer to a query of a person. Raises UsageError for one that is wrong,
        takes too long or would do anything else than read the graph."""

    def close(self) -> None:
        """Lets go of the database."""


@dataclass(frozen=True)
class Graph:
    """A graph in a database, which is brought to this version's shape as it is opened."""

    engine: Engine

    @property
    def where(self) -> str:
        """The folder or address it is at."""
        return self.engine.where

    def current(self, scope: str) -> Mapping[str, str]:
        """Returns for each document that a scope has loaded the digest of its state."""
        rows = self.engine.read(lambda run: run(statements.CURRENT, scope=scope))
        return {str(row["document"]): str(row["state"]) for row in rows}

    def put(self, scope: str, many: Sequence[Facts]) -> Receipt:
        """Loads documents for a scope, and returns what that changed.

        Equal facts change nothing. Others replace what the scope had of the document, except facts
        that a person has decided, and leave alone what other scopes have. Several transactions of
        whole documents: where it fails, those before stay.
        """
        if not scope:
            raise UsageError("facts are loaded for a scope, such as the pipeline's name")
        receipt = Receipt()
        for chunk in _chunks(many):
            receipt += self.engine.write(lambda run, c=chunk: loading.put(run, scope, c))  # type: ignore[misc]
        return receipt

    def withdraw(self, scope: str, digests: Sequence[str]) -> Receipt:
        """Takes documents out, with everything that only they supported.

        For the scope "" that of every scope. Those that are not there are passed over.
        """
        receipt = Receipt()
        named = sorted(set(digests))
        for at in range(0, len(named), _WITHDRAWN):
            some = named[at : at + _WITHDRAWN]
            receipt += self.engine.write(lambda run, s=some: loading.withdraw(run, scope, s))  # type: ignore[misc]
        return receipt

    def query(
        self,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limit: int = LIMIT,
        seconds: float = SECONDS,
    ) -> Answer:
        """Returns the answer to a query in Cypher that only reads.

        Raises UsageError for one that writes, reads files or calls procedures, that is wrong, or
        that takes longer than `seconds`.
        """
        return self.engine.ask(text, parameters or {}, limit, seconds)

    def find(self, text: str) -> tuple[tuple[str, str], ...]:
        """Returns (digest, name) of up to 20 documents whose digest begins so, or of that name."""
        rows = self.engine.read(lambda run: run(statements.FIND, text=text))
        return tuple((str(row["id"]), str(row["name"])) for row in rows)

    def counts(self) -> Mapping[str, int]:
        """Returns how many nodes of each label there are, and edges of each type."""

        def count(run: Run) -> dict[str, int]:
            found: dict[str, int] = {}
            for node in NODES:
                found[node.label] = _number(run(statements.counts(node)))
            for edge in EDGES:
                rows = run(statements.edge_counts(edge))
                found[edge.type] = found.get(edge.type, 0) + _number(rows)
            return found

        return self.engine.read(count)

    def close(self) -> None:
        """Lets go of the database."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _chunks(many: Sequence[Facts]) -> Iterator[list[Facts]]:
    """Yields documents in groups of about as many nodes and edges, equal ones together."""
    chunk: list[Facts] = []
    weight = 0
    before = ""
    for facts in sorted(many, key=lambda one: (one.digest, one.name)):
        if chunk and weight >= _ROWS and facts.digest != before:
            yield chunk
            chunk, weight = [], 0
        chunk.append(facts)
        before = facts.digest
        weight += 3 + 2 * facts.pages + 3 * len(facts.facts) + 4 * len(facts.entities)
        weight += len(facts.relations)
    if chunk:
        yield chunk


def _number(rows: list[Row]) -> int:
    return int(rows[0]["n"])
