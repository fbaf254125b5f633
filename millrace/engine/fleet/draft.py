"""The data of `pools.yaml` to its parts, each checked for itself; a wrong one stops no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from millrace.engine.document import parts
from millrace.engine.document.problems import Finding, likely, shown
from millrace.engine.document.specs import Name, Part
from millrace.engine.fleet.fields import Currency
from millrace.engine.fleet.pools import (
    HOME,
    Alerts,
    Exchange,
    FleetSpec,
    Floor,
    PoolSpec,
    Spend,
    StoreSpec,
)

VERSION = 1
SECTIONS = tuple(FleetSpec.model_fields)

BLANKS: Mapping[str, Any] = {
    "where": "local", "cores": 4096, "memory": 1 << 60, "store": HOME, "prices": {}, "paths": (),
}  # fmt: skip
"""What stands for a wrong or missing key, so that nothing else is said about it."""


class Header(Part):
    """What stands at the top beside the sections."""

    version: int
    name: Name = "fleet"
    currency: Currency = "EUR"


@dataclass(frozen=True)
class Draft:
    """The parts of a fleet. A part that is wrong is None (its name is known all the same).

    `broken` holds the sections that could not be read at all. `currency` is None where it is wrong.
    `data` is all of it as it was written.
    """

    data: Mapping[str, Any]
    currency: str | None
    broken: frozenset[str] = frozenset()
    exchange: Mapping[str, Exchange | None] = field(default_factory=dict)
    stores: Mapping[str, StoreSpec | None] = field(default_factory=dict)
    pools: Mapping[str, PoolSpec | None] = field(default_factory=dict)
    floors: tuple[Floor | None, ...] = ()
    monthly_budget: Spend | None = None
    alerts: Alerts | None = None


def read(data: Mapping[str, Any]) -> tuple[Draft, list[Finding]]:
    """Returns the parts of a fleet and what is wrong with each for itself."""
    unknown = [key for key in data if key not in SECTIONS]
    found = [parts.unknown_section(key, SECTIONS, "a fleet") for key in unknown]
    broken = {likely(key, SECTIONS) for key in unknown} - set(data)
    broken |= {key for key in ("stores", "pools") if not isinstance(data.get(key), dict | None)}
    header = {key: data[key] for key in Header.model_fields if key in data}
    wrong_before = len(found)
    top = parts.part(Header, header, (), "a fleet", found)
    bad = {finding.where[0] for finding in found[wrong_before:] if finding.where}
    if top is not None and top.version != VERSION and "version" in header:
        message = f"this Millrace reads version {VERSION}, not {top.version}"
        found.append(Finding(("version",), message))
    draft = Draft(
        data=data,
        currency=None if top is None or "currency" in bad else top.currency,
        broken=frozenset(broken),
        exchange=parts.section(Exchange, data, "exchange", "an exchange rate", found),
        stores=parts.section(StoreSpec, data, "stores", "a store", found),
        pools=parts.section(PoolSpec, data, "pools", "a pool", found, BLANKS),
        floors=_floors(data.get("floors"), found),
        monthly_budget=_single(Spend, data, "monthly_budget", found),
        alerts=_single(Alerts, data, "alerts", found),
    )
    return draft, found


def _single(
    model: type[parts.P], data: Mapping[str, Any], name: str, found: list[Finding]
) -> parts.P | None:
    if data.get(name) is None:
        return None
    return parts.part(model, data[name], (name,), repr(name), found)


def _floors(data: Any, found: list[Finding]) -> tuple[Floor | None, ...]:
    if data is None:
        return ()
    if not isinstance(data, list):
        message = f"'floors' must be a list (- {{paths: …, label: …}}), not {shown(data)}"
        found.append(Finding(("floors",), message))
        return ()
    return tuple(
        parts.part(Floor, entry, ("floors", number), "a floor", found, BLANKS)
        for number, entry in enumerate(data)
    )


def settled(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the data without keys that have no value."""
    return {key: value for key, value in data.items() if value is not None}


def of_model(model: BaseModel, key: str) -> bool:
    """True when `key` was given and not left to its default."""
    return key in model.model_fields_set
