"""Advice on devices, and the catalogue of them, as a person or a script reads it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.engine.document.catalogue import Catalogue
from millrace.engine.errors import UsageError
from millrace.engine.fleet import advice, catalogue
from millrace.engine.fleet.advice import Advice, Measured
from millrace.engine.fleet.catalogue import DeviceClass
from millrace.engine.fleet.measured import by_class
from millrace.engine.fleet.reading import Fleet, load_fleet
from millrace.engine.ledger import Ledger
from millrace.engine.reporting.words import count, rate
from millrace.engine.settings import settings

_STYLES = {"best": "green", "fits": "green", "slow": "yellow", "no": "red"}


def advise(workload: advice.Workload, as_json: bool) -> None:
    """Prints which device classes and pools fit a workload, and why."""
    here = settings()
    fleet = load_fleet(here.fleet) if here.fleet.exists() else None
    measured = by_class(Ledger(here.ledger).rows(), Catalogue())
    on_classes = advice.classes(workload, catalogue.classes().values(), measured)
    on_pools = advice.pools(workload, fleet, measured) if fleet else ()
    if as_json:
        found = {
            "workload": workload,
            "rule": advice.RULES[workload].words,
            "currency": fleet.currency if fleet else None,
            "classes": [_plain(one) for one in on_classes],
            "pools": [_plain(one) for one in on_pools],
        }
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console()
    console.print(Text(f"{workload}: {advice.RULES[workload].words}"))
    console.print()
    if fleet is not None:
        console.print(_pools(on_pools, fleet))
        console.print()
    else:
        console.print(Text(f"no pools are declared ({here.fleet} does not exist)"))
        console.print()
    console.print(_classes(on_classes))


def devices(name: str | None, as_json: bool) -> None:
    """Prints the catalogue, or one class with its sources. Raises UsageError for no such class."""
    if name is None:
        entries = list(catalogue.classes().values())
        if as_json:
            typer.echo(json.dumps([one.model_dump(mode="json") for one in entries], indent=2))
        else:
            Console().print(_catalogue(entries))
        return
    entry = catalogue.get(name) or catalogue.named(name)
    if entry is None:
        raise UsageError(catalogue.unknown(name))
    if as_json:
        typer.echo(json.dumps(entry.model_dump(mode="json"), indent=2))
        return
    Console().print(_catalogue([entry]))
    for source in entry.sources:
        typer.echo(f"{source.figures}: {source.document}, {source.url}")


def _pools(found: tuple[Advice, ...], fleet: Fleet) -> Table:
    table = _table("pool", "device", "fits", "why", f"{fleet.currency}/h", "measured")
    for one in found:
        prices = ", ".join(f"{price:.2f} {basis}" for basis, price in one.prices.items())
        cells = (one.name, one.device.title, _verdict(one), "; ".join(one.reasons), prices)
        table.add_row(*(_text(cell) for cell in cells), _text(_measured(one.measured)))
    return table


def _classes(found: tuple[Advice, ...]) -> Table:
    table = _table("class", "device", "fits", "why", "measured")
    for one in found:
        cells = (one.name, one.device.title, _verdict(one), "; ".join(one.reasons))
        table.add_row(*(_text(cell) for cell in cells), _text(_measured(one.measured)))
    return table


def _catalogue(found: list[DeviceClass]) -> Table:
    table = _table("class", "device", "memory", "bandwidth", "FP32", "TF32", "FP16", "FP8", "INT8")
    for column in ("power", "RT cores", "NVENC", "NVDEC"):
        table.add_column(column, justify="right")
    for one in found:
        gpu = one.kind == "cuda"
        speeds = one.tflops
        table.add_row(
            one.name,
            one.title,
            f"{one.memory_gb:g} GB" if gpu else "",
            f"{one.bandwidth:,.0f} GB/s" if one.bandwidth else "",
            *(
                f"{value:g}" if value is not None else "–" if gpu else ""
                for value in (speeds.fp32, speeds.tf32, speeds.fp16, speeds.fp8, speeds.int8)
            ),
            f"{one.watts:g} W" if one.watts else "",
            *(str(value) if gpu else "" for value in (one.rt_cores, one.nvenc, one.nvdec)),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _verdict(one: Advice) -> Text:
    return Text(one.verdict, style=_STYLES[one.verdict])


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _measured(found: tuple[Measured, ...]) -> str:
    return ", ".join(
        f"{one.kind} {rate(one.units_per_second, one.unit)} ({count(one.n, 'batch')})"
        if one.n == 1
        else f"{one.kind} {rate(one.units_per_second, one.unit)} ({one.n:,} batches)"
        for one in found
    )


def _plain(one: Advice) -> dict[str, Any]:
    return {
        "name": one.name,
        "device": one.device.name,
        "title": one.device.title,
        "verdict": one.verdict,
        "reasons": list(one.reasons),
        "price_per_hour": dict(one.prices),
        "measured": [dataclasses.asdict(m) for m in one.measured],
    }
