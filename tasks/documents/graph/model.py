"""The graph's model: which nodes and edges there are, and those that a document's facts become.

    Scope ─HOLDS→ Document ─HAS_PAGE→ Page
                     ├─STATES→ Fact ─FOUND_ON→ Page
                     ├─MENTIONS→ Mention ─FOUND_ON→ Page
                     └─RELATES→ Mention ─REFERS_TO→ Entity
                                Mention ─RELATES→ Mention
                                                   Entity ─SAME_AS→ Resolved

Facts, mentions and relations belong to one document and one scope (a pipeline), and carry where
they were found, by whom, and how sure that is. Entities are shared: all mentions of a kind whose
names are equal but for case, spaces and punctuation refer to one. What is merged beyond that hangs
on `SAME_AS`, which can be taken away again. Labels and types are the closed set below; kinds,
fields and relations of a schema are values of `kind` and `field`, never part of a query's text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from millrace.engine.errors import BadInput
from millrace.tasks.documents import facts as contract
from millrace.tasks.documents.facts import Entity, Evidence, Fact, Facts, Relation

MODEL = 1
"""Goes up when the same facts become other nodes or edges: everything is then written anew."""

Row = dict[str, Any]
_NAME = 500  # characters of a name: an index takes 8 kB
_PLAIN = re.compile(r"-?\d{1,15}(\.\d{1,9})?")


@dataclass(frozen=True)
class Node:
    """A kind of node. `id` is its key; `columns` are its other properties."""

    label: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """A kind of edge between two labels. `key` tells several edges of one pair apart."""

    type: str
    source: str
    target: str
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


_PLACE = ("page", "x0", "y0", "x1", "y1", "text", "reader", "version")
_CLAIM = ("document", "scope", "extractor", "probability", "state")

SCOPE = Node("Scope", ())
DOCUMENT = Node("Document", ("name", "names", "kind", "pages"))
PAGE = Node("Page", ("document", "number"))
_VALUE = ("identity", "field", "path", "value", "number", "raw", "extracted")
_WHY = ("methods", "checks", "alternatives", "reviewed")
FACT = Node("Fact", (*_VALUE, *_WHY, *_CLAIM, *_PLACE))
MENTION = Node("Mention", ("key", "kind", "name", "names", "attributes", *_CLAIM, *_PLACE))
ENTITY = Node("Entity", ("kind", "name", "folded"))
RESOLVED = Node("Resolved", ("kind", "name"))
NODES = (SCOPE, DOCUMENT, PAGE, FACT, MENTION, ENTITY, RESOLVED)

_RELATION = ("kind", *_CLAIM, *_PLACE)
HOLDS = Edge("HOLDS", "Scope", "Document", (), ("state", "names", "kind", "extractor", "pages"))
HAS_PAGE = Edge("HAS_PAGE", "Document", "Page")
STATES = Edge("STATES", "Document", "Fact")
MENTIONS = Edge("MENTIONS", "Document", "Mention")
FACT_ON = Edge("FOUND_ON", "Fact", "Page", ("rank",), _PLACE)
MENTION_ON = Edge("FOUND_ON", "Mention", "Page", ("rank",), _PLACE)
REFERS_TO = Edge("REFERS_TO", "Mention", "Entity")
BETWEEN = Edge("RELATES", "Mention", "Mention", ("id",), _RELATION)
OF_DOCUMENT = Edge("RELATES", "Document", "Mention", ("id",), _RELATION)
TO_DOCUMENT = Edge("RELATES", "Mention", "Document", ("id",), _RELATION)
SAME_AS = Edge("SAME_AS", "Entity", "Resolved", (), ("score", "evidence"))
OWNED = (STATES, MENTIONS, FACT_ON, MENTION_ON, REFERS_TO, BETWEEN, OF_DOCUMENT, TO_DOCUMENT)
"""The edges that come and go with a document's own facts and mentions."""
EDGES = (HOLDS, HAS_PAGE, *OWNED, SAME_AS)


@dataclass(frozen=True)
class Content:
    """What documents become: rows of nodes and edges. An edge's row has `source` and `target`."""

    nodes: Mapping[Node, Sequence[Row]] = field(default_factory=dict)
    edges: Mapping[Edge, Sequence[Row]] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many nodes and edges there are."""
        return sum(map(len, self.nodes.values())) + sum(map(len, self.edges.values()))


def state_of(facts: Facts) -> str:
    """Returns the digest of what facts become in the graph: equal facts, equal state.

    The document's name is no part of it, since two files of one content are one document; nor are
    the crops, which stay in the store.
    """
    bare = tuple(replace(fact, crop=b"") for fact in facts.facts)
    told = contract.dump(replace(facts, name="", facts=bare))
    return hashlib.sha256(b"%d\0" % MODEL + told).hexdigest()


def fold(name: str) -> str:
    """Returns a name without case, punctuation and doubled spaces, for comparing."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in plain)
    return " ".join("".join(kept).split())


