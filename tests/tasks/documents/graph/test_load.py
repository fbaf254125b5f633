"""The kind `documents.load`: it keeps a graph in step with facts, and changes nothing twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from millrace.engine.errors import ItemError
from millrace.engine.hosts.devices import Device
from millrace.engine.settings import settings
from millrace.engine.stages import Batch, Result, Span, Staged
from millrace.tasks.documents import facts as fact_files
from millrace.tasks.documents.facts import Entity, Evidence, Fact, Facts, Relation
from millrace.tasks.documents.graph.kind import Load, LoadParams
from millrace.tasks.documents.graph.locations import open_graph
from millrace.tasks.documents.pages import Box
from millrace.tasks.documents.review.desk import Desk
from millrace.tasks.documents.review.tables import connect
from millrace.testing import conformance
from tests.neo4j_server import Neo4jServer

PLACE = (Evidence(1, Box(1, 2, 30, 12), "TOTAL 9.90", "tesseract", "5.3"),)


def facts_of(name: str, total: str = "9.90", state: str = "accepted") -> Facts:
    digest = name.encode().hex().ljust(64, "0")
    fact = Fact("total", total, f"RM {total}", 0.97, state, PLACE)  # type: ignore[arg-type]
    shop = Entity("shop", "Company", ("Corner Shop",), {}, 0.98, PLACE)
    issued = Relation("ISSUED_BY", "", "shop", 0.98, PLACE)
    return Facts(digest, name, "receipt", "test 1", 1, (fact,), (shop,), (issued,))


def folder(path: Path, *many: Facts) -> Path:
    path.mkdir(exist_ok=True)
    for old in path.iterdir():
        old.unlink()
    for number, facts in enumerate(many):
        (path / f"{number}.json").write_bytes(fact_files.dump(facts))
    return path


def staged(path: Path, *, absent: tuple[str, ...] = (), complete: bool = True) -> Staged:
    members = tuple(sorted(path.iterdir()))
    names = tuple(member.name for member in members)
    return Staged(
        name="load", path=path, members=members, member_names=names, absent=absent,
        complete=complete,
    )  # fmt: skip


def apply(
    item: Staged, where: str, out: Path, *, withdraw: bool = True, resolve: bool = True
) -> Mapping[str, int]:
    kind = Load(LoadParams(scope="receipts", graph=where, withdraw=withdraw, resolve=resolve))
    outline = kind.measure(item)
    span = Span(stop=kind.work(outline).units)
    batch = Batch(key="k", item=item, outline=outline, span=span, whole=True)
    out.mkdir(exist_ok=True)
    with kind.open(Device()) as session:
        (result,) = kind.run(session, [batch], out, lambda key, units: None)
    assert isinstance(result, Result)
    kind.check(batch, result)
    receipt: dict[str, int] = json.loads(result.path.read_text())
    return receipt


def held(where: str) -> set[str]:
    with open_graph(where) as graph:
        return {str(row[0]) for row in graph.query("MATCH (f:Fact) RETURN f.value").rows}


def test_what_is_new_is_put_and_the_second_time_nothing_changes(tmp_path: Path) -> None:
    graph, out = str(tmp_path / "graph"), tmp_path / "out"
    inbox = folder(tmp_path / "in", facts_of("a", "1.00"), facts_of("b", "2.00"))
    first = apply(staged(inbox), graph, out)
    assert (first["documents"], first["added"]) == (2, 2)
    second = apply(staged(inbox), graph, out)
    assert (second["unchanged"], second["written"], second["removed"]) == (2, 0, 0)
    folder(inbox, facts_of("a", "1.50"), facts_of("b", "2.00"))
    third = apply(staged(inbox), graph, out)
    assert (third["replaced"], third["unchanged"]) == (1, 1)
    assert held(graph) == {"1.50", "2.00"}


def test_only_what_is_certainly_gone_is_withdrawn(tmp_path: Path) -> None:
    graph, out = str(tmp_path / "graph"), tmp_path / "out"
    a, b = facts_of("a", "1.00"), facts_of("b", "2.00")
    inbox = folder(tmp_path / "in", a, b)
    apply(staged(inbox), graph, out)
    folder(inbox, a)
    for spared in (
        staged(inbox, complete=False),
        staged(inbox, absent=(b.digest,)),
        staged(inbox, absent=("",)),
    ):
        assert apply(spared, graph, out)["withdrawn"] == 0
    assert apply(staged(inbox), graph, out, withdraw=False)["withdrawn"] == 0
    assert held(graph) == {"1.00", "2.00"}
    assert apply(staged(inbox, absent=("f" * 64,)), graph, out)["withdrawn"] == 1
    assert held(graph) == {"1.00"}


def test_doubtful_facts_come_onto_the_desk_and_decisions_are_laid_over(tmp_path: Path) -> None:
    graph, out = str(tmp_path / "graph"), tmp_path / "out"
    inbox = folder(tmp_path / "in", facts_of("a", "1.00", "doubtful"), facts_of("b", "2.00"))
    assert apply(staged(inbox), graph, out)["doubtful"] == 1
    desk = Desk(connect(settings()))
    (case,) = desk.cases()
    desk.decide(case, "corrected", value="7.00", who="ada")
    assert apply(staged(inbox), graph, out)["doubtful"] == 0
    assert held(graph) == {"7.00", "2.00"}
    assert apply(staged(inbox), graph, out)["written"] == 0


def test_a_load_brings_together_what_is_the_same_unless_told_not_to(tmp_path: Path) -> None:
    graph, out = str(tmp_path / "graph"), tmp_path / "out"

    def vendor(document: str, name: str) -> Facts:
        facts = facts_of(document)
        return replace(facts, entities=(replace(facts.entities[0], names=(name,)),))

    right, misread = (
        vendor("a", "GERBANG ALAF RESTAURANTS"),
        vendor("b", "GERPANG ALAF RESTAURANTS"),
    )
    inbox = folder(tmp_path / "in", right, misread)
    told = apply(staged(inbox), graph, out, resolve=False)
    assert "resolved" not in told
    told = apply(staged(inbox), graph, out)
    assert (told["written"], told["resolved"], told["merged"]) == (0, 1, 2)
    folder(inbox, right)
    told = apply(staged(inbox), graph, out)
    assert (told["withdrawn"], told["resolved"], told["merged"]) == (1, 0, 0)


@pytest.mark.slow
def test_the_kind_conforms_and_changes_nothing_the_second_time(tmp_path: Path) -> None:
    graph = str(tmp_path / "graph")
    good = folder(tmp_path / "good", facts_of("a"), facts_of("b", "3.00", "doubtful"))
    bad = folder(tmp_path / "bad", facts_of("c"))
    (bad / "1.json").write_text("[]")

    def outside() -> object:
        with closing(open_graph(graph)) as opened:
            return dict(opened.counts()), dict(opened.current("receipts"))

    conformance(
        "documents.load",
        {"scope": "receipts", "graph": graph},
        good=[good],
        bad=[bad],
        tmp=tmp_path / "kit",
        outside=outside,
    )


@pytest.mark.parametrize("graph", ["graph", "./graph", "bolt://me:secret@host:7687"])
def test_a_graph_that_is_elsewhere_for_each_process_or_tells_a_secret_is_refused(
    graph: str,
) -> None:
    with pytest.raises(ValidationError):
        LoadParams(scope="s", graph=graph)


def test_a_relative_folder_in_the_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_GRAPH", "graph")
    with pytest.raises(ItemError, match="from the root"):
        apply(staged(folder(tmp_path / "in", facts_of("a"))), "", tmp_path / "out")


@pytest.mark.slow
def test_a_neo4j_server_gets_the_same_and_one_that_is_away_is_unreachable(
    neo4j: Neo4jServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = folder(tmp_path / "in", facts_of("a", "1.00"), facts_of("b", "2.00"))
    mine = staged(inbox)
    assert apply(mine, neo4j.address, tmp_path / "out")["added"] == 2
    assert apply(mine, neo4j.address, tmp_path / "out")["written"] == 0
    folder(inbox, facts_of("a", "1.00"))
    assert apply(staged(inbox), neo4j.address, tmp_path / "out")["withdrawn"] == 1
    with open_graph(neo4j.address) as graph:
        graph.withdraw("receipts", list(graph.current("receipts")))
    monkeypatch.setattr("millrace.tasks.documents.graph.kind._PATIENCE", 0.5)
    with pytest.raises(ItemError) as caught:
        apply(staged(inbox), "bolt://127.0.0.1:1", tmp_path / "out")
    assert caught.value.code == "unreachable"
