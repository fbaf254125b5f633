"""What is in the graph after documents were put in, replaced and withdrawn: in both databases."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from millrace.engine.errors import BadInput, UsageError
from millrace.tasks.documents.facts import Evidence, Fact, Relation
from millrace.tasks.documents.graph import model
from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.graph.loading import Receipt
from tests.tasks.documents.graph.made import digest, everything, receipt


def test_every_fact_tells_document_page_box_reader_probability_and_state(graph: Graph) -> None:
    graph.put("receipts", [receipt(1)])
    (row,) = graph.query(
        "MATCH (d:Document)-[:STATES]->(f:Fact {field: 'total'})-[at:FOUND_ON]->(p:Page) "
        "WHERE at.rank = 1 RETURN d.id, f.document, f.page, f.x0, f.y0, f.x1, f.y1, f.reader, "
        "f.version, f.probability, f.state, f.extractor, f.number, f.methods, p.number, at.reader"
    ).rows
    assert row == (
        *(digest(1), digest(1), 2, 10.0, 20.5, 110.25, 40.0, "tesseract", "5.3.0", 0.93),
        *("accepted", "extract 1", 12.5, ["regex", "layout"], 2, "rapidocr"),
    )
    for claim in ("(:Document)-[:MENTIONS]->(c:Mention)", "()-[c:RELATES]->()"):
        rows = graph.query(
            f"MATCH {claim} RETURN c.document, c.page, c.x1, c.reader, c.version, c.extractor, "
            "c.probability > 0.5, c.state"
        ).rows
        assert len(rows) == 2
        expected = (digest(1), 1, 110.25, "tesseract", "5.3.0", "extract 1", True, "extracted")
        assert set(rows) == {expected}


def test_the_same_folder_twice_changes_nothing(graph: Graph) -> None:
    many = [receipt(n) for n in range(12)]
    assert graph.put("receipts", many).added == 12
    before = everything(graph)
    again = graph.put("receipts", many)
    assert (again.changed, again.written, again.removed) == (0, 0, 0)
    assert again.unchanged == 12
    assert everything(graph) == before


def test_one_by_one_equals_all_at_once_in_any_order(graph: Graph) -> None:
    names = ["Ong Hardware Sdn. Bhd.", "ONG HARDWARE SDN BHD", "Tan & Sons"]
    many = [receipt(n, names[n % 3]) for n in range(9)]
    many.append(replace(many[4], name="a copy of it.jpg"))
    graph.put("receipts", many)
    at_once = everything(graph)
    graph.withdraw("receipts", [one.digest for one in many])
    random.Random(3).shuffle(many)
    for one in many:
        graph.put("receipts", [one])
    assert everything(graph) == at_once
    assert graph.put("receipts", many).changed == 0


def test_two_files_of_one_content_are_one_document_of_two_names(graph: Graph) -> None:
    first, second = receipt(1, name="b.jpg"), receipt(1, name="a.jpg")
    for one in (first, second, first, second):
        graph.put("receipts", [one])
    assert graph.query("MATCH (d:Document) RETURN d.name, d.names").rows == (
        ("a.jpg", ["a.jpg", "b.jpg"]),
    )


def test_a_new_extractor_replaces_its_own_facts_only(graph: Graph) -> None:
    graph.put("receipts", [receipt(1), receipt(2)])
    graph.put("audit", [receipt(1, extractor="auditor 7")])
    changed = graph.put("receipts", [receipt(1, "Ong Hardware Ltd", extractor="extract 2")])
    assert (changed.added, changed.replaced) == (0, 1)
    rows = graph.query(
        "MATCH (f:Fact {field: 'company'}) RETURN f.document, f.scope, f.extractor, f.value"
    ).rows
    assert set(rows) == {
        (digest(1), "receipts", "extract 2", "Ong Hardware Ltd"),
        (digest(1), "audit", "auditor 7", "Ong Hardware Sdn. Bhd."),
        (digest(2), "receipts", "extract 1", "Ong Hardware Sdn. Bhd."),
    }


def test_what_is_replaced_leaves_the_graph_as_if_it_had_never_been(graph: Graph) -> None:
    graph.put("receipts", [receipt(1, "Wrong Name"), receipt(2)])
    graph.put("receipts", [receipt(1)])
    mended = everything(graph)
    graph.withdraw("receipts", [digest(1), digest(2)])
    graph.put("receipts", [receipt(1), receipt(2)])
    assert everything(graph) == mended


def test_what_a_person_decided_outlives_a_new_extractor(graph: Graph) -> None:
    graph.put("receipts", [receipt(1, total="12.50", reviewed="mei 2026-11-24T10:00:00Z")])
    graph.put("receipts", [receipt(1, total="99.99", extractor="extract 2")])
    values = dict(graph.query("MATCH (f:Fact) RETURN f.field, f.value").rows)
    assert values["total"] == "12.50"
    assert graph.query(
        "MATCH (f:Fact {field: 'total'})-[at:FOUND_ON]->() RETURN f.reviewed, count(at)"
    ).rows == (("mei 2026-11-24T10:00:00Z", 2),)
    graph.put("receipts", [receipt(1, total="12.55", reviewed="li 2026-11-25T10:00:00Z")])
    assert graph.query(
        "MATCH (f:Fact {field: 'total'}) RETURN f.value, f.number, f.reviewed"
    ).rows == (("12.55", 12.55, "li 2026-11-25T10:00:00Z"),)


def test_a_withdrawn_document_takes_with_it_all_that_only_it_supported(graph: Graph) -> None:
    graph.put("receipts", [receipt(1), receipt(2)])
    before = everything(graph)
    graph.put("receipts", [receipt(3, "Only Here", reviewed="mei")])
    gone = graph.withdraw("receipts", [digest(3), "unknown"])
    assert (gone.withdrawn, gone.removed) == (1, 1 + 2 + 2 + 2 + 1)  # with "Only Here" itself
    assert everything(graph) == before
    assert graph.withdraw("receipts", [digest(3)]) == Receipt()
    graph.withdraw("receipts", [digest(1), digest(2)])
    assert not any(graph.counts().values())


def test_a_document_of_two_pipelines_stays_until_both_let_go(graph: Graph) -> None:
    graph.put("one", [receipt(1)])
    alone = everything(graph)
    graph.put("two", [receipt(1, "Another Reading", name="z.jpg", pages=3)])
    graph.withdraw("two", [digest(1)])
    assert graph.counts()["Document"] == 1
    assert set(graph.current("one")) == {digest(1)}
    assert graph.current("two") == {}
    graph.put("two", [receipt(1, "Another Reading")])
    graph.withdraw("", [digest(1)])
    assert not any(graph.counts().values())
    graph.put("one", [receipt(1)])
    assert everything(graph) == alone


def test_names_that_differ_by_case_and_points_are_one_entity_in_two_mentions(graph: Graph) -> None:
    graph.put(
        "receipts", [receipt(1, "ONG HARDWARE SDN BHD"), receipt(2, "Ong Hardware Sdn. Bhd.")]
    )
    rows = graph.query(
        "MATCH (m:Mention)-[:REFERS_TO]->(e:Entity {kind: 'Company'}) RETURN e.name, count(m)"
    ).rows
    assert rows == (("ONG HARDWARE SDN BHD", 2),)
    graph.withdraw("receipts", [digest(1)])
    assert graph.query("MATCH (e:Entity {kind: 'Company'}) RETURN e.name").rows == (
        ("Ong Hardware Sdn. Bhd.",),
    )


def test_hostile_texts_are_values_and_nothing_else(graph: Graph) -> None:
    text = "x'}) DETACH DELETE n //` \" \\ {} $rows 发票 <script>"
    facts = receipt(1, text, name=text, extractor=text)
    facts = replace(
        facts,
        kind=text,
        relations=(Relation(text, "vendor", "", 0.5, facts.relations[0].evidence),),
        facts=(*facts.facts, Fact(text, text, text, 0.5, "doubtful", (), path=text)),
    )
    graph.put(text, [facts, receipt(2)])
    assert graph.query("MATCH (d:Document) RETURN count(d)").rows == ((2,),)
    assert graph.query(
        "MATCH (f:Fact {field: $text}) RETURN f.value, f.path, f.scope", {"text": text}
    ).rows == ((text, text, text),)
    assert graph.query("MATCH (:Mention)-[r:RELATES]->(:Document) RETURN r.kind").rows == ((text,),)


def test_an_empty_document_is_a_document(graph: Graph) -> None:
    graph.put("receipts", [replace(receipt(1), facts=(), entities=(), relations=(), pages=0)])
    assert graph.counts()["Document"] == 1
    assert graph.counts()["Page"] == 0


def test_a_long_text_is_kept_whole(graph: Graph) -> None:
    clause = "whereas " * 20_000
    facts = replace(
        receipt(1, clause[:2000]), facts=(Fact("clause", clause, clause, 0.9, "accepted", ()),)
    )
    graph.put("contracts", [facts])
    assert graph.query("MATCH (f:Fact) RETURN f.value").rows == ((clause,),)


def test_a_relation_with_nobody_is_refused_and_leaves_nothing(graph: Graph) -> None:
    broken = replace(receipt(2), relations=(Relation("ISSUED_BY", "", "nobody", 0.8, ()),))
    with pytest.raises(BadInput, match="none of its entities"):
        graph.put("receipts", [receipt(1), broken])
    assert not any(graph.counts().values())
    with pytest.raises(UsageError, match="for a scope"):
        graph.put("", [receipt(1)])


def test_the_state_of_facts_is_their_content_not_name_nor_crop() -> None:
    facts = receipt(1)
    cropped = tuple(replace(fact, crop=b"jpeg") for fact in facts.facts)
    assert model.state_of(replace(facts, name="other", facts=cropped)) == model.state_of(facts)
    for other in (receipt(1, total="1"), receipt(1, extractor="2"), receipt(1, reviewed="x")):
        assert model.state_of(other) != model.state_of(facts)


@pytest.mark.parametrize(
    ("value", "number"),
    [("12.50", 12.5), ("-3", -3.0), ("1e5", None), ("2026-01-02", None), ("", None), ("1,5", None)],
)
def test_only_plain_numbers_can_be_summed(value: str, number: float | None) -> None:
    assert model.number_of(value) == number


def test_evidence_beyond_the_pages_told_still_has_its_page() -> None:
    facts = receipt(1, pages=1)
    far = (Evidence(7, facts.facts[0].evidence[0].box, "x", "r", "1"),)
    content = model.content_of(
        "s", [replace(facts, facts=(replace(facts.facts[0], evidence=far),))]
    )
    assert {row["number"] for row in content.nodes[model.PAGE]} == {1, 7}
