"""`millrace graph`: ask it, count it, draw it, copy it, take documents out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.cli.app import build
from millrace.engine.errors import UsageError
from millrace.tasks.documents.graph.locations import open_graph
from tests.tasks.documents.graph.made import digest, everything, receipt


def millrace(*words: str) -> str:
    reply = CliRunner().invoke(build(), ["graph", *words])
    if reply.exception and not isinstance(reply.exception, SystemExit):
        raise reply.exception
    assert reply.exit_code == 0, reply.output
    return reply.output


@pytest.fixture(autouse=True)
def loaded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_GRAPH", raising=False)
    with open_graph() as graph:
        graph.put("receipts", [receipt(n, f"Company {n % 2}", total=f"{n}.25") for n in range(3)])


def test_a_query_prints_a_table_or_json() -> None:
    text = "MATCH (f:Fact {field: 'total'}) RETURN f.value AS value ORDER BY value"
    assert [line.strip() for line in millrace("query", text).splitlines()] == [
        *("value", "0.25", "1.25", "2.25")
    ]
    told = json.loads(millrace("query", text, "--json", "--limit", "2"))
    assert told == {"columns": ["value"], "rows": [["0.25"], ["1.25"]], "cut": True}


def test_values_of_a_query_are_given_beside_it() -> None:
    text = "MATCH (d:Document {name: $name}) RETURN d.id AS id"
    told = json.loads(millrace("query", text, "--set", "name=receipt-1.jpg", "--json"))
    assert told["rows"] == [[digest(1)]]
    with pytest.raises(UsageError, match="is not NAME=VALUE"):
        millrace("query", text, "--set", "receipt-1.jpg")
    with pytest.raises(UsageError, match="only read here"):
        millrace("query", "MATCH (n) DETACH DELETE n")


def test_show_counts_what_there_is() -> None:
    told = json.loads(millrace("show", "--json"))
    assert told["counts"]["Document"] == 3
    assert told["counts"]["FOUND_ON"] == 24
    assert re.search(r"Document +3\n", millrace("show"))


def test_a_picture_is_a_page_of_the_document_that_is_named(tmp_path: Path) -> None:
    millrace("picture", "receipt-2.jpg", "-o", str(tmp_path / "a.html"))
    drawn = (tmp_path / "a.html").read_text()
    assert "total = 2.25" in drawn
    assert "receipt-0.jpg" in drawn  # which has a company in common with it
    with pytest.raises(UsageError, match="no document 'nobody'"):
        millrace("picture", "nobody", "-o", str(tmp_path / "b.html"))
    with pytest.raises(UsageError, match="cannot be written"):
        millrace("picture", digest(2), "-o", str(tmp_path / "no" / "b.html"))


def test_an_ambiguous_name_is_asked_about() -> None:
    with open_graph() as graph:
        graph.put("receipts", [receipt(9, name="receipt-1.jpg")])
    with pytest.raises(UsageError, match="is 2 documents") as told:
        millrace("withdraw", "receipt-1.jpg")
    assert digest(9)[:16] in told.value.hint


def test_a_withdrawn_document_is_gone() -> None:
    assert "nodes that only it supported are gone" in millrace("withdraw", digest(1)[:16])
    with open_graph() as graph:
        assert set(graph.current("receipts")) == {digest(0), digest(2)}


def test_a_merge_is_made_taken_back_and_said_by_a_person() -> None:
    with open_graph() as graph:
        graph.put("receipts", [receipt(8, "SUNFISH TRADING"), receipt(9, "MOON CAKES")])
    before = json.loads(millrace("resolve", "--json"))
    assert (before["resolved"], before["merged"]) == (1, 2)  # the companies 0 and 1
    assert "nothing changed" in millrace("resolve")
    said = millrace("same", "sunfish trading", "MOON CAKES", "--who", "ada")
    assert "SUNFISH TRADING and MOON CAKES are the same" in said
    after = json.loads(millrace("resolve", "--json"))
    assert (after["resolved"], after["merged"], after["written"]) == (2, 4, 0)
    assert "3 removed" in millrace("apart", "SUNFISH TRADING", "MOON CAKES")
    assert json.loads(millrace("resolve", "--json")) == {**before, "written": 0}
    with pytest.raises(UsageError, match="are not compared"):
        millrace("same", "Company 0", "12, Jalan Besar")
    with pytest.raises(UsageError, match="named twice"):
        millrace("same", "Company 0", "COMPANY 0")


def test_a_graph_is_copied_into_another(tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    millrace("resolve")
    assert "3 documents with" in millrace("export", "--to", other)
    with open_graph() as one, open_graph(other) as two:
        assert everything(one) == everything(two)
    assert "0 had to be written" in millrace("export", "--to", other)
    with pytest.raises(UsageError, match="the same graph"):
        millrace("export", "--to", other, "--graph", other)


def test_the_queries_of_the_page_about_the_graph_answer(repository: Path) -> None:
    text = (repository / "docs" / "graph.md").read_text()
    queries = re.findall(r"```cypher\n(.*?)```", text, re.DOTALL)
    queries += re.findall(r"graph query '([^']+)'", text)
    assert len(queries) == 7
    for query in queries:
        words = ["--set", "name=receipt-1.jpg"] if "$name" in query else []
        assert json.loads(millrace("query", query, "--json", *words))["rows"], query
