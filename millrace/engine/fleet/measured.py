"""What the ledger has seen of kinds on devices, by the classes of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from millrace.engine.document.catalogue import Catalogue
from millrace.engine.fleet import catalogue
from millrace.engine.fleet.advice import Measured
from millrace.engine.ledger import Row


def by_class(rows: Iterable[Row], kinds: Catalogue) -> tuple[Measured, ...]:
    """Returns the throughput of each kind on each device class, over all that was done there.

    A device that NVML names and the catalogue does not list is left out; whatever is not a GPU
    counts as `cpu`.
    """
    units: dict[tuple[str, str], float] = {}
    seconds: dict[tuple[str, str], float] = {}
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        name = _class(row.device)
        if row.state != "done" or not row.units or not row.seconds or name is None:
            continue
        key = (name, row.kind)
        units[key] = units.get(key, 0.0) + row.units
        seconds[key] = seconds.get(key, 0.0) + row.seconds
        counts[key] = counts.get(key, 0) + 1
    return tuple(
        Measured(device, kind, units[key] / seconds[key], counts[key], _unit(kind, kinds))
        for key in sorted(units)
        for device, kind in (key,)
    )


def _class(device: str) -> str | None:
    found = catalogue.named(device)
    if found is not None:
        return found.name
    return None if device.startswith("NVIDIA") else catalogue.CPU


def _unit(kind: str, kinds: Catalogue) -> str:
    found = kinds.get(kind)
    return found.cls.unit if found is not None and found.cls is not None else "unit"
