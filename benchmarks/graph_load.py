"""Measure loading facts into the graph, from JSON to committed, in both databases.

    python benchmarks/graph_load.py [--documents 2000] [--only neo4j|embedded]

Receipts with ten facts, two entities and two relations each, as `documents.extract` writes them,
are read from JSON and put into an empty graph: nodes and relationships a second, end to end. Then
the same again, which must change nothing. Neo4j is a server of its own, started and stopped here
(`scripts/neo4j.sh`); its first documents, while Java is still cold, are a row of their own. Ends
with exit code 1 when the limit for Neo4j is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _bench import ROOT, Row, Table

from millrace.tasks.documents import facts as contract
from millrace.tasks.documents.facts import Entity, Evidence, Fact, Facts, Relation
from millrace.tasks.documents.graph.locations import open_graph
from millrace.tasks.documents.pages import Box

_LIMIT = 5000.0
_FIELDS = (
    "company",
    "address",
    "date",
    "total",
    "tax",
    "cash",
    "change",
    "number",
    "item",
    "price",
)


def receipts(count: int, first: int = 0) -> list[bytes]:
    """Returns the JSON of the facts of `count` receipts that all differ."""
    made = []
    for number in range(first, first + count):
        found = (Evidence(1, Box(10.0, 20.0, 200.0, 40.0), "as it stands", "tesseract", "5.3.0"),)
        vendor = f"Company {number % 211} Sdn. Bhd."
        made.append(
            contract.dump(
                Facts(
                    digest=hashlib.sha256(str(number).encode()).hexdigest(),
                    name=f"receipt-{number}.jpg",
                    kind="receipt",
                    extractor="bench 1",
                    pages=1,
                    facts=tuple(
                        Fact(
                            name, f"{number}.50", "RM", 0.93, "accepted", found, methods=("regex",)
                        )
                        for name in _FIELDS
                    ),
                    entities=(
                        Entity("vendor", "Company", (vendor,), {}, 0.9, found),
                        Entity(
                            "place", "Address", (f"{number % 97}, Jalan Besar",), {}, 0.9, found
                        ),
                    ),
                    relations=(
                        Relation("issued_by", "", "vendor", 0.9, found),
                        Relation("located_at", "vendor", "place", 0.9, found),
                    ),
                )
            )
        )
    return made


def load(where: str, name: str, count: int, table: Table) -> float:
    """Returns nodes and relationships a second, of the warm database."""
    with open_graph(where) as graph:
        cold, warm = receipts(500), receipts(count, first=500)
        rates = []
        for texts in (cold, warm):
            began = time.perf_counter()
            done = graph.put("bench", [contract.load(text) for text in texts])
            rates.append(done.written / (time.perf_counter() - began))
        table.add(Row(f"{name}: the first 500 documents", rates[0], "/s", None))
        table.add(Row(f"{name}: {count} documents more", rates[1], "/s", _LIMIT))
        began = time.perf_counter()
        again = graph.put("bench", [contract.load(text) for text in warm])
        seconds = time.perf_counter() - began
        if again.changed:
            raise SystemExit(f"{name}: the same again changed {again.changed} documents")
        table.add(Row(f"{name}: the same again, nothing changed", count / seconds, "docs/s"))
        counts = graph.counts()
        if counts["Document"] != count + 500 or counts["Fact"] != 10 * (count + 500):
            raise SystemExit(f"{name}: the graph does not hold what was loaded: {counts}")
    return rates[1]


def server(word: str) -> None:
    """Starts or stops the server in the folder that NEO4J_DATA names."""
    command = ["bash", str(ROOT / "scripts" / "neo4j.sh"), word]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def main() -> int:
    """Runs the benchmark."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    asked.add_argument("--documents", type=int, default=2000)
    asked.add_argument("--only", choices=("neo4j", "embedded"))
    options = asked.parse_args()
    table = Table("limit")
    rate = _LIMIT
    with tempfile.TemporaryDirectory(prefix="millrace-graph-") as name:
        folder = Path(name)
        if options.only != "neo4j":
            load(str(folder / "embedded"), "embedded", options.documents, table)
        if options.only != "embedded":
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = str(probe.getsockname()[1])
            os.environ |= {"NEO4J_DATA": str(folder / "neo4j"), "NEO4J_PORT": port}
            server("start")
            try:
                os.environ["NEO4J_PASSWORD"] = (folder / "neo4j" / "password").read_text().strip()
                where = f"bolt://127.0.0.1:{port}"
                rate = load(where, "Neo4j", options.documents, table)
            finally:
                server("stop")
    print(f"limit for Neo4j: {_LIMIT:.0f} nodes and relationships a second, end to end")
    return 0 if rate >= _LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
