"""Doubtful facts on the desk, decisions and what they do, sheets for a spreadsheet."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.errors import StoreError, UsageError
from millrace.engine.settings import settings
from millrace.tasks.documents.facts import Evidence, Fact, Facts
from millrace.tasks.documents.pages import Box
from millrace.tasks.documents.review import sheets
from millrace.tasks.documents.review.deciding import decide
from millrace.tasks.documents.review.desk import Desk, Loaded
from millrace.tasks.documents.review.tables import connect, file_of

PLACE = Evidence(1, Box(10.0, 20.0, 110.0, 40.0), "RM 9.00", "tesseract psm 6", "5.3.0")


def fact(field: str, value: str, probability: float) -> Fact:
    doubt = "accepted" if probability >= 0.9 else "doubtful"
    return Fact(field, value, value, probability, doubt, (PLACE,), crop=b"picture")


def receipt(digest: str = "a" * 64, name: str = "one.pdf") -> Facts:
    facts = (
        fact("total", "9.00", 0.97),
        fact("company", "BOOK TA", 0.6),
        fact("date", "2018", 0.4),
    )
    return Facts(digest, name, "receipt", "receipt 1", 1, facts)


@pytest.fixture
def desk() -> Desk:
    return Desk(connect(settings()))


def put(desk: Desk, *documents: Facts) -> int:
    return desk.put(Loaded(one, "receipts/load", "") for one in documents)


def test_doubtful_facts_wait_and_certain_ones_do_not(desk: Desk) -> None:
    assert put(desk, receipt()) == 2
    assert [case.fact.field for case in desk.cases()] == ["date", "company"]
    assert desk.count() == {("receipt", "company"): 1, ("receipt", "date"): 1}
    assert [case.fact.field for case in desk.cases(field="company")] == ["company"]


def test_the_same_document_twice_changes_nothing(desk: Desk) -> None:
    put(desk, receipt())
    before = desk.cases()
    assert put(desk, receipt()) == 2
    assert desk.cases() == before


def test_a_decision_holds_when_the_document_is_extracted_anew(desk: Desk) -> None:
    put(desk, receipt())
    desk.decide(desk.cases(field="company")[0], "corrected", value=" BOOK TA .K ", who="anna")
    desk.decide(desk.cases(field="date")[0], "rejected", who="anna")
    other = fact("company", "B00K", 0.2)
    anew = replace(receipt(), extractor="receipt 2", facts=(other, fact("date", "2019", 0.3)))
    assert put(desk, anew) == 0
    (company,) = desk.decided(anew).facts
    assert (company.value, company.probability, company.state) == ("BOOK TA .K", 1.0, "accepted")
    assert company.reviewed.startswith("corrected by anna, 20")
    assert company.raw == "B00K" and company.crop == b""


def test_the_last_decision_holds_and_all_are_kept_with_who_and_when(desk: Desk) -> None:
    put(desk, receipt())
    case = desk.cases(field="company")[0]
    desk.decide(case, "accepted", who="anna")
    desk.decide(case, "corrected", value="BOOK TA .K", who="ben")
    told = [(d.verdict, d.before, d.value, d.who) for d in desk.decisions()]
    assert told == [
        ("accepted", "BOOK TA", "BOOK TA", "anna"),
        ("corrected", "BOOK TA", "BOOK TA .K", "ben"),
    ]
    assert all(d.at > 1_700_000_000 for d in desk.decisions())
    assert {f.field: f.value for f in desk.decided(receipt()).facts}["company"] == "BOOK TA .K"


def test_a_decision_goes_to_every_graph_the_document_is_in(desk: Desk) -> None:
    desk.put([Loaded(receipt(), "a/load", "one"), Loaded(receipt(), "b/load", "two")])
    written: list[Loaded] = []
    done = decide(desk, desk.cases()[0], "accepted", who="anna", put=written.append)
    assert done.graphs == 2
    assert [(one.scope, one.graph) for one in written] == [("a/load", "one"), ("b/load", "two")]
    assert {f.field: f.state for f in written[0].facts.facts}["date"] == "accepted"


def test_a_graph_that_is_down_does_not_lose_the_decision(desk: Desk) -> None:
    put(desk, receipt())

    def down(loaded: Loaded) -> None:
        raise StoreError("the graph does not answer")

    done = decide(desk, desk.cases()[0], "accepted", who="anna", put=down)
    assert (done.graphs, done.troubles) == (0, ("the graph does not answer",))
    assert len(desk.cases()) == 1


def test_a_case_is_found_by_the_beginning_of_its_id(desk: Desk) -> None:
    put(desk, receipt())
    case = desk.cases()[0]
    assert desk.case(case.id[:8]) == case
    for wrong in ("", "zzz", "%", "_"):
        with pytest.raises(UsageError):
            desk.case(wrong)
    with pytest.raises(UsageError):
        desk.decide(case, "corrected", value="  ", who="anna")


def test_what_is_forgotten_is_nowhere_in_the_file(desk: Desk) -> None:
    put(desk, receipt(), replace(receipt("b" * 64, "two.pdf"), facts=(fact("company", "B2", 0.5),)))
    secret = replace(receipt(), facts=(fact("company", "QUITE SECRET LTD", 0.5),))
    put(desk, secret)
    desk.decide(desk.cases()[0], "accepted", who="anna")
    assert b"QUITE SECRET" in file_of(settings()).read_bytes()
    gone = desk.forget("a" * 64)
    assert gone == {"documents": 1, "waiting": 0, "decisions": 1}
    assert b"QUITE SECRET" not in file_of(settings()).read_bytes()
    assert [case.facts.name for case in desk.cases()] == ["two.pdf"]


def test_the_queue_is_its_owners_alone(desk: Desk) -> None:
    assert file_of(settings()).stat().st_mode & 0o077 == 0


def test_a_sheet_comes_back_with_decisions(desk: Desk, tmp_path: Path) -> None:
    put(desk, replace(receipt(name="=HYPERLINK(1)"), facts=receipt().facts))
    sheet = tmp_path / "doubtful.csv"
    assert sheets.write(desk.cases(), sheet) == 2
    with sheet.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert {row["document"] for row in rows} == {"'=HYPERLINK(1)"}
    assert list(sheets.read(sheet)) == []
    rows[0]["decision"], rows[1]["correction"] = "accept", "'=SUM LTD"
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, sheets.HEADER)
        writer.writeheader()
        writer.writerows(rows)
    accepted, corrected = sheets.read(sheet)
    assert (accepted.verdict, corrected.verdict) == ("accepted", "corrected")
    assert (corrected.case, corrected.value) == (rows[1]["id"], "=SUM LTD")


@pytest.mark.parametrize("decision", ["maybe", "correct"])
def test_a_wrong_row_is_named_and_nothing_is_taken(tmp_path: Path, decision: str) -> None:
    sheet = tmp_path / "wrong.csv"
    sheet.write_text(f"id,decision,correction\nabc,{decision},\n")
    with pytest.raises(UsageError, match=r"wrong\.csv:2"):
        list(sheets.read(sheet))


@given(st.text())
def test_no_cell_is_a_formula_and_each_comes_back(cell: str) -> None:
    assert not sheets.neutral(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert sheets.plain(sheets.neutral(cell)) == cell
