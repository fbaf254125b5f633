"""A person's query reads the graph and does nothing else; pictures and copies of a graph."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from millrace.engine.errors import GraphError, UsageError
from millrace.tasks.documents.facts import Entity
from millrace.tasks.documents.graph import guard, migrations, model
from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.graph.locations import Folder, Server, locate, open_graph
from millrace.tasks.documents.graph.picture import neighbourhood, page
from millrace.tasks.documents.graph.resolving import settle
from millrace.tasks.documents.graph.transfer import transfer
from tests.tasks.documents.graph.made import digest, everything, receipt

REFUSED = [
    "MATCH (n:Fact) SET n.value = 'x'",
    "MATCH (n) DETACH DELETE n",
    "CREATE (:Scope {id: 'x'})",
    "MERGE (s:Scope {id: 'x'})",
    "MATCH (n:Fact) REMOVE n.value",
    "DROP TABLE Fact",
    "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "MATCH (n:Scope) LOAD CSV FROM 'http://127.0.0.1:1/' AS line RETURN line",
    "LOAD FROM '/etc/passwd' (file_format='csv') RETURN *",
    "COPY (MATCH (d:Document) RETURN d.id) TO 'OUT'",
    "EXPORT DATABASE 'OUT'",
    "IMPORT DATABASE 'OUT'",
    "INSTALL httpfs",
    "ATTACH 'OUT' AS other (dbtype duckdb)",
    "CALL db.labels()",
    "CALL show_tables() RETURN *",
    "/* RETURN */ match (n:Scope) call db.labels() YIELD label RETURN label",
    "CALL apoc.load.json('http://127.0.0.1:1/')",
    "RETURN `apoc`.cypher.runFirstColumnSingle('LOAD CSV', {})",
    "SHOW USERS",
    "SHOW SETTINGS",
    "TERMINATE TRANSACTION 'neo4j-transaction-1'",
    "MATCH (n:Scope) CALL { WITH n DELETE n } RETURN 1",
    "RETURN 1; MATCH (n) DETACH DELETE n",
    "RETURN 'open",
    "nonsense",
    "",
]


def test_a_query_that_does_more_than_read_is_refused(graph: Graph, tmp_path: Path) -> None:
    graph.put("receipts", [receipt(1)])
    before = everything(graph)
    out = tmp_path / "out"
    for text in REFUSED:
        with pytest.raises(UsageError):
            graph.query(text.replace("OUT", str(out)))
    assert not out.exists()
    assert everything(graph) == before


def test_a_query_reads_with_values_that_are_only_values(graph: Graph) -> None:
    graph.put("receipts", [receipt(n, total=f"{n}.50") for n in range(5)])
    found = graph.query(
        "MATCH (d:Document)-[:STATES]->(f:Fact {field: $field}) WHERE d.kind = $kind "
        "RETURN sum(f.number) AS total, count(f) AS n;",
        {"field": "total", "kind": "receipt"},
    )
    assert (found.columns, found.rows, found.cut) == (("total", "n"), ((12.5, 5),), False)
    (row,) = graph.query("MATCH (f:Fact {field: 'total', value: '3.50'}) RETURN f").rows
    assert (row[0]["_LABEL"], row[0]["raw"]) == ("Fact", "RM 3.50")
    assert graph.query("RETURN 'DELETE it; CALL' AS `set` // SET").rows == (("DELETE it; CALL",),)


def test_rows_and_time_of_a_query_are_bounded(graph: Graph) -> None:
    graph.put("receipts", [receipt(n) for n in range(4)])
    found = graph.query("MATCH (f:Fact) RETURN f.id", limit=3)
    assert (len(found.rows), found.cut) == (3, True)
    assert not graph.query("MATCH (f:Fact) RETURN f.id", limit=8).cut
    endless = "UNWIND range(1, 100000000) AS a UNWIND range(1, 100000) AS b RETURN sum(a * b % 7)"
    with pytest.raises(UsageError, match="longer than 1 s"):
        graph.query(endless, seconds=1)
    assert graph.counts()["Document"] == 4


def test_documents_are_found_by_name_and_by_the_beginning_of_their_digest(graph: Graph) -> None:
    graph.put("receipts", [receipt(1), receipt(2, name="receipt-1.jpg")])
    assert len(graph.find("receipt-1.jpg")) == 2
    assert graph.find(digest(1)[:20]) == ((digest(1), "receipt-1.jpg"),)
    assert graph.find("nobody") == ()


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_a_picture_shows_the_neighbourhood_and_loads_nothing(graph: Graph) -> None:
    hostile = "<script>alert(1)</script>&\"'"
    facts = replace(receipt(1, hostile), name="<img src=x onerror=alert(1)>.jpg")
    graph.put("receipts", [facts, receipt(2, hostile), receipt(3, "Unrelated")])
    around = neighbourhood(graph, digest(1))
    assert around is not None
    drawn = page(around)
    read = Page()
    read.feed(drawn)
    assert read.tags.isdisjoint({"script", "img", "link", "iframe", "a", "object", "image", "use"})
    assert not any(name.startswith("on") or name in {"src", "href"} for name in read.attributes)
    assert not re.search(r"https?:|url\(|@import", drawn)
    assert "default-src 'none'" in drawn
    assert {hostile, "ISSUED_BY", "receipt-2.jpg", "receipt-3.jpg"} <= set(read.texts)  # one street
    assert neighbourhood(graph, "unknown") is None


def test_the_embedded_graph_has_the_tables_of_the_model() -> None:
    told = " ".join(s for step in migrations.migrations("embedded") for s in step.statements)
    for node in model.NODES:
        (columns,) = re.findall(rf"NODE TABLE IF NOT EXISTS {node.label} \(([^)]*)\)", told)
        assert [part.split()[0] for part in columns.split(",")] == ["id", *node.columns]
    for edge in model.EDGES:
        *_, columns = re.findall(rf"REL TABLE IF NOT EXISTS {edge.type} \(([^)]*)\)", told)
        parts = [" ".join(part.split()) for part in columns.split(",")]
        assert f"FROM {edge.source} TO {edge.target}" in parts
        names = [part.split()[0] for part in parts if not part.startswith("FROM ")]
        assert names == [*edge.key, *edge.columns]


def test_a_graph_of_a_newer_millrace_is_not_touched(graph: Graph) -> None:
    graph.engine.write(lambda run: run("CREATE (:Migration {id: 9000})"))
    try:
        with pytest.raises(GraphError, match=r"newer Millrace \(step 9000\)"):
            open_graph(graph.where)
    finally:
        graph.engine.write(lambda run: run("MATCH (m:Migration) WHERE m.id = 9000 DELETE m"))
    open_graph(graph.where).close()


def test_migrating_twice_changes_nothing(graph: Graph) -> None:
    graph.put("receipts", [receipt(1)])
    before = everything(graph)
    graph.engine.migrate()
    assert everything(graph) == before


def test_where_a_graph_is(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    for name in ("MILLRACE_GRAPH", "NEO4J_USERNAME", "NEO4J_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    assert locate("") == Folder(home / "graph")
    assert locate(str(tmp_path)) == Folder(tmp_path)
    with pytest.raises(UsageError, match="no password"):
        locate("bolt://127.0.0.1:7687")
    monkeypatch.setenv("NEO4J_PASSWORD", "secret-word")
    found = locate("neo4j+s://graph.example")
    assert found == Server("neo4j+s://graph.example", "neo4j", "secret-word")
    assert "secret-word" not in repr(found)
    monkeypatch.setenv("MILLRACE_GRAPH", "bolt://other:7687")
    assert isinstance(locate(""), Server)
    with pytest.raises(UsageError, match="holds a user or password") as told:
        locate("bolt://me:hidden@host:7687")
    assert "hidden" not in str(told.value)
    with pytest.raises(UsageError, match="is no graph") as told:
        locate("https://me:hidden@host")
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    "text", ["RETURN 'it\\'s; DELETE' AS a", 'RETURN "CALL \\" ;" AS b', "RETURN 1 /* ; SET */ + 1"]
)
def test_what_stands_in_strings_and_comments_is_no_command(text: str) -> None:
    assert guard.check(text) == text


@pytest.mark.parametrize(
    "text",
    ["RETURN 'a\\\\' ; COPY 'b'", "RETURN 'a' // x\n; DELETE n", "RETURN 1 */ CALL f() /* */"],
)
def test_no_quoting_hides_a_command(text: str) -> None:
    with pytest.raises(UsageError):
        guard.check(text)


@pytest.mark.slow
def test_the_embedded_graph_moves_to_neo4j_whole(in_folder: Graph, on_server: Graph) -> None:
    reviewed = receipt(1, total="7.00", reviewed="mei 2026-11-24T10:00:00Z")
    nameless = replace(
        receipt(6), entities=(Entity("vendor", "Company", (), {}, 0.5, ()),), relations=()
    )
    many = [reviewed, *(receipt(n, f"Company {n % 3}") for n in range(2, 6)), nameless]
    in_folder.put("receipts", many)
    in_folder.put("audit", [receipt(1, "As audited")])
    in_folder.put("receipts", [receipt(7, "C0mpany 1"), receipt(8, "Company l")])
    assert settle(in_folder).resolved > 0
    done = transfer(in_folder, on_server)
    assert (done.documents, done.changed) == (8, 8)
    assert everything(on_server) == everything(in_folder)
    assert on_server.counts() == in_folder.counts()
    assert on_server.counts()["SAME_AS"] == in_folder.counts()["SAME_AS"] > 1
    assert transfer(in_folder, on_server).changed == 0
    assert on_server.put("receipts", many).changed == 0
    in_folder.put("receipts", [receipt(2, "Renamed")])
    settle(in_folder)
    on_server.put("elsewhere", [receipt(2), receipt(90)])
    assert transfer(in_folder, on_server).changed > 0
    assert set(on_server.current("elsewhere")) == {digest(2), digest(90)}
    on_server.withdraw("elsewhere", [digest(2), digest(90)])
    settle(on_server)
    assert everything(on_server) == everything(in_folder)
