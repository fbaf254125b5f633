"""What happens in a transaction: documents are put into the graph, or withdrawn from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from millrace.tasks.documents.facts import Facts
from millrace.tasks.documents.graph import model, statements
from millrace.tasks.documents.graph.model import Content, Edge, Node, Row


class Run(Protocol):
    """Runs a statement in a transaction, and returns its rows."""

    def __call__(self, statement: str, /, **parameters: Any) -> list[Row]: ...


@dataclass(frozen=True)
class Receipt:
    """What a change of the graph came to: documents, then nodes and edges.

    `replaced` had other facts before, or is now known by one more name. `changed` is 0 where
    everything was as it should be.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    written: int = 0
    removed: int = 0

    @property
    def changed(self) -> int:
        """How many documents changed."""
        return self.added + self.replaced + self.withdrawn

    def __add__(self, other: Receipt) -> Receipt:
        names = [field.name for field in fields(self)]
        return Receipt(*(getattr(self, name) + getattr(other, name) for name in names))


def put(run: Run, scope: str, chunk: Sequence[Facts]) -> Receipt:
    """Writes documents that are new or changed; several of one digest differ by their names."""
    latest = {facts.digest: facts for facts in chunk}
    names: dict[str, set[str]] = {digest: set() for digest in latest}
    for facts in chunk:
        names[facts.digest].add(facts.name)
    states = {digest: model.state_of(facts) for digest, facts in latest.items()}
    held = _held(run, latest)
    if not _differing(held, scope, states, names):
        return Receipt(unchanged=len(latest))
    run(statements.LOCK, ids=sorted(latest))
    held = _held(run, latest)  # another may have written while this one waited for the lock
    differing = _differing(held, scope, states, names)
    before = {digest: held[digest].get(scope) for digest in differing}
    anew = [d for d in differing if (row := before[d]) is None or row["state"] != states[d]]
    content = model.content_of(scope, (latest[digest] for digest in anew))
    known = [digest for digest in anew if before[digest]]
    removed, touched = _clear(run, scope, known, reviewed=False)
    if known:
        reviewed = _ids(run(statements.REVIEWED, ids=known, scope=scope))
        again = {row["id"] for row in content.nodes[model.FACT] if row["reviewed"]}
        stale = [one for one in reviewed if one in again]
        removed += _delete(run, model.FACT, stale, detach=True)
        content = _without(content, set(reviewed) - again)
    for digest in differing:
        row = before[digest]
        held[digest][scope] = {
            "scope": scope,
            "state": states[digest],
            "names": sorted(names[digest].union(row["names"] if row else ())),
            "kind": latest[digest].kind,
            "extractor": latest[digest].extractor,
            "pages": latest[digest].pages,
        }
    written = _write(run, scope, {d: held[d] for d in differing}, content)
    removed += _settle(run, touched)
    added = sum(row is None for row in before.values())
    return Receipt(added, len(differing) - added, len(latest) - len(differing), 0, written, removed)


def withdraw(run: Run, scope: str, digests: Sequence[str]) -> Receipt:
    """Takes documents out of a scope, or of all for the scope ""."""
    run_ids = sorted(
        {str(r["document"]) for r in run(statements.HOLDERS, ids=digests, scope=scope)}
    )
    if not run_ids:
        return Receipt()
    run(statements.LOCK, ids=run_ids)
    holders = run(statements.HOLDERS, ids=run_ids, scope=scope)
    removed, touched = _clear(run, scope, run_ids, reviewed=True)
    run(statements.UNHOLD, rows=holders)
    left = _held(run, run_ids)
    gone = [digest for digest in run_ids if not left[digest]]
    removed += _delete(run, model.PAGE, _ids(run(statements.PAGES, ids=gone)), detach=True)
    removed += _delete(run, model.DOCUMENT, gone, detach=True)
    _describe(run, {digest: rows for digest, rows in left.items() if rows})
    scopes = sorted({row["scope"] for row in holders})
    removed += _delete(
        run, model.SCOPE, _ids(run(statements.EMPTY_SCOPES, ids=scopes)), detach=False
    )
    removed += _settle(run, touched)
    return Receipt(withdrawn=len(run_ids), removed=removed)


def create(run: Run, node: Node, rows: Sequence[Row]) -> None:
    """Makes new nodes. Properties that are None are left out."""
    for columns, some in _alike(rows).items():
        run(statements.create(node, columns), rows=some)


def merge(run: Run, node: Node, rows: Sequence[Row]) -> None:
    """Makes nodes, or changes those that are there."""
    for columns, some in _alike(rows).items():
        run(statements.merge(node, columns), rows=some)


def connect(run: Run, edge: Edge, rows: Sequence[Row]) -> None:
    """Makes new edges between nodes that are there."""
    if rows:
        run(statements.connect(edge), rows=rows)


def reconnect(run: Run, edge: Edge, rows: Sequence[Row]) -> None:
    """Makes edges, or changes those that are there."""
    if rows:
        run(statements.reconnect(edge), rows=rows)


