"""Copies a graph into another: from the embedded database to a Neo4j server, or back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from millrace.engine.errors import GraphError
from millrace.tasks.documents.graph import contents, loading, model, resolving, statements
from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.graph.loading import Run
from millrace.tasks.documents.graph.model import Content, Node, Row

_AT_ONCE = 200  # documents of one transaction
_SHARED: tuple[Node, ...] = (model.DOCUMENT, model.ENTITY)
"""Nodes that the target's own documents may have a part in: compared by their ids alone."""

_COPIED = tuple(node for node in model.NODES if node is not model.RESOLVED)


@dataclass(frozen=True)
class Transfer:
    """What was copied: documents, how many of them had to be written (those of a part go together),
    nodes and edges."""

    documents: int = 0
    changed: int = 0
    nodes: int = 0
    edges: int = 0


def transfer(
    source: Graph, target: Graph, tell: Callable[[Transfer], None] | None = None
) -> Transfer:
    """Copies all documents with what persons have decided, and brings its entities together.

    What the target has of other documents and scopes stays. Each part is read back and compared:
    raises GraphError where it is not what was written.
    """
    ids = [str(r["id"]) for r in source.engine.read(lambda run: run(_ALL))]
    done = Transfer()
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        content = source.engine.read(lambda run, s=some: contents.read(run, s))  # type: ignore[misc]
        changed = target.engine.write(lambda run, c=content: _write(run, c))  # type: ignore[misc]
        there = target.engine.read(lambda run, s=some: contents.read(run, s))  # type: ignore[misc]
        if _comparable(content, content) != _comparable(there, content):
            raise GraphError(
                f"the graph at {target.where} does not hold what was copied into it",
                hint="nothing was lost here; stop what else writes into it, and export again",
            )
        done = Transfer(
            done.documents + len(some),
            done.changed + changed,
            done.nodes + sum(map(len, content.nodes.values())),
            done.edges + sum(map(len, content.edges.values())),
        )
        if tell:
            tell(done)
    resolving.settle(target)
    return done


_ALL = "MATCH (d:Document) RETURN d.id AS id ORDER BY d.id"


def _write(run: Run, content: Content) -> int:
    ids = [str(row["id"]) for row in content.nodes[model.DOCUMENT]]
    there = contents.read(run, ids)
    if _comparable(there, content) == _comparable(content, content):
        return 0
    for scope in content.nodes[model.SCOPE]:
        held = [r["target"] for r in content.edges[model.HOLDS] if r["source"] == scope["id"]]
        loading.withdraw(run, scope["id"], held)
    for node in (model.SCOPE, model.DOCUMENT, model.PAGE):
        loading.merge(run, node, content.nodes[node])
    for node in (model.FACT, model.MENTION):
        loading.create(run, node, content.nodes[node])
    if content.nodes[model.ENTITY]:
        run(statements.MERGE_ENTITIES, rows=content.nodes[model.ENTITY])
    loading.reconnect(run, model.HOLDS, content.edges[model.HOLDS])
    loading.reconnect(run, model.HAS_PAGE, content.edges[model.HAS_PAGE])
    for edge in model.OWNED:
        loading.connect(run, edge, content.edges[edge])
    loading.describe(run, ids)
    return len(ids)


def _comparable(content: Content, wanted: Content) -> list[list[Row]]:
    """Returns what is compared: all that belongs to the scopes of `wanted`."""
    scopes = {row["id"] for row in wanted.nodes[model.SCOPE]}
    facts = [row["id"] for row in content.nodes[model.FACT] if row["scope"] in scopes]
    mentions = [row["id"] for row in content.nodes[model.MENTION] if row["scope"] in scopes]
    own = {*facts, *mentions, *scopes}
    entities = {r["target"] for r in content.edges[model.REFERS_TO] if r["source"] in own}
    shown: list[list[Row]] = []
    for node in _COPIED:
        rows = content.nodes[node]
        if node in _SHARED:
            rows = [
                {"id": r["id"]} for r in rows if node is not model.ENTITY or r["id"] in entities
            ]
        elif node is not model.PAGE:
            rows = [row for row in rows if row["id"] in own]
        shown.append(list(rows))
    shown += [
        [r for r in content.edges[edge] if r["source"] in own or r["target"] in own]
        for edge in model.EDGES
    ]
    return shown
