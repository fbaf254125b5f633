"""The statements that write and read the graph, in the Cypher that both databases speak.

Their texts are made of the names in `model` alone; every value is a parameter. Edges match their
ends in two steps, `MATCH (a) WHERE a.id = …`, which the embedded database does by its key.
"""

from __future__ import annotations

from collections.abc import Collection

from millrace.tasks.documents.graph.model import Edge, Node

LOCK = "UNWIND $ids AS id MERGE (d:Document {id: id}) SET d.pages = coalesce(d.pages, 0)"
"""Makes whoever writes one of these documents at the same time wait for this transaction."""

HELD = (
    "UNWIND $ids AS id MATCH (d:Document) WHERE d.id = id MATCH (s:Scope)-[h:HOLDS]->(d) "
    "RETURN s.id AS scope, d.id AS document, h.state AS state, h.names AS names, h.kind AS kind, "
    "h.extractor AS extractor, h.pages AS pages"
)
CURRENT = (
    "MATCH (s:Scope) WHERE s.id = $scope MATCH (s)-[h:HOLDS]->(d:Document) "
    "RETURN d.id AS document, h.state AS state"
)
REVIEWED = (
    "UNWIND $ids AS id MATCH (d:Document) WHERE d.id = id MATCH (d)-[:STATES]->(f:Fact) "
    "WHERE f.scope = $scope AND f.reviewed <> '' RETURN f.id AS id"
)
OWN_FACTS = (
    "UNWIND $ids AS id MATCH (d:Document) WHERE d.id = id MATCH (d)-[:STATES]->(f:Fact) "
    "WHERE ($scope = '' OR f.scope = $scope) AND ($reviewed OR f.reviewed = '') RETURN f.id AS id"
)
OWN_MENTIONS = (
    "UNWIND $ids AS id MATCH (d:Document) WHERE d.id = id "
    "MATCH (d)-[:MENTIONS]->(m:Mention)-[:REFERS_TO]->(e:Entity) "
    "WHERE $scope = '' OR m.scope = $scope RETURN m.id AS id, e.id AS entity"
)
MERGE_ENTITIES = (
    "UNWIND $rows AS r MERGE (e:Entity {id: r.id}) "
    "ON CREATE SET e.kind = r.kind, e.name = r.name, e.folded = r.folded "
    "ON MATCH SET e.name = CASE WHEN r.name < e.name THEN r.name ELSE e.name END"
)
RENAME = (
    "UNWIND $ids AS id MATCH (e:Entity) WHERE e.id = id MATCH (e)<-[:REFERS_TO]-(m:Mention) "
    "WITH e, min(m.name) AS name WHERE name <> e.name SET e.name = name RETURN e.id AS id"
)
UNMENTIONED = (
    "UNWIND $ids AS id MATCH (e:Entity) WHERE e.id = id "
    "AND NOT EXISTS { MATCH (e)<-[:REFERS_TO]-(:Mention) } RETURN e.id AS id"
)
MERGED = (
    "UNWIND $ids AS id MATCH (e:Entity) WHERE e.id = id MATCH (e)-[:SAME_AS]->(r:Resolved) "
    "RETURN DISTINCT r.id AS id"
)
ENTITIES = (
    "MATCH (e:Entity) WHERE e.kind IN $kinds RETURN e.id AS id, e.kind AS kind, e.name AS name"
)
SAID_OF_ENTITIES = (
    "MATCH (m:Mention)-[:REFERS_TO]->(e:Entity) WHERE e.kind IN $kinds AND m.attributes <> '{}' "
    "RETURN e.id AS id, m.attributes AS attributes, count(m) AS times"
)
GROUPS = "MATCH (r:Resolved) RETURN r.id AS id, r.kind AS kind, r.name AS name"
MERGES = (
    "MATCH (e:Entity)-[s:SAME_AS]->(r:Resolved) RETURN e.id AS source, r.id AS target, "
    "s.score AS score, s.evidence AS evidence"
)
LOCK_ENTITIES = "UNWIND $ids AS id MATCH (e:Entity) WHERE e.id = id SET e.folded = e.folded"
"""Makes whoever merges one of these entities at the same time wait for this transaction."""

