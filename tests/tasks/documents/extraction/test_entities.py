"""Entities and relations that a schema makes of facts."""

from __future__ import annotations

from millrace.tasks.documents.extraction.entities import build
from millrace.tasks.documents.extraction.schema import load_schema
from millrace.tasks.documents.facts import Evidence, Fact
from millrace.tasks.documents.pages import Box

PLACE = Evidence(1, Box(0.0, 0.0, 1.0, 1.0), "ACME", "tesseract", "5")


def fact(field: str, value: str, probability: float, path: str = "") -> Fact:
    return Fact(field, value, value, probability, "accepted", (PLACE,), path=path)


def test_a_receipt_is_issued_by_its_vendor_who_is_at_its_address() -> None:
    facts = [fact("company", "ACME", 0.9), fact("address", "1 Road", 0.8), fact("total", "9", 1.0)]
    entities, relations = build(load_schema("receipt"), facts)
    assert [(e.kind, e.names, dict(e.attributes)) for e in entities] == [
        ("Company", ("ACME",), {"address": "1 Road"}),
        ("Address", ("1 Road",), {}),
    ]
    assert [(r.kind, r.source, r.target, r.probability) for r in relations] == [
        ("ISSUED_BY", "", "vendor", 0.9),
        ("LOCATED_AT", "vendor", "place", 0.8),
    ]
    assert all(e.evidence for e in (*entities, *relations))


def test_without_a_name_there_is_no_entity_and_nothing_that_leads_to_it() -> None:
    assert build(load_schema("receipt"), [fact("total", "9.00", 1.0)]) == ((), ())


def test_a_field_with_several_values_makes_as_many_entities() -> None:
    facts = [fact("company", "ONE", 0.9, "1"), fact("company", "TWO", 0.7, "2")]
    entities, relations = build(load_schema("receipt"), facts)
    assert [e.key for e in entities] == ["vendor:1", "vendor:2"]
    assert [r.target for r in relations] == ["vendor:1", "vendor:2"]


def test_the_parties_of_a_contract_are_parties_to_the_document_in_their_roles() -> None:
    facts = [
        fact("party", "Northwind Inc.", 0.9, "1"),
        fact("party", "Blue Heron LLC", 0.7, "2"),
        fact("party_role", "Provider", 0.9, "1"),
        fact("party_role", "Customer", 0.9, "2"),
    ]
    entities, relations = build(load_schema("contract"), facts)
    assert [(e.kind, e.names[0], dict(e.attributes)) for e in entities] == [
        ("Party", "Northwind Inc.", {"role": "Provider"}),
        ("Party", "Blue Heron LLC", {"role": "Customer"}),
    ]
    assert [(r.kind, r.source, r.target, r.probability) for r in relations] == [
        ("PARTY_TO", "party:1", "", 0.9),
        ("PARTY_TO", "party:2", "", 0.7),
    ]
    assert all(one.evidence for one in relations)
