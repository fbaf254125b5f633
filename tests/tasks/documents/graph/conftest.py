"""Both databases behind one fixture: the embedded one, and a real Neo4j server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.graph.locations import open_graph
from tests.neo4j_server import REPOSITORY, Neo4jServer, free_port


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neo4jServer]:
    """A Neo4j server for all these tests. Some kill it; it is up again after each."""
    jars = ["bash", str(REPOSITORY / "scripts" / "jars.sh"), "neo4j"]
    subprocess.run(jars, check=True, timeout=280)
    folder = tmp_path_factory.mktemp("neo4j")
    made = Neo4jServer(folder, free_port())
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def neo4j(server: Neo4jServer, monkeypatch: pytest.MonkeyPatch) -> Neo4jServer:
    """The server, with its credentials in the environment."""
    monkeypatch.setenv("NEO4J_USERNAME", "neo4j")
    monkeypatch.setenv("NEO4J_PASSWORD", server.password)
    return server


def emptied(graph: Graph) -> Graph:
    rows = graph.engine.read(lambda run: run("MATCH (d:Document) RETURN d.id AS id"))
    graph.withdraw("", [str(row["id"]) for row in rows])
    assert not any(graph.counts().values())
    return graph


@pytest.fixture
def on_server(neo4j: Neo4jServer) -> Iterator[Graph]:
    """An empty graph on the server."""
    with open_graph(neo4j.address) as graph:
        yield emptied(graph)


@pytest.fixture
def in_folder(tmp_path: Path) -> Iterator[Graph]:
    """An empty graph in a folder."""
    with open_graph(str(tmp_path / "graph")) as graph:
        yield graph


REAL = [pytest.mark.slow, pytest.mark.flaky(reruns=1)]


@pytest.fixture(params=["in_folder", pytest.param("on_server", marks=REAL)])
def graph(request: pytest.FixtureRequest) -> Graph:
    """An empty graph, once in each database."""
    found: Graph = request.getfixturevalue(request.param)
    return found
