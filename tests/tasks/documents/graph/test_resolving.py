"""Entities that are the same though written differently, in the graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from millrace.engine.errors import UsageError
from millrace.engine.settings import settings
from millrace.tasks.documents.facts import Entity
from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.graph.resolving import Resolution, find, reconcile, settle
from millrace.tasks.documents.review import sameness
from millrace.tasks.documents.review.tables import connect
from tests.tasks.documents.graph.made import digest, everything, evidence, receipt

RIGHT, MISREAD, OTHER = "GERBANG ALAF RESTAURANTS", "GERPANG ALAF RESTAURANTS", "SUNFISH TRADING"


def vendors(graph: Graph) -> list[set[str]]:
    """Returns the names in each group of companies."""
    text = (
        "MATCH (e:Entity)-[:SAME_AS]->(r:Resolved {kind: 'Company'}) "
        "RETURN r.id AS part, e.name AS name ORDER BY part, name"
    )
    found: dict[str, set[str]] = {}
    for group, name in graph.query(text).rows:
        found.setdefault(group, set()).add(name)
    return sorted(found.values(), key=sorted)


def load(graph: Graph, *names: str) -> None:
    graph.put("receipts", [receipt(n, name) for n, name in enumerate(names)])


def id_of(graph: Graph, name: str) -> str:
    return find(graph, name).id


def test_entities_that_are_the_same_are_brought_together_with_the_reasons(in_folder: Graph) -> None:
    load(in_folder, RIGHT, RIGHT, MISREAD, OTHER)
    done = reconcile(in_folder)
    assert (done.entities, done.resolved, done.merged) == (4, 1, 2)  # one street, three names
    assert vendors(in_folder) == [{RIGHT, MISREAD}]
    rows = in_folder.query(
        "MATCH (e:Entity)-[s:SAME_AS]->(r:Resolved) RETURN e.id, s.score, s.evidence, r.name"
    ).rows
    assert len(rows) == 2
    for id, score, told, name in rows:
        reason = json.loads(told)
        assert reason["with"] == next(other for other, *_ in rows if other != id)
        assert 0.9 <= reason["compared"]["name"] < 1
        assert 0.9 <= score <= 1
        assert name in (RIGHT, MISREAD)


def test_the_second_time_nothing_changes_and_nothing_else_ever_does(graph: Graph) -> None:
    load(graph, RIGHT, MISREAD, OTHER)
    before, counted = everything(graph), graph.counts()
    first = reconcile(graph)
    assert first.written == 3  # a group of two
    merged = everything(graph)
    assert reconcile(graph) == replace(first, written=0)
    assert everything(graph) == merged
    again = receipt(1, MISREAD, extractor="extract 2")
    graph.put("receipts", [again])
    assert vendors(graph) == [{RIGHT, MISREAD}]  # it hangs on entities, which stay
    graph.put("receipts", [receipt(1, MISREAD)])
    ids = (id_of(graph, RIGHT), id_of(graph, MISREAD))
    assert reconcile(graph, apart=[ids]).removed == 3
    assert everything(graph) == before
    assert graph.counts() == counted


def test_what_a_document_says_of_a_company_is_evidence(in_folder: Graph) -> None:
    names = ("KEDAI PAPAN YEW CHUAN", "KEDAI PAPAN YEN CHUAN")
    load(in_folder, *names)
    where = {"address": "12 Jalan Besar, 43800 Dengkil"}
    told = [
        replace(facts, entities=(replace(facts.entities[0], attributes=where), facts.entities[1]))
        for facts in (receipt(n, name) for n, name in enumerate(names))
    ]
    apart = [
        replace(facts, entities=(replace(facts.entities[0], attributes={}), facts.entities[1]))
        for facts in told
    ]
    in_folder.put("receipts", apart)
    assert reconcile(in_folder).resolved == 0
    in_folder.put("receipts", told)
    assert reconcile(in_folder).resolved == 1
    assert vendors(in_folder) == [set(names)]


def test_one_by_one_gives_the_groups_of_all_at_once(in_folder: Graph, tmp_path: Path) -> None:
    names = (RIGHT, OTHER, MISREAD, "GERBANG ALAF RESTAURANT5", "SUN FISH TRADING")
    for number, name in enumerate(names):
        in_folder.put("receipts", [receipt(number, name)])
        reconcile(in_folder)
    slowly = everything(in_folder)
    in_folder.withdraw("", [digest(n) for n in range(len(names))])
    assert reconcile(in_folder) == Resolution()
    load(in_folder, *names)
    reconcile(in_folder)
    assert everything(in_folder) == slowly
    assert len(vendors(in_folder)) == 2


def test_a_withdrawn_document_takes_with_it_the_groups_that_only_it_supported(
    in_folder: Graph,
) -> None:
    load(in_folder, RIGHT, MISREAD, "GERBANG ALAF RESTAURANT5", OTHER)
    reconcile(in_folder)
    in_folder.withdraw("receipts", [digest(1)])
    assert vendors(in_folder) == []  # at once, since the group's name may be that document's
    reconcile(in_folder)
    assert vendors(in_folder) == [{RIGHT, "GERBANG ALAF RESTAURANT5"}]
    in_folder.withdraw("receipts", [digest(2)])
    assert in_folder.counts()["Resolved"] == in_folder.counts()["SAME_AS"] == 0
    assert reconcile(in_folder).written == 0


def test_what_a_person_says_is_obeyed_by_every_later_resolution(graph: Graph, home: Path) -> None:
    load(graph, RIGHT, MISREAD, OTHER)
    database = connect(settings())

    def say(one: str, other: str, word: sameness.Word) -> None:
        sameness.say(database, id_of(graph, one), id_of(graph, other), word, who="ada")
        settle(graph)

    settle(graph)
    say(RIGHT, MISREAD, "apart")
    assert vendors(graph) == []
    graph.put("receipts", [receipt(9, MISREAD)])
    assert settle(graph).written == 0
    say(OTHER, RIGHT, "same")
    assert vendors(graph) == [{OTHER, RIGHT}]
    with pytest.raises(UsageError, match="both the same and not the same"):
        say(OTHER, MISREAD, "same")
    say(MISREAD, RIGHT, "same")  # the last word holds
    assert vendors(graph) == [{OTHER, RIGHT, MISREAD}]


def test_an_entity_is_found_by_name_and_by_the_beginning_of_its_id(in_folder: Graph) -> None:
    load(in_folder, RIGHT, OTHER)
    company = Entity("vendor", "Company", ("Twice",), {}, 0.8, evidence())
    person = Entity("buyer", "Person", ("TWICE",), {}, 0.8, evidence())
    in_folder.put("receipts", [replace(receipt(7), entities=(company, person), relations=())])
    named = find(in_folder, "gerbang alaf. restaurants")
    assert (named.kind, named.name) == ("Company", RIGHT)
    assert find(in_folder, named.id[:14]) == named
    with pytest.raises(UsageError, match="no entity"):
        find(in_folder, "...")
    with pytest.raises(UsageError, match="2 entities"):
        find(in_folder, "twice")


def test_what_another_loads_meanwhile_is_read_again(
    in_folder: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(in_folder, RIGHT, MISREAD)
    put: list[Callable[[], object]] = [lambda: in_folder.put("other", [receipt(5, OTHER)])]

    class Engine:
        where = in_folder.where
        read = staticmethod(in_folder.engine.read)

        def write(self, work):  # type: ignore[no-untyped-def]
            while put:
                put.pop()()
            return in_folder.engine.write(work)

    done = reconcile(Graph(Engine()))  # type: ignore[arg-type]
    assert (done.entities, done.merged) == (4, 2)
    assert vendors(in_folder) == [{RIGHT, MISREAD}]
