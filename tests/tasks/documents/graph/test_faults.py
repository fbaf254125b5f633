"""A graph that goes away, is locked or never was: with a real server and real processes."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import pytest

from millrace.engine.errors import GraphError
from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.graph.loading import Receipt, Run
from millrace.tasks.documents.graph.locations import open_graph
from tests.neo4j_server import Neo4jServer, free_port
from tests.tasks.documents.graph.made import digest, everything, receipt


def test_a_server_that_is_down_is_told_at_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "secret-word")
    with pytest.raises(GraphError, match="could not be reached") as told:
        open_graph(f"bolt://127.0.0.1:{free_port()}", patience=60)
    assert "make neo4j" in told.value.hint
    assert "secret-word" not in str(told.value)
    assert told.value.exit_code == 4


def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(GraphError, match="cannot be made"):
        open_graph(str(tmp_path / "file"))
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "graph.lbug").write_bytes(b"no database" * 1000)
    with pytest.raises(GraphError, match="cannot be opened"):
        open_graph(str(tmp_path / "graph"))


def test_a_second_writer_waits_and_says_for_whom(tmp_path: Path) -> None:
    folder = tmp_path / "graph"
    open_graph(str(folder)).close()
    with (folder / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(GraphError, match="another process has held the graph"):
            open_graph(str(folder), patience=0.3)
        freed = threading.Timer(1.0, lambda: fcntl.flock(held, fcntl.LOCK_UN))
        freed.start()
        with open_graph(str(folder), patience=60) as graph:
            assert graph.put("receipts", [receipt(1)]).added == 1
        freed.join()


def test_a_statement_that_fails_undoes_its_transaction_and_tells_no_values(graph: Graph) -> None:
    def work(run: Run) -> None:
        run("CREATE (:Scope {id: 'half'})")
        run("MATCH (s:Scope) RETURN nonsense(s.id, 'a value')")

    with pytest.raises(GraphError, match="failed") as told:
        graph.engine.write(work)
    assert "a value" not in str(told.value)
    assert graph.counts()["Scope"] == 0


@pytest.mark.slow
def test_two_that_load_the_same_documents_at_once_make_no_duplicate(graph: Graph) -> None:
    many = [receipt(n, f"Company {n % 4}") for n in range(40)]
    graph.put("alone", many)
    receipts: list[Receipt] = []

    def load(part: list[int]) -> None:
        with open_graph(graph.where) as mine:
            for at in range(0, len(part), 10):
                receipts.append(mine.put("both", [many[n] for n in part[at : at + 10]]))

    orders = [list(range(40)), list(range(20, 40)) + list(range(20))]
    threads = [threading.Thread(target=load, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.added for one in receipts) == 40
    assert sum(one.unchanged for one in receipts) == 40
    graph.withdraw("alone", [one.digest for one in many])
    both = everything(graph)
    graph.withdraw("both", [one.digest for one in many])
    graph.put("both", many)
    assert everything(graph) == both


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_killed_in_mid_load_is_waited_for_and_nothing_is_lost_or_doubled(
    neo4j: Neo4jServer, on_server: Graph
) -> None:
    parts = [[receipt(100 * p + n, f"Company {n % 7}") for n in range(30)] for p in range(8)]
    acknowledged: list[int] = []
    stop = threading.Event()
    failures: list[Exception] = []

    def load() -> None:
        try:
            with open_graph(neo4j.address, patience=240) as graph:
                for number, part in enumerate(parts):
                    graph.put("receipts", part)
                    acknowledged.append(number)
                    if stop.is_set():
                        return
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    loader = threading.Thread(target=load)
    loader.start()
    try:
        end = time.monotonic() + 120
        while not acknowledged and not failures and time.monotonic() < end:
            time.sleep(0.02)
        neo4j.kill()
        known = list(acknowledged)
        neo4j.start()
        with open_graph(neo4j.address) as graph:
            there = graph.current("receipts")
        assert all(one.digest in there for number in known for one in parts[number])
        loader.join(240)
    finally:
        stop.set()
        loader.join(240)
        if neo4j.command("status").returncode:
            neo4j.start()
    assert not failures
    assert acknowledged == list(range(8))
    loaded = everything(on_server)
    many = [one for part in parts for one in part]
    assert on_server.put("receipts", many).changed == 0
    on_server.withdraw("receipts", [one.digest for one in many])
    on_server.put("receipts", many)
    assert everything(on_server) == loaded


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_waiting_for_a_server_ends_with_the_patience(neo4j: Neo4jServer, on_server: Graph) -> None:
    with open_graph(neo4j.address, patience=3) as graph:
        neo4j.stop()
        try:
            with pytest.raises(GraphError, match="could not be reached for 3 s"):
                graph.put("receipts", [receipt(1)])
            with pytest.raises(GraphError, match="could not be reached"):
                graph.current("receipts")
        finally:
            neo4j.start()
        assert graph.put("receipts", [receipt(1)]).added == 1
    assert set(on_server.current("receipts")) == {digest(1)}


@pytest.mark.slow
def test_the_server_wants_its_password_which_only_its_owner_can_read(
    neo4j: Neo4jServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (neo4j.folder, neo4j.folder / "password", neo4j.folder / "data"):
        assert path.stat().st_mode & 0o077 == 0
    assert neo4j.password not in Path(f"/proc/{neo4j.pid}/cmdline").read_text()
    assert neo4j.password not in neo4j.command("status").stdout
    again = neo4j.command("start")
    assert again.returncode == 0
    assert f"export MILLRACE_GRAPH={neo4j.address}" in again.stdout
    monkeypatch.setenv("NEO4J_PASSWORD", "wrong-word")
    with pytest.raises(GraphError, match="does not take these credentials"):
        open_graph(neo4j.address)
