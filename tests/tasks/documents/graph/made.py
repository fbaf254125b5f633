"""Facts of receipts that never were, for the tests of the graph."""

from __future__ import annotations

import hashlib

from millrace.tasks.documents.facts import Entity, Evidence, Fact, Facts, Relation
from millrace.tasks.documents.graph import contents
from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.pages import Box


def digest(number: int) -> str:
    return hashlib.sha256(f"receipt {number}".encode()).hexdigest()


def evidence(page: int = 1, text: str = "RM 12.50") -> tuple[Evidence, ...]:
    box = Box(10.0, 20.5, 110.25, 40.0)
    return (
        Evidence(page, box, text, "tesseract", "5.3.0"),
        Evidence(page, box, text + ".", "rapidocr", "3.10"),
    )


def receipt(
    number: int,
    company: str = "Ong Hardware Sdn. Bhd.",
    *,
    total: str = "12.50",
    name: str = "",
    extractor: str = "extract 1",
    reviewed: str = "",
    pages: int = 2,
) -> Facts:
    """Returns the facts of a receipt: two facts, two entities, two relations."""
    return Facts(
        digest=digest(number),
        name=name or f"receipt-{number}.jpg",
        kind="receipt",
        extractor=extractor,
        pages=pages,
        facts=(
            Fact(
                *("total", total, f"RM {total}", 0.93, "accepted", evidence(pages)),
                methods=("regex", "layout"),
                checks={"sums": True},
                alternatives=(("72.50", 0.04),),
                reviewed=reviewed,
            ),
            Fact("company", company, company.upper(), 0.61, "doubtful", evidence(1, company)),
        ),
        entities=(
            Entity("vendor", "Company", (company,), {"registration": "1-X"}, 0.8, evidence()),
            Entity("place", "Address", ("12, Jalan Besar",), {}, 0.7, evidence()),
        ),
        relations=(
            Relation("ISSUED_BY", "", "vendor", 0.8, evidence()),
            Relation("located_at", "vendor", "place", 0.7, evidence()),
        ),
    )


def everything(graph: Graph) -> object:
    """Returns all nodes and edges of a graph, in an order that is always the same."""

    def read(run):  # type: ignore[no-untyped-def]
        ids = [row["id"] for row in run("MATCH (d:Document) RETURN d.id AS id ORDER BY d.id")]
        content = contents.read(run, ids)
        return {
            **{node.label: rows for node, rows in content.nodes.items()},
            **{f"{e.source} {e.type} {e.target}": rows for e, rows in content.edges.items()},
        }

    return graph.engine.read(read)
