"""Where a run's work went on a fleet, told from its journal: decisions, assignments, moves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from millrace.engine.cost import Money
from millrace.engine.journal import Record
from millrace.engine.reporting.words import count, duration, number, size

_RESTS_ON = {"ledger": " (by the ledger)", "prior": " (a guess)"}
_TOLD = {
    "placed": "placed",
    "assigned": "sent",
    "moved": "moved",
    "closed": "closed",
    "recut": "cut anew",
}


def rows(records: Iterable[Record], stage: str | None) -> Iterator[dict[str, Any]]:
    """Yields one row for each decision, assignment, move and end on a fleet, by time.

    `stage` None: of all stages. `why` is in words, `detail` holds the record's own figures: for a
    decision its groups with every pool's verdict, and the snapshot that it was made on.
    """
    for record in records:
        if record.event not in _TOLD or not _on_fleet(record):
            continue
        detail = dict(record.data)
        if record.event == "placed":
            groups = [g for g in detail["groups"] if stage in (None, g["stage"])]
            if not groups:
                continue
            detail["groups"] = groups
        elif stage not in (None, record.stage):
            continue
        yield {
            "at": record.at,
            "stage": record.stage or (stage or ", ".join(_stages(detail))),
            "item": record.item,
            "key": "",
            "what": _TOLD[record.event],
            "why": _words(record.event, detail),
            "detail": detail,
        }


def lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yields a row of `rows` as lines for a person."""
    moment = time.strftime("%H:%M:%S", time.localtime(row["at"]))
    yield f"{moment}  {row['stage']}  {row['what']}: {row['why']}"
    if row["what"] != "placed":
        return
    currency = row["detail"]["snapshot"]["currency"]
    for group in row["detail"]["groups"]:
        yield f"    {group['stage']}, {group['label']}, for {_sort(group['device'])}"
        if group["refused"]:
            yield f"      no pool may run it: {group['refused']['reason']}"
        for verdict in group["pools"]:
            yield f"      {verdict['pool']}: {_verdict(verdict, currency)}"
    for why, batches in row["detail"]["waiting"].items():
        yield f"    {_batches(batches)} waited: {why}"
    yield "    the fleet was then:"
    for pool in row["detail"]["snapshot"]["pools"]:
        yield f"      {pool['pool']}: {_state(pool, currency)}"


def _on_fleet(record: Record) -> bool:
    """True for what tells of pools; a run on this host alone writes `assigned`, too."""
    return record.event in ("placed", "recut") or "pool" in record.data


def _stages(detail: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(group["stage"] for group in detail["groups"]))


def _words(event: str, detail: Mapping[str, Any]) -> str:
    currency = str(detail.get("currency", ""))
    if event == "placed":
        return _division(detail)
    if event == "recut":
        return f"for processors: {detail.get('why', '')}"
    where = f"{detail['assignment']} to {_place(detail)}"
    if event == "assigned":
        about = f"about {duration(detail.get('seconds', 0.0))}"
        money = Money(amount=detail.get("cost", 0.0), currency=currency)
        return f"{where}: {_batches(detail.get('keys', 0))}, {about}, {money}"
    where = f"{detail['assignment']} from {_place(detail)}"
    if event == "moved":
        return f"{where}: {detail.get('why', '')}"
    held = duration(detail.get("held", 0.0))
    return f"{detail['assignment']} in {_place(detail)}: {detail.get('state', '')} after {held}"


def _division(detail: Mapping[str, Any]) -> str:
    chosen: dict[str, int] = {}
    for group in detail["groups"]:
        for verdict in group["pools"]:
            if verdict["chosen"]:
                chosen[verdict["pool"]] = chosen.get(verdict["pool"], 0) + verdict["chosen"]
    parts = [f"{_batches(batches)} to {pool}" for pool, batches in chosen.items()]
    late = "; the deadline cannot be met" if detail.get("late") else ""
    return (", ".join(parts) or "nowhere for now") + late


def _place(detail: Mapping[str, Any]) -> str:
    basis = str(detail.get("basis") or "").replace("_", " ")
    return f"{detail['pool']} ({basis})" if basis else str(detail["pool"])


def _verdict(verdict: Mapping[str, Any], currency: str) -> str:
    if verdict["chosen"]:
        said = f"takes {_batches(verdict['chosen'])}"
    elif verdict["rule"]:
        reason = str(verdict["reason"]).removeprefix(f"{verdict['pool']}: ")
        said = f"no, {verdict['rule']}: {reason}"
    else:
        said = "fits"
    if not verdict["basis"]:
        return said
    price = Money(amount=verdict["price"], currency=currency)
    cost = Money(amount=verdict["cost"], currency=currency)
    basis = str(verdict["basis"]).replace("_", " ")
    rests = _RESTS_ON.get(verdict.get("speed", ""), "")
    alone = f"all of it there: {duration(verdict['seconds'])}{rests}, {cost}"
    wait = f", after {duration(verdict['queue'])}" if verdict["queue"] else ""
    return f"{said}; {basis} at {price} an hour; {alone}{wait}"


def _state(pool: Mapping[str, Any], currency: str) -> str:
    if not pool["up"]:
        return f"down, {pool['why_down']}"
    facts = [f"{pool['free']} of {count(pool['slots'], 'slot')} free"]
    facts += ["no machine up yet"] if pool["cold"] else []
    facts += [f"{duration(pool['backlog'])} of work before it"] if pool["backlog"] else []
    facts += [] if pool["reachable"] else ["its store out of reach"]
    facts += [f"avoided for {', '.join(pool['avoided'])}"] if pool["avoided"] else []
    vram = f" {size(pool['vram'])}" if pool["vram"] else ""
    prices = [
        f"{Money(amount=price, currency=currency)} {basis.replace('_', ' ')}"
        for basis, price in pool["prices"].items()
    ]
    facts += [f"{pool['device']}{vram}", f"cleared for {pool['clearance']}", *prices]
    return ", ".join(facts)


def _batches(n: int) -> str:
    return "1 batch" if n == 1 else f"{number(n)} batches"


def _sort(device: str) -> str:
    return "GPUs" if device == "cuda" else "processors"
