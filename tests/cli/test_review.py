"""`millrace review` and `millrace forget`: what a person decides is in the graph at once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.cli.app import build
from millrace.engine.errors import UsageError
from millrace.engine.settings import settings
from millrace.tasks.documents.graph.locations import open_graph
from millrace.tasks.documents.review.desk import Desk, Loaded
from millrace.tasks.documents.review.tables import connect
from tests.tasks.documents.graph.made import digest, receipt

COMPANY = "MATCH (d:Document)-[]-(f:Fact {field: 'company'}) WHERE d.name = $name "
TOLD = COMPANY + "RETURN DISTINCT f.value AS value, f.reviewed AS reviewed"


@pytest.fixture(autouse=True)
def graph(tmp_path: Path) -> str:
    """A graph in a folder with three receipts, whose doubtful companies wait on the desk."""
    where = str(tmp_path / "graph")
    loaded = [receipt(number, f"=Company {number}") for number in range(3)]
    with open_graph(where) as graph:
        graph.put("receipts", loaded)
    Desk(connect(settings())).put(Loaded(facts, "receipts", where) for facts in loaded)
    return where


def millrace(*words: str, code: int = 0) -> str:
    reply = CliRunner().invoke(build(), list(words))
    if reply.exception and not isinstance(reply.exception, SystemExit):
        raise reply.exception
    assert reply.exit_code == code, reply.output
    return reply.output


def case_of(name: str) -> str:
    listed = json.loads(millrace("review", "--json"))
    return next(str(case["case"]) for case in listed if case["document"] == name)


def in_graph(graph: str, name: str) -> list[list[str]]:
    told = millrace("graph", "query", TOLD, "--set", f"name={name}", "--graph", graph, "--json")
    rows: list[list[str]] = json.loads(told)["rows"]
    return rows


def test_only_what_is_doubtful_is_listed() -> None:
    listed = json.loads(millrace("review", "--json"))
    assert [(case["field"], case["probability"]) for case in listed] == [("company", 0.61)] * 3
    assert json.loads(millrace("review", "--json", "--field", "total")) == []
    assert "3 fields wait" in millrace("review")


def test_a_case_is_shown_with_its_place() -> None:
    told = json.loads(millrace("review", "show", case_of("receipt-1.jpg")[:10], "--json"))
    assert (told["value"], told["type"]) == ("=Company 1", "receipt")
    assert told["places"][0] == {
        "page": 1,
        "box": [10.0, 20.5, 110.25, 40.0],
        "reader": "tesseract",
    }
    assert "page 1, read by tesseract" in millrace("review", "show", case_of("receipt-1.jpg"))
    with pytest.raises(UsageError, match="nothing waits"):
        millrace("review", "show", "zzz")


def test_a_correction_is_in_the_graph_at_once_with_who_decided(graph: str) -> None:
    case = case_of("receipt-1.jpg")
    said = millrace("review", "correct", case, "ONG HARDWARE", "--who", "anna")
    assert "corrected, in 1 graph" in said
    ((value, reviewed),) = in_graph(graph, "receipt-1.jpg")
    assert value == "ONG HARDWARE"
    assert reviewed.startswith("corrected by anna, 20")
    assert in_graph(graph, "receipt-0.jpg")[0][0] == "=Company 0"
    assert "2 fields wait" in millrace("review")


def test_accepted_values_stay_and_rejected_ones_leave_the_graph(graph: str) -> None:
    millrace("review", "accept", case_of("receipt-0.jpg"), "--who", "ben")
    millrace("review", "reject", case_of("receipt-2.jpg"), "--who", "ben")
    ((value, reviewed),) = in_graph(graph, "receipt-0.jpg")
    assert value == "=Company 0"
    assert reviewed.startswith("accepted by ben")
    assert in_graph(graph, "receipt-2.jpg") == []


def test_decisions_go_through_a_spreadsheet_without_a_formula(graph: str, tmp_path: Path) -> None:
    sheet = tmp_path / "doubtful.csv"
    assert "3 cases" in millrace("review", "export", str(sheet))
    with sheet.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert {row["value"] for row in rows} == {"'=Company 0", "'=Company 1", "'=Company 2"}
    for row, answer in zip(rows, (("accept", ""), ("", "ONG"), ("", "")), strict=True):
        row["decision"], row["correction"] = answer
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert "2 decisions" in millrace("review", "import", str(sheet), "--who", "cleo")
    assert in_graph(graph, rows[0]["document"])[0][0] == plain(rows[0]["value"])
    assert in_graph(graph, rows[1]["document"])[0][0] == "ONG"
    assert "1 field waits" in millrace("review")
    again = millrace("review", "import", str(sheet))
    assert "0 decisions" in again
    assert "not waiting any more" in again


def plain(cell: str) -> str:
    return cell.removeprefix("'")


def test_a_wrong_row_is_named_and_nothing_is_taken(tmp_path: Path) -> None:
    sheet = tmp_path / "doubtful.csv"
    millrace("review", "export", str(sheet))
    sheet.write_text("id,decision,correction\nabc,accept,\nabd,perhaps,\n")
    with pytest.raises(UsageError, match=r"doubtful\.csv:3: 'perhaps' is no decision"):
        millrace("review", "import", str(sheet))
    assert "3 fields wait" in millrace("review")


def test_forget_withdraws_a_document_from_its_graph_and_says_so(graph: str) -> None:
    millrace("review", "correct", case_of("receipt-1.jpg"), "ONG", "--who", "anna")
    with pytest.raises(UsageError, match="cannot be undone"):
        millrace("forget", "receipt-1.jpg")
    card = settings().home / "models" / "receipt" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"documents": [digest(1)]}))
    said = millrace("forget", "receipt-1.jpg", "--yes")
    assert "removed from 1 graph" in said
    assert "removed 2 rows of the review queue" in said  # the document and the decision
    assert "was trained with it" in said
    assert in_graph(graph, "receipt-1.jpg") == []
    assert in_graph(graph, "receipt-0.jpg")[0][0] == "=Company 0"
    counted = json.loads(millrace("graph", "show", "--graph", graph, "--json"))["counts"]
    assert counted["Document"] == 2
    assert list(Desk(connect(settings())).decisions()) == []
