"""Where the graph is: a folder with the embedded database, or the address of a Neo4j server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from millrace.engine.errors import UsageError
from millrace.engine.settings import settings

if TYPE_CHECKING:
    from millrace.tasks.documents.graph.adapter import Engine, Graph

VARIABLE = "MILLRACE_GRAPH"
SECRETS = ("NEO4J_USERNAME", "NEO4J_PASSWORD")
"""The environment variables with the credentials of a server: they stand nowhere else."""

_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")


@dataclass(frozen=True)
class Folder:
    """The embedded database in a folder of this host."""

    path: Path


@dataclass(frozen=True)
class Server:
    """A Neo4j server."""

    address: str
    user: str
    password: str = field(repr=False)


def locate(where: str = "") -> Folder | Server:
    """Returns what `where` names: a folder, or an address such as bolt://127.0.0.1:7687.

    Nothing: what MILLRACE_GRAPH names, else the folder `graph` of the home. The credentials of a
    server are those of NEO4J_USERNAME and NEO4J_PASSWORD. Raises UsageError for an address of
    another kind, one that holds a credential, and a password that is not set.
    """
    told = where or os.environ.get(VARIABLE) or ""
    if not told:
        return Folder(settings().home / "graph")
    if "://" not in told:
        return Folder(Path(told).expanduser().absolute())
    parts = urlsplit(told)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise UsageError(
            f"{_shown(told)!r} is no graph",
            hint="name a folder, or a server as bolt://HOST:7687 or neo4j+s://HOST",
        )
    if parts.username or parts.password:
        raise UsageError(
            "the address of the graph holds a user or password, which would end up in logs",
            hint="give the address alone, and set NEO4J_USERNAME and NEO4J_PASSWORD",
        )
    password = os.environ.get("NEO4J_PASSWORD") or ""
    if not password:
        raise UsageError(
            f"there is no password for the graph at {told}",
            hint="set NEO4J_USERNAME and NEO4J_PASSWORD; `make neo4j` prints them for its server",
        )
    return Server(told, os.environ.get("NEO4J_USERNAME") or "neo4j", password)


def open_graph(where: str = "", *, patience: float = 120.0) -> Graph:
    """Returns the graph at a folder or address, migrated; "" is this host's own.

    Writing waits up to `patience` seconds for a server that went away or for another writer. Close
    it at the end. Raises GraphError where it cannot be opened, ToolMissing without the extra
    `documents`, UsageError for an address that is none.
    """
    from millrace.tasks.documents.graph.adapter import Graph

    place = locate(where)
    engine: Engine
    if isinstance(place, Folder):
        from millrace.tasks.documents.graph.embedded import Embedded

        engine = Embedded(place.path, patience)
    else:
        from millrace.tasks.documents.graph.neo4j import Neo4j

        engine = Neo4j(place, patience)
    try:
        engine.migrate()
    except BaseException:
        engine.close()
        raise
    return Graph(engine)


def _shown(address: str) -> str:
    """Returns an address without what stands before its host."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
