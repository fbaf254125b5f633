"""What a run took, from its journal into the ledger: no names, no values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.engine.cost import Price, cost
from millrace.engine.expansion import Node
from millrace.engine.journal import Record
from millrace.engine.ledger import Ledger, Row
from millrace.engine.settings import Settings


def enter(records: Iterable[Record], nodes: Mapping[str, Node], price: Price, at: Settings) -> int:
    """Writes a row for each finished batch and opened session; returns how many."""
    rows = [
        row
        for record in records
        if record.event in ("done", "opened") and record.stage in nodes
        for row in [_row(record, nodes[record.stage], price)]
    ]
    if rows:
        Ledger(at.ledger).record(rows)
    return len(rows)


def _row(record: Record, node: Node, price: Price) -> Row:
    data = record.data
    spent = cost(data["seconds"], price)
    return Row(
        at=record.at,
        kind=node.stage.kind,
        version=node.stage.version,
        device=data["device"],
        seconds=data["seconds"],
        pace=data.get("pace", ""),
        units=data.get("units", 0.0),
        load=data.get("load", 0.0),
        bytes_out=data.get("bytes", 0),
        cost=spent.amount,
        currency=spent.currency,
        state="opened" if record.event == "opened" else "done",
    )
