"""A decision and all that follows from it at once: the queue, and the graphs the document is in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from millrace.engine.errors import MillraceError
from millrace.tasks.documents.review.desk import Case, Desk, Loaded, Verdict

Put = Callable[[Loaded], None]
"""Writes the facts of a document into the graph it belongs to."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a decision: in how many graphs it stands, and which could not be reached."""

    graphs: int
    troubles: tuple[str, ...] = ()


def decide(
    desk: Desk, case: Case, verdict: Verdict, *, value: str = "", who: str, put: Put
) -> Done:
    """Decides on a case and writes it into the graphs at once.

    The decision stands even where a graph cannot be reached: its next load brings it there.
    Raises UsageError for a correction without a value, StoreError when the queue cannot be used.
    """
    return spread(desk.decide(case, verdict, value=value, who=who), put)


def spread(documents: Iterable[Loaded], put: Put) -> Done:
    """Writes documents into their graphs; those that cannot be reached are told of."""
    reached, troubles = 0, []
    for one in documents:
        try:
            put(one)
            reached += 1
        except MillraceError as error:
            troubles.append(error.message)
    return Done(reached, tuple(troubles))


def put_into_graph(loaded: Loaded) -> None:
    """Writes the facts of a document into its graph. Raises what the graph raises."""
    from millrace.tasks.documents.graph.locations import open_graph

    with closing(open_graph(loaded.graph)) as graph:
        graph.put(loaded.scope, [loaded.facts])
