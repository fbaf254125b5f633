"""Scans to a graph, all of it real: read, extracted on Spark, loaded into both databases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from millrace.tasks.documents.graph.locations import open_graph
from tests.engine.runs.conftest import Workshop
from tests.neo4j_server import Neo4jServer

PIPELINE = """
version: 1
name: papers
label: restricted
inputs:
  papers: {files: "in/*.jpg"}
stages:
  pages: {uses: documents.read, each: papers, with: {languages: [eng], speed: fast}}
  facts: {uses: documents.extract, each: pages, with: {schemas: [contract, receipt]}}
  graph:
    uses: documents.load
    all: facts
    with: {scope: papers, graph: "GRAPH", withdraw: true}
outputs:
  receipt: {from: graph, to: out/receipt.json}
"""
PARTIES = (
    'MATCH (f:Fact {field: "party"})-[:FOUND_ON]->(:Page) '
    "RETURN DISTINCT f.value AS value ORDER BY value"
)


def _receipt(shop: Workshop) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shop.folder / "out" / "receipt.json").read_text())
    return found


def _parties(where: str) -> list[str]:
    with open_graph(where) as graph:
        return [str(row[0]) for row in graph.query(PARTIES).rows]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_folder_of_scans_becomes_a_graph_here_and_on_a_server_and_stays_in_step(
    sample: Path, tmp_path: Path, neo4j: Neo4jServer
) -> None:
    shop, here = Workshop(tmp_path), str(tmp_path / "graph")
    for name in ("contracts/service_agreement.jpg", "receipts/receipt_611.jpg"):
        shutil.copy(sample / "documents" / name, shop.folder / "in")
    shop.file("rotten.jpg", b"\xff\xd8\xff not a picture")
    text = PIPELINE.replace("GRAPH", here)

    first = shop.run(text)
    assert {f.item for f in first.failures} == {"rotten.jpg"}
    assert (_receipt(shop)["added"], _receipt(shop)["absent"]) == (2, 1)
    parties = ["Fernhill Document Services Ltd", "Harbour Light Logistics Ltd"]
    assert _parties(here) == parties

    shop.run(text)
    again = _receipt(shop)
    assert (again["unchanged"], again["written"], again["removed"]) == (2, 0, 0)
    assert {e["stage"] for e in shop.events("done")} == {"graph"}

    shop.run(text.replace(here, neo4j.address))  # only the load is left to do
    assert {e["stage"] for e in shop.events("done")} == {"graph"}
    assert _parties(neo4j.address) == parties
    for run in shop.runs:
        for path in (p for p in run.folder.rglob("*") if p.is_file()):
            assert neo4j.password.encode() not in path.read_bytes(), path

    (shop.folder / "in" / "service_agreement.jpg").unlink()
    assert shop.run(text, limit=1).items["failed"] == 0
    assert _receipt(shop)["withdrawn"] == 0
    shop.run(text)
    assert _receipt(shop)["withdrawn"] == 1
    assert _parties(here) == []
    with open_graph(neo4j.address) as graph:
        graph.withdraw("papers", list(graph.current("papers")))
