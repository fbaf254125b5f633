"""Brings together, in the graph, the entities that are the same though written differently.

`resolution` decides which they are; this reads them, and writes what was decided: a `Resolved` for
each group of two or more, with a `SAME_AS` from each of its entities that says why. Nothing else is
changed, so a group can be taken back, and the same entities give the same groups each time.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from millrace.engine.errors import GraphError, UsageError
from millrace.engine.settings import settings
from millrace.tasks.documents.graph import loading, model, statements
from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.graph.loading import Run
from millrace.tasks.documents.graph.model import Row
from millrace.tasks.documents.graph.resolution import Mention, Merge, Resolved, resolve

KINDS = ("Address", "Company", "Person")
"""The kinds of entities that are compared: how their names are read is known."""

Pair = tuple[str, str]
_ATTEMPTS = 5  # readings of a graph that others load into at the same time


@dataclass(frozen=True)
class Resolution:
    """What a graph has after a resolution: entities that were compared, groups (`resolved`) and the
    entities in them (`merged`); then the nodes and edges `written` and `removed` for it."""

    entities: int = 0
    resolved: int = 0
    merged: int = 0
    written: int = 0
    removed: int = 0


@dataclass(frozen=True)
class Named:
    """An entity a person means."""

    id: str
    kind: str
    name: str


@dataclass(frozen=True)
class _Groups:
    """Groups as they stand in a graph: the nodes by their ids, the edges by their ends."""

    nodes: Mapping[str, Row]
    edges: Mapping[Pair, Row]


def settle(graph: Graph) -> Resolution:
    """Brings a graph's groups in step with its entities and with what persons have said.

    Raises StoreError when the review database cannot be used, and what `reconcile` raises.
    """
    from millrace.tasks.documents.review import sameness, tables

    said = sameness.said(tables.connect(settings()))
    return reconcile(graph, same=said.same, apart=said.apart)


def reconcile(graph: Graph, *, same: Iterable[Pair] = (), apart: Iterable[Pair] = ()) -> Resolution:
    """Brings a graph's groups in step with its entities; the second time changes nothing.

    `same` and `apart` are pairs of entities' ids that a person has decided on. Raises UsageError
    where these contradict each other, GraphError where the graph cannot be used or changes faster
    than it can be read.
    """
    same, apart = tuple(same), tuple(apart)
    mentions, there = graph.engine.read(lambda run: (_mentions(run), _there(run)))
    for _ in range(_ATTEMPTS):
        try:
            found = [
                group for group in resolve(mentions, same=same, apart=apart) if _several(group)
            ]
        except ValueError as error:
            raise UsageError(
                f"what was said of entities contradicts itself: {error}",
                hint="`millrace graph same` or `apart` for one of them: the last word holds",
            ) from error
        wanted = _wanted(found)
        if there == wanted:
            return _told(mentions, wanted)
        read = tuple(mentions)
        done, mentions = graph.engine.write(lambda run, r=read, w=wanted: _apply(run, r, w))  # type: ignore[misc]
        if done is not None:
            return _told(mentions, wanted, *done)
    raise GraphError(
        "others load into the graph faster than its entities can be brought together",
        hint="`millrace graph resolve` once they are done",
        away=True,
    )


def find(graph: Graph, told: str) -> Named:
    """Returns the entity of an id, the beginning of one, or a name, whatever its case and points.

    Raises UsageError where there is none, or several.
    """
    rows = graph.engine.read(
        lambda run: run(statements.FIND_ENTITY, text=told, folded=model.fold(told))
    )
    found = [Named(str(row["id"]), str(row["kind"]), str(row["name"])) for row in rows]
    exact = [one for one in found if told in (one.id, one.name)]
    named = exact if len(exact) == 1 else found
    if len(named) == 1:
        return named[0]
    if not found:
        raise UsageError(
            f"the graph has no entity {told!r}",
            hint="`millrace graph query 'MATCH (e:Entity) RETURN e.id, e.kind, e.name'` lists them",
        )
    raise UsageError(
        f"{told!r} is {len(found)} entities",
        hint="name one by the beginning of its id:\n"
        + "\n".join(f"  {one.id[:12]}  {one.kind} {one.name}" for one in found),
    )


def _mentions(run: Run) -> list[Mention]:
    """Returns the entities, each with what its mentions say of it most often."""
    said: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for row in run(statements.SAID_OF_ENTITIES, kinds=list(KINDS)):
        for name, value in orjson.loads(row["attributes"]).items():
            said[row["id"]][name][value] += int(row["times"])
    return [
        Mention(
            str(row["id"]),
            str(row["kind"]),
            str(row["name"]),
            {
                name: min(values, key=lambda value, v=values: (-v[value], value))  # type: ignore[misc]
                for name, values in sorted(said.get(row["id"], {}).items())
            },
        )
        for row in sorted(run(statements.ENTITIES, kinds=list(KINDS)), key=lambda row: row["id"])
    ]


def _there(run: Run) -> _Groups:
    """Returns the groups that stand in the graph."""
    return _Groups(
        {str(row["id"]): row for row in run(statements.GROUPS)},
        {(str(row["source"]), str(row["target"])): row for row in run(statements.MERGES)},
    )


def _wanted(found: Sequence[Resolved]) -> _Groups:
    nodes: dict[str, Row] = {}
    edges: dict[Pair, Row] = {}
    for group in found:
        told = f"resolved\0{group.kind}\0{group.members[0]}"
        id = hashlib.sha256(told.encode()).hexdigest()[:32]
        nodes[id] = {"id": id, "kind": group.kind, "name": group.name}
        for member, (other, merge) in _reasons(group).items():
            evidence = {
                "with": other,
                "compared": {name: round(value, 4) for name, value in merge.evidence.items()},
            }
            edges[member, id] = {
                "source": member,
                "target": id,
                "score": round(merge.score, 4),
                "evidence": orjson.dumps(evidence, option=orjson.OPT_SORT_KEYS).decode(),
            }
    return _Groups(nodes, edges)


def _reasons(group: Resolved) -> dict[str, tuple[str, Merge]]:
    """Returns for each member the one it was merged with, and why.

    The merges of a group are a tree. From its first member on, each member has the merge that leads
    to it, so that every merge stands with one; the first has that with its first neighbour.
    """
    near: dict[str, list[tuple[str, Merge]]] = defaultdict(list)
    for merge in sorted(group.merges, key=lambda m: (-m.score, m.left, m.right)):
        near[merge.left].append((merge.right, merge))
        near[merge.right].append((merge.left, merge))
    first = group.members[0]
    reasons = {first: near[first][0]}
    waiting = deque([first])
    while waiting:
        here = waiting.popleft()
        for other, merge in near[here]:
            if other not in reasons:
                reasons[other] = (here, merge)
                waiting.append(other)
    return reasons


def _apply(
    run: Run, read: Sequence[Mention], wanted: _Groups
) -> tuple[tuple[int, int] | None, list[Mention]]:
    """Writes groups, unless the entities are others by now than those that were read.

    Returns how many nodes and edges were written and removed, None where nothing was done; and the
    entities.
    """
    touched = {source for source, _ in wanted.edges.keys() | _there(run).edges.keys()}
    run(statements.LOCK_ENTITIES, ids=sorted(touched))
    mentions, there = _mentions(run), _there(run)
    if mentions != list(read):
        return None, mentions
    gone = sorted(there.nodes.keys() - wanted.nodes.keys())
    apart = [e for e in there.edges if e not in wanted.edges and e[1] not in gone]
    nodes = [row for id, row in wanted.nodes.items() if there.nodes.get(id) != row]
    edges = [row for ends, row in wanted.edges.items() if there.edges.get(ends) != row]
    if gone:
        run(statements.delete(model.RESOLVED, detach=True), ids=gone)
    if apart:
        run(statements.PART, rows=[{"source": a, "target": b} for a, b in sorted(apart)])
    loading.merge(run, model.RESOLVED, nodes)
    loading.reconnect(run, model.SAME_AS, edges)
    cut = sum(target in gone for _, target in there.edges)
    return (len(nodes) + len(edges), len(gone) + len(apart) + cut), mentions


def _told(
    mentions: Sequence[Mention], groups: _Groups, written: int = 0, removed: int = 0
) -> Resolution:
    return Resolution(len(mentions), len(groups.nodes), len(groups.edges), written, removed)


def _several(group: Resolved) -> bool:
    return len(group.members) > 1
