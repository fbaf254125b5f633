"""Reads what the graph has of documents: every node and edge that hangs on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.tasks.documents.graph import model
from millrace.tasks.documents.graph.loading import Run
from millrace.tasks.documents.graph.model import Content, Edge, Node, Row

_NODES: Mapping[Node, str] = {
    model.SCOPE: "(n:Scope)-[:HOLDS]->(d)",
    model.PAGE: "(d)-[:HAS_PAGE]->(n:Page)",
    model.FACT: "(d)-[:STATES]->(n:Fact)",
    model.MENTION: "(d)-[:MENTIONS]->(n:Mention)",
    model.ENTITY: "(d)-[:MENTIONS]->(:Mention)-[:REFERS_TO]->(n:Entity)",
    model.RESOLVED: "(d)-[:MENTIONS]->(:Mention)-[:REFERS_TO]->(:Entity)-[:SAME_AS]->(n:Resolved)",
}
_EDGES: Mapping[Edge, str] = {
    model.HOLDS: "(a:Scope)-[e:HOLDS]->(d)",
    model.HAS_PAGE: "(d)-[e:HAS_PAGE]->(b:Page)",
    model.STATES: "(d)-[e:STATES]->(b:Fact)",
    model.MENTIONS: "(d)-[e:MENTIONS]->(b:Mention)",
    model.FACT_ON: "(d)-[:STATES]->(a:Fact)-[e:FOUND_ON]->(b:Page)",
    model.MENTION_ON: "(d)-[:MENTIONS]->(a:Mention)-[e:FOUND_ON]->(b:Page)",
    model.REFERS_TO: "(d)-[:MENTIONS]->(a:Mention)-[e:REFERS_TO]->(b:Entity)",
    model.BETWEEN: "(d)-[:MENTIONS]->(a:Mention)-[e:RELATES]->(b:Mention)",
    model.OF_DOCUMENT: "(d)-[e:RELATES]->(b:Mention)",
    model.TO_DOCUMENT: "(d)-[:MENTIONS]->(a:Mention)-[e:RELATES]->(b:Document)",
    model.SAME_AS: "(d)-[:MENTIONS]->(:Mention)-[:REFERS_TO]->(a:Entity)-[e:SAME_AS]->(b:Resolved)",
}
_BEGIN = "UNWIND $ids AS id MATCH (d:Document) WHERE d.id = id"


def read(run: Run, ids: Sequence[str]) -> Content:
    """Returns the nodes and edges of documents, in an order that is always the same."""
    nodes: dict[Node, list[Row]] = {
        model.DOCUMENT: run(f"{_BEGIN} RETURN {_told('d', model.DOCUMENT.columns)}", ids=ids)
    }
    for node, pattern in _NODES.items():
        text = f"{_BEGIN} MATCH {pattern} RETURN DISTINCT {_told('n', node.columns)}"
        nodes[node] = run(text, ids=ids)
    edges = {edge: run(_edge(edge, pattern), ids=ids) for edge, pattern in _EDGES.items()}
    return Content(
        {node: sorted(rows, key=lambda row: str(row["id"])) for node, rows in nodes.items()},
        {edge: sorted(rows, key=_order) for edge, rows in edges.items()},
    )


def _edge(edge: Edge, pattern: str) -> str:
    source, target = ("a" if "(a:" in pattern else "d"), ("b" if "(b:" in pattern else "d")
    told = [f"{source}.id AS source", f"{target}.id AS target"]
    told += [f"e.{name} AS {name}" for name in (*edge.key, *edge.columns)]
    return f"{_BEGIN} MATCH {pattern} RETURN DISTINCT {', '.join(told)}"


def _told(name: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{name}.{column} AS {column}" for column in ("id", *columns))


def _order(row: Row) -> tuple[str, str, int, str]:
    return row["source"], row["target"], row.get("rank") or 0, str(row.get("id", ""))