PART = (
    "UNWIND $rows AS r MATCH (e:Entity) WHERE e.id = r.source MATCH (n:Resolved) "
    "WHERE n.id = r.target MATCH (e)-[s:SAME_AS]->(n) DELETE s"
)
FIND_ENTITY = (
    "MATCH (e:Entity) WHERE e.id STARTS WITH $text OR ($folded <> '' AND e.folded = $folded) "
    "RETURN e.id AS id, e.kind AS kind, e.name AS name ORDER BY kind, name, id LIMIT 20"
)
HOLDERS = (
    "UNWIND $ids AS id MATCH (d:Document) WHERE d.id = id MATCH (s:Scope)-[:HOLDS]->(d) "
    "WHERE $scope = '' OR s.id = $scope RETURN s.id AS scope, d.id AS document"
)
UNHOLD = (
    "UNWIND $rows AS r MATCH (s:Scope) WHERE s.id = r.scope MATCH (d:Document) "
    "WHERE d.id = r.document MATCH (s)-[h:HOLDS]->(d) DELETE h"
)
EMPTY_SCOPES = (
    "UNWIND $ids AS id MATCH (s:Scope) WHERE s.id = id "
    "AND NOT EXISTS { MATCH (s)-[:HOLDS]->(:Document) } RETURN s.id AS id"
)
PAGES = (
    "UNWIND $ids AS id MATCH (d:Document) WHERE d.id = id MATCH (d)-[:HAS_PAGE]->(p:Page) "
    "RETURN p.id AS id"
)
FIND = (
    "MATCH (d:Document) WHERE d.id STARTS WITH $text OR $text IN d.names "
    "RETURN d.id AS id, d.name AS name ORDER BY d.name, d.id LIMIT 20"
)


def create(node: Node, columns: Collection[str]) -> str:
    """Returns the statement that makes new nodes of $rows, which have these columns."""
    told = ", ".join(f"{name}: r.{name}" for name in ("id", *_of(node.columns, columns)))
    return f"UNWIND $rows AS r CREATE (:{node.label} {{{told}}})"


def merge(node: Node, columns: Collection[str]) -> str:
    """Returns the statement that makes nodes of $rows, or changes those that are there."""
    told = ", ".join(f"n.{name} = r.{name}" for name in _of(node.columns, columns))
    text = f"UNWIND $rows AS r MERGE (n:{node.label} {{id: r.id}})"
    return f"{text} SET {told}" if told else text


def delete(node: Node, *, detach: bool) -> str:
    """Returns the statement that removes nodes by $ids."""
    verb = "DETACH DELETE" if detach else "DELETE"
    return f"UNWIND $ids AS id MATCH (n:{node.label}) WHERE n.id = id {verb} n"


def connect(edge: Edge) -> str:
    """Returns the statement that makes new edges of $rows, between nodes that are there."""
    told = ", ".join(f"{name}: r.{name}" for name in (*edge.key, *edge.columns))
    return f"{_ends(edge)} CREATE (a)-[:{edge.type}{f' {{{told}}}' if told else ''}]->(b)"


def reconnect(edge: Edge) -> str:
    """Returns the statement that makes edges of $rows, or changes those that are there."""
    key = ", ".join(f"{name}: r.{name}" for name in edge.key)
    told = ", ".join(f"e.{name} = r.{name}" for name in edge.columns)
    text = f"{_ends(edge)} MERGE (a)-[e:{edge.type}{f' {{{key}}}' if key else ''}]->(b)"
    return f"{text} SET {told}" if told else text


def counts(node: Node) -> str:
    """Returns the query for how many nodes of a kind there are."""
    return f"MATCH (n:{node.label}) RETURN count(n) AS n"


def edge_counts(edge: Edge) -> str:
    """Returns the query for how many edges of a kind there are."""
    return f"MATCH (:{edge.source})-[e:{edge.type}]->(:{edge.target}) RETURN count(e) AS n"


def _ends(edge: Edge) -> str:
    return (
        f"UNWIND $rows AS r MATCH (a:{edge.source}) WHERE a.id = r.source "
        f"MATCH (b:{edge.target}) WHERE b.id = r.target"
    )


def _of(declared: Collection[str], given: Collection[str]) -> list[str]:
    return [name for name in declared if name in given]
