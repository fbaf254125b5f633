"""What persons have said of entities of the graph: that two are the same, or that they are not.

It holds for every resolution from then on. Entities are told by their ids, which come from their
kind and name, so that a word outlives a document that is read anew, or moved to another graph.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sql

from millrace.engine.errors import UsageError
from millrace.tasks.documents.review.tables import SAMENESS, transaction

Pair = tuple[str, str]
Word = Literal["same", "apart"]


@dataclass(frozen=True, slots=True)
class Said:
    """The pairs of entities that are said to be the same, and those that are not."""

    same: tuple[Pair, ...] = ()
    apart: tuple[Pair, ...] = ()


def said(engine: sql.Engine) -> Said:
    """Returns what holds: of several words on one pair, the last one. Raises StoreError."""
    with transaction(engine) as connection:
        return _said(connection)


def say(engine: sql.Engine, one: str, other: str, word: Word, *, who: str) -> None:
    """Writes down what a person says of two entities.

    Raises UsageError where that contradicts what holds of others, StoreError when the database
    cannot be used.
    """
    if one == other:
        raise UsageError("that is one entity, named twice")
    left, right = sorted((one, other))
    row = {"left": left, "right": right, "verdict": word, "who": who, "at": round(time.time(), 3)}
    with transaction(engine) as connection:
        before = _said(connection)
        _agree(before, (left, right), word)
        connection.execute(sql.insert(SAMENESS).values(row))


def _said(connection: sql.Connection) -> Said:
    rows = connection.execute(sql.select(SAMENESS).order_by(SAMENESS.c.number)).all()
    holding = {(str(row.left), str(row.right)): str(row.verdict) for row in rows}
    return Said(
        tuple(sorted(pair for pair, verdict in holding.items() if verdict == "same")),
        tuple(sorted(pair for pair, verdict in holding.items() if verdict == "apart")),
    )


def _agree(before: Said, pair: Pair, word: Word) -> None:
    """Raises UsageError where a word cannot hold together with those on other pairs."""
    same = [one for one in before.same if one != pair] + ([pair] if word == "same" else [])
    apart = [one for one in before.apart if one != pair] + ([pair] if word == "apart" else [])
    groups = _groups(same)
    for left, right in apart:
        if left in groups and groups[left] is groups.get(right):
            others = [f"  {a[:12]} {b[:12]}" for a, b in same if a in groups[left]]
            raise UsageError(
                f"{left[:12]} and {right[:12]} would be both the same and not the same",
                hint="say otherwise of one of these first, which are said to be the same:\n"
                + "\n".join(others),
            )


def _groups(pairs: Iterable[Pair]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for left, right in pairs:
        together = groups.get(left, {left}) | groups.get(right, {right})
        for one in together:
            groups[one] = together
    return groups
