"""The desk: doubtful facts come onto it, a person decides, and the decision holds from then on.

A decision belongs to a field of a document, by the document's digest. When the document is read or
extracted anew, it is laid over what comes out, whatever the new extractor thinks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sql

from millrace.engine.errors import StoreError, UsageError
from millrace.tasks.documents import facts as fact_files
from millrace.tasks.documents.facts import Fact, Facts
from millrace.tasks.documents.review.tables import CASES, DECISIONS, DOCUMENTS, transaction

Verdict = Literal["accepted", "corrected", "rejected"]


@dataclass(frozen=True, slots=True)
class Case:
    """A doubtful fact that waits, with the document it is of."""

    id: str
    facts: Facts
    fact: Fact


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided: `value` holds from then on, `before` is what had been extracted."""

    case: str
    digest: str
    kind: str
    field: str
    path: str
    verdict: Verdict
    before: str
    value: str
    who: str
    at: float

    @property
    def stamp(self) -> str:
        """Who decided what and when, as it stands with the fact."""
        when = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self.verdict} by {self.who}, {when}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document as it was loaded: its facts, the scope it belongs to, and the graph it is in."""

    facts: Facts
    scope: str
    graph: str


class Desk:
    """The review queue in a database. Every method raises StoreError when that cannot be used."""

    def __init__(self, engine: sql.Engine) -> None:
        self._engine = engine

    # -- what comes onto the desk --------------------------------------------------------------

    def put(self, loaded: Iterable[Loaded]) -> int:
        """Takes in documents with their doubtful facts; returns how many wait because of these.

        What was waiting of the same documents is replaced, so the same document twice changes
        nothing. What a person has decided on does not come back.
        """
        waiting = 0
        with transaction(self._engine) as connection:
            for one in loaded:
                facts = one.facts
                row = {"graph": one.graph, "name": facts.name, "kind": facts.kind}
                _replace(
                    connection,
                    DOCUMENTS,
                    {"digest": facts.digest, "scope": one.scope},
                    row | {"facts": fact_files.dump(facts)},
                )
                connection.execute(sql.delete(CASES).where(CASES.c.digest == facts.digest))
                decided = set(_decisions(connection, facts.digest))
                cases = {
                    id: {
                        "id": id,
                        "digest": facts.digest,
                        "kind": facts.kind,
                        "field": fact.field,
                        "probability": fact.probability,
                    }
                    for fact in facts.facts
                    if fact.state == "doubtful" and (id := facts.identity(fact)) not in decided
                }
                if cases:
                    connection.execute(sql.insert(CASES), list(cases.values()))
                waiting += len(cases)
        return waiting

    def decided(self, facts: Facts) -> Facts:
        """Returns facts with what a person has decided laid over them."""
        with transaction(self._engine) as connection:
            decisions = _decisions(connection, facts.digest)
        return overlaid(facts, decisions)

    # -- what a person sees and does -----------------------------------------------------------

    def cases(self, *, kind: str = "", field: str = "", limit: int | None = None) -> list[Case]:
        """Returns what waits, the least likely first: there a decision tells most."""
        wanted = sql.select(CASES.c.id, CASES.c.digest)
        if kind:
            wanted = wanted.where(CASES.c.kind == kind)
        if field:
            wanted = wanted.where(CASES.c.field == field)
        wanted = wanted.order_by(CASES.c.probability, CASES.c.id).limit(limit)
        with transaction(self._engine) as connection:
            rows = connection.execute(wanted).all()
            known: dict[str, Facts] = {}
            for _, digest in rows:
                if digest not in known:
                    known[digest] = next(one.facts for one in _documents(connection, digest))
        return [case for id, digest in rows if (case := _case(id, known[digest]))]

    def count(self) -> dict[tuple[str, str], int]:
        """Returns how many cases wait, by document type and field."""
        counted = sql.select(CASES.c.kind, CASES.c.field, sql.func.count())
        with transaction(self._engine) as connection:
            rows = connection.execute(counted.group_by(CASES.c.kind, CASES.c.field)).all()
        return {(str(kind), str(field)): int(n) for kind, field, n in rows}

    def case(self, id: str) -> Case:
        """Returns the case whose id is or begins so. Raises UsageError for none, or several."""
        wanted = sql.select(CASES.c.id, CASES.c.digest).where(
            CASES.c.id.startswith(id, autoescape=True)
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(wanted.limit(2)).all()
            if len(rows) != 1:
                what = "several cases begin" if rows else "nothing waits whose id begins"
                raise UsageError(f"{what} with {id!r}", hint="`millrace review` lists what waits")
            facts = next(one.facts for one in _documents(connection, rows[0].digest))
        case = _case(rows[0].id, facts)
        if case is None:
            raise StoreError(f"the review queue holds no document for case {rows[0].id}")
        return case

    def decide(self, case: Case, verdict: Verdict, *, value: str = "", who: str) -> list[Loaded]:
        """Writes a decision down; returns the case's document, as it is now, for its graphs.

        `value` is needed for a correction. Raises UsageError for an empty one.
        """
        if verdict == "corrected" and not value.strip():
            raise UsageError("a correction needs a value", hint="`reject` says there is none")
        fact = case.fact
        held = {"accepted": fact.value, "rejected": "", "corrected": value.strip()}[verdict]
        row = {
            "case": case.id,
            "digest": case.facts.digest,
            "kind": case.facts.kind,
            "field": fact.field,
            "path": fact.path,
            "verdict": verdict,
            "before": fact.value,
            "value": held,
            "who": who,
            "at": round(time.time(), 3),
        }
        with transaction(self._engine) as connection:
            connection.execute(sql.insert(DECISIONS).values(row))
            connection.execute(sql.delete(CASES).where(CASES.c.id == case.id))
            decisions = _decisions(connection, case.facts.digest)
            return [
                replace(one, facts=overlaid(one.facts, decisions))
                for one in _documents(connection, case.facts.digest)
            ]

    def decisions(self) -> Iterator[Decision]:
        """Yields every decision, oldest first."""
        with transaction(self._engine) as connection:
            rows = connection.execute(sql.select(DECISIONS).order_by(DECISIONS.c.number)).all()
        return (_decision(row) for row in rows)

    def documents(self, digest: str) -> list[Loaded]:
        """Returns a document as it was loaded into each scope, without a person's decisions."""
        with transaction(self._engine) as connection:
            return list(_documents(connection, digest))

    def find(self, name: str) -> list[tuple[str, str]]:
        """Returns (digest, name) of the documents called so, or whose digest begins so."""
        asked = sql.or_(
            DOCUMENTS.c.name == name, DOCUMENTS.c.digest.startswith(name, autoescape=True)
        )
        wanted = sql.select(DOCUMENTS.c.digest, DOCUMENTS.c.name).where(asked).distinct()
        with transaction(self._engine) as connection:
            return [(str(digest), str(called)) for digest, called in connection.execute(wanted)]

    def forget(self, digest: str) -> dict[str, int]:
        """Removes all of a document; returns how many rows of each sort it had."""
        tables = {"documents": DOCUMENTS, "waiting": CASES, "decisions": DECISIONS}
        with transaction(self._engine) as connection:
            return {
                word: connection.execute(sql.delete(table).where(table.c.digest == digest)).rowcount
                for word, table in tables.items()
            }