def content_of(scope: str, many: Iterable[Facts]) -> Content:
    """Returns the own nodes and edges of documents, and the entities they refer to.

    Raises BadInput for a relation with an entity that the facts do not have.
    """
    nodes: dict[Node, list[Row]] = {node: [] for node in (PAGE, FACT, MENTION, ENTITY)}
    edges: dict[Edge, list[Row]] = {edge: [] for edge in (HAS_PAGE, *OWNED)}
    entities: dict[str, Row] = {}
    for facts in many:
        _pages(facts, nodes, edges)
        for fact in _unlike(facts):
            row = fact_row(scope, facts, fact)
            nodes[FACT].append(row)
            edges[STATES].append({"source": facts.digest, "target": row["id"]})
            edges[FACT_ON] += _places(row["id"], facts.digest, fact.evidence)
        for entity in {e.key: e for e in reversed(facts.entities)}.values():
            row = _mention(scope, facts, entity)
            met = _entity(entity, facts.digest)
            known = entities.setdefault(met["id"], met)
            known["name"] = min(known["name"], met["name"])
            nodes[MENTION].append(row)
            edges[MENTIONS].append({"source": facts.digest, "target": row["id"]})
            edges[MENTION_ON] += _places(row["id"], facts.digest, entity.evidence)
            edges[REFERS_TO].append({"source": row["id"], "target": met["id"]})
        for edge, row in _relations(scope, facts):
            edges[edge].append(row)
    nodes[ENTITY] = sorted(entities.values(), key=lambda row: str(row["id"]))
    return Content(nodes, edges)


def number_of(value: str) -> float | None:
    """Returns a plain decimal number, None for any other text: what sums are made of."""
    return float(value) if _PLAIN.fullmatch(value) else None


def fact_row(scope: str, facts: Facts, fact: Fact) -> Row:
    """Returns the node of a fact."""
    identity = facts.identity(fact)
    return {
        "id": _key(scope, identity),
        "identity": identity,
        "field": fact.field,
        "path": fact.path,
        "value": fact.value,
        "number": number_of(fact.value),
        "raw": fact.raw,
        "extracted": fact.value,
        "methods": list(fact.methods),
        "checks": _json(dict(fact.checks or {})),
        "alternatives": _json([[value, round(p, 4)] for value, p in fact.alternatives]),
        **_claim(scope, facts, fact.probability, fact.state),
        "reviewed": fact.reviewed,
        **_place(fact.evidence[0] if fact.evidence else None),
    }


def _unlike(facts: Facts) -> list[Fact]:
    """Returns the facts, of several for one field and row the likeliest."""
    found: dict[str, Fact] = {}
    for fact in sorted(facts.facts, key=lambda one: -one.probability):
        found.setdefault(facts.identity(fact), fact)
    return list(found.values())


def _pages(facts: Facts, nodes: dict[Node, list[Row]], edges: dict[Edge, list[Row]]) -> None:
    evidence = [one for fact in facts.facts for one in fact.evidence]
    evidence += [one for entity in facts.entities for one in entity.evidence]
    found = {one.page for one in evidence}
    for number in sorted({*range(1, facts.pages + 1), *found}):
        row = {"id": _page(facts.digest, number), "document": facts.digest, "number": number}
        nodes[PAGE].append(row)
        edges[HAS_PAGE].append({"source": facts.digest, "target": row["id"]})


def _mention(scope: str, facts: Facts, entity: Entity) -> Row:
    return {
        "id": _key(scope, facts.digest, entity.key),
        "key": entity.key,
        "kind": entity.kind,
        "name": (entity.names or ("",))[0][:_NAME],
        "names": [name[:_NAME] for name in entity.names],
        "attributes": _json(dict(entity.attributes)),
        **_claim(scope, facts, entity.probability, "extracted"),
        **_place(entity.evidence[0] if entity.evidence else None),
    }


def _entity(entity: Entity, digest: str) -> Row:
    name = (entity.names or ("",))[0]
    folded = fold(name)
    key = (entity.kind, folded) if folded else (entity.kind, "", digest, entity.key)
    return {
        "id": _key(*key),
        "kind": entity.kind,
        "name": name[:_NAME],
        "folded": folded[:_NAME],
    }


def _relations(scope: str, facts: Facts) -> Iterable[tuple[Edge, Row]]:
    known = {entity.key for entity in facts.entities} | {""}
    seen: set[str] = set()
    for relation in facts.relations:
        ends = (relation.source, relation.target)
        if not known.issuperset(ends) or ends == ("", ""):
            raise BadInput(
                "damaged_facts",
                f"a relation {relation.kind!r} of document {facts.digest[:12]} has an end that "
                "is none of its entities",
                hint="extract the document again",
            )
        key = _key(scope, facts.digest, relation.kind, *ends)
        if key not in seen:
            seen.add(key)
            yield _relation(scope, facts, relation, key)


def _relation(scope: str, facts: Facts, relation: Relation, key: str) -> tuple[Edge, Row]:
    def end(name: str) -> str:
        return _key(scope, facts.digest, name) if name else facts.digest

    edge = BETWEEN
    if not relation.source:
        edge = OF_DOCUMENT
    elif not relation.target:
        edge = TO_DOCUMENT
    return edge, {
        "source": end(relation.source),
        "target": end(relation.target),
        "id": key,
        "kind": relation.kind,
        **_claim(scope, facts, relation.probability, "extracted"),
        **_place(relation.evidence[0] if relation.evidence else None),
    }


def _claim(scope: str, facts: Facts, probability: float, state: str) -> Row:
    return {
        "document": facts.digest,
        "scope": scope,
        "extractor": facts.extractor,
        "probability": round(float(probability), 4),
        "state": state,
    }


def _places(source: str, digest: str, evidence: Sequence[Evidence]) -> list[Row]:
    return [
        {"source": source, "target": _page(digest, one.page), "rank": rank, **_place(one)}
        for rank, one in enumerate(evidence)
    ]


def _place(one: Evidence | None) -> Row:
    if one is None:
        return dict(zip(_PLACE, (0, 0.0, 0.0, 0.0, 0.0, "", "", ""), strict=True))
    sides = (round(float(s), 2) for s in (one.box.x0, one.box.y0, one.box.x1, one.box.y1))
    return dict(zip(_PLACE, (one.page, *sides, one.text, one.reader, one.version), strict=True))


def _page(digest: str, number: int) -> str:
    return f"{digest}#{number}"


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
