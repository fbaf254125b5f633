"""Which graph a command is about, and opening it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from millrace.tasks.documents.graph.adapter import Graph

Where = Annotated[
    str,
    typer.Option(
        "--graph",
        metavar="WHERE",
        help="A folder, or a server as bolt://HOST:7687; else MILLRACE_GRAPH, or this host's own.",
    ),
]

_PATIENCE = 30.0  # seconds to wait for a server or another writer


def opened(where: str) -> Graph:
    """Returns the graph, to be closed. Raises GraphError and UsageError."""
    from millrace.tasks.documents.graph.locations import open_graph

    return open_graph(where, patience=_PATIENCE)