def overlaid(facts: Facts, decisions: Mapping[str, Decision]) -> Facts:
    """Returns facts with decisions, by the facts' ids, laid over them.

    A rejected fact is gone; another has the person's value, is certain and accepted, and says who.
    """
    kept = []
    for fact in facts.facts:
        decision = decisions.get(facts.identity(fact))
        if decision is None:
            kept.append(fact)
        elif decision.verdict != "rejected":
            kept.append(
                replace(
                    fact,
                    value=decision.value,
                    probability=1.0,
                    state="accepted",
                    alternatives=(),
                    crop=b"",
                    reviewed=decision.stamp,
                )
            )
    return replace(facts, facts=tuple(kept))


def _decisions(connection: sql.Connection, digest: str) -> dict[str, Decision]:
    wanted = sql.select(DECISIONS).where(DECISIONS.c.digest == digest)
    rows = connection.execute(wanted.order_by(DECISIONS.c.number)).all()
    return {row.case: _decision(row) for row in rows}  # the last one holds


def _documents(connection: sql.Connection, digest: str) -> Iterator[Loaded]:
    wanted = sql.select(DOCUMENTS).where(DOCUMENTS.c.digest == digest)
    for row in connection.execute(wanted.order_by(DOCUMENTS.c.scope)).all():
        yield Loaded(fact_files.load(row.facts), row.scope, row.graph)


def _case(id: str, facts: Facts) -> Case | None:
    return next((Case(id, facts, f) for f in facts.facts if facts.identity(f) == id), None)


def _decision(row: sql.Row[tuple[object, ...]]) -> Decision:
    told = dict(row._mapping)
    told.pop("number")
    return Decision(**told)


def _replace(
    connection: sql.Connection, table: sql.Table, key: Mapping[str, str], row: Mapping[str, object]
) -> None:
    same = sql.and_(*(table.c[name] == value for name, value in key.items()))
    connection.execute(sql.delete(table).where(same))
    connection.execute(sql.insert(table).values({**key, **row}))