def describe(run: Run, digests: Iterable[str]) -> None:
    """Writes what all scopes together say of documents: their names, kind and pages."""
    _describe(run, _held(run, digests))


def _held(run: Run, digests: Iterable[str]) -> dict[str, dict[str, Row]]:
    """Returns for each document what each scope has of it."""
    ids = sorted(digests)
    held: dict[str, dict[str, Row]] = {digest: {} for digest in ids}
    for row in run(statements.HELD, ids=ids) if ids else ():
        held[row["document"]][row["scope"]] = row
    return held


def _differing(
    held: Mapping[str, Mapping[str, Row]],
    scope: str,
    states: Mapping[str, str],
    names: Mapping[str, set[str]],
) -> list[str]:
    """Returns the documents of which the graph has another state, or not all names."""
    return [
        digest
        for digest in sorted(states)
        if (row := held[digest].get(scope)) is None
        or row["state"] != states[digest]
        or not names[digest].issubset(row["names"])
    ]


def _write(run: Run, scope: str, held: Mapping[str, Mapping[str, Row]], content: Content) -> int:
    merge(run, model.SCOPE, [{"id": scope}])
    _describe(run, held)
    mine = [{"source": scope, "target": digest, **held[digest][scope]} for digest in held]
    reconnect(run, model.HOLDS, [_only(row, model.HOLDS) for row in mine])
    merge(run, model.PAGE, content.nodes[model.PAGE])
    reconnect(run, model.HAS_PAGE, content.edges[model.HAS_PAGE])
    create(run, model.FACT, content.nodes[model.FACT])
    create(run, model.MENTION, content.nodes[model.MENTION])
    if content.nodes[model.ENTITY]:
        run(statements.MERGE_ENTITIES, rows=content.nodes[model.ENTITY])
    for edge in model.OWNED:
        connect(run, edge, content.edges[edge])
    return len(content) + 2 * len(mine)


def _describe(run: Run, held: Mapping[str, Mapping[str, Row]]) -> None:
    """Writes what all scopes together say of documents, so that their order is of no matter."""
    rows = []
    for digest, scopes in held.items():
        names = sorted({name for row in scopes.values() for name in row["names"]})
        rows.append(
            {
                "id": digest,
                "name": names[0],
                "names": names,
                "kind": max(row["kind"] for row in scopes.values()),
                "pages": max(row["pages"] for row in scopes.values()),
            }
        )
    merge(run, model.DOCUMENT, rows)


def _clear(
    run: Run, scope: str, digests: Sequence[str], *, reviewed: bool
) -> tuple[int, list[str]]:
    """Removes facts, mentions and relations of documents; returns how many nodes, and the entities
    that were referred to."""
    if not digests:
        return 0, []
    facts = _ids(run(statements.OWN_FACTS, ids=digests, scope=scope, reviewed=reviewed))
    mentions = run(statements.OWN_MENTIONS, ids=digests, scope=scope)
    removed = _delete(run, model.FACT, facts, detach=True)
    removed += _delete(run, model.MENTION, _ids(mentions), detach=True)
    return removed, sorted({row["entity"] for row in mentions})


def _settle(run: Run, entities: list[str]) -> int:
    """Removes entities that nothing mentions any more; names the others by the mentions left.

    A group that has lost an entity, or one's name, is taken apart: its own name may be that one's.
    What of it still holds is found again by `resolving`.
    """
    if not entities:
        return 0
    alone = _ids(run(statements.UNMENTIONED, ids=entities))
    lost = [*alone, *_ids(run(statements.RENAME, ids=entities))]
    apart = _ids(run(statements.MERGED, ids=lost)) if lost else []
    removed = _delete(run, model.RESOLVED, apart, detach=True)
    return removed + _delete(run, model.ENTITY, alone, detach=False)


def _delete(run: Run, node: Node, ids: list[str], *, detach: bool) -> int:
    if ids:
        run(statements.delete(node, detach=detach), ids=ids)
    return len(ids)


def _without(content: Content, kept: set[str]) -> Content:
    """Returns content without the facts that stay as a person has decided."""
    if not kept:
        return content
    facts = [row for row in content.nodes[model.FACT] if row["id"] not in kept]
    edges = dict(content.edges)
    edges[model.STATES] = [r for r in edges[model.STATES] if r["target"] not in kept]
    edges[model.FACT_ON] = [r for r in edges[model.FACT_ON] if r["source"] not in kept]
    return Content({**content.nodes, model.FACT: facts}, edges)


def _alike(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Groups rows by the properties they have: a list of rows is of one type."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        told = {name: value for name, value in row.items() if value is not None}
        groups.setdefault(tuple(told), []).append(told)
    return groups


def _only(row: Row, edge: Edge) -> Row:
    return {name: row[name] for name in ("source", "target", *edge.key, *edge.columns)}


def _ids(rows: Iterable[Row]) -> list[str]:
    return sorted({str(row["id"]) for row in rows})
