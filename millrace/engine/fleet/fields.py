"""Money, dates, speeds and times as people write them in `pools.yaml`; numbers are never text."""

from __future__ import annotations

import datetime
import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from millrace.engine.document import quantities

_BITS = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(?:bit/s|bps)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _day(value: object) -> object:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value} is no day of the calendar") from None
    raise ValueError("must be a date such as 2026-11-01")


def _currency(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[A-Z]{3}", value):
        return value
    raise ValueError("must be a currency's three capital letters, such as EUR")


def _source(value: object) -> object:
    if isinstance(value, str) and value.strip():
        return value
    raise ValueError("must say where the figure is from, such as a price list's address")


def _per_second(value: object) -> object:
    text = value.strip() if isinstance(value, str) else value
    bits = _BITS.fullmatch(text) if isinstance(text, str) else None
    try:
        if bits is not None:
            return quantities.size(f"{float(bits[1]) / 8:.6f} {bits[2]}B")
        return quantities.size(text.removesuffix("/s") if isinstance(text, str) else text)
    except ValueError:
        raise ValueError("must be a speed such as 100 MB/s or 1 Gbit/s") from None


def _seconds(value: object) -> object:
    if isinstance(value, str):
        try:
            return quantities.duration(value).total_seconds()
        except ValueError:
            value = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError("must be a number of seconds, or a time span such as 3m")


Day = Annotated[datetime.date, BeforeValidator(_day)]
Currency = Annotated[
    str, Field(description="ISO 4217", pattern="^[A-Z]{3}$"), BeforeValidator(_currency)
]
Source = Annotated[
    str, Field(description="where the figure is from", pattern=r"\S"), BeforeValidator(_source)
]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Speed = Annotated[
    int,
    BeforeValidator(_per_second),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["100 MB/s", "1 Gbit/s"]}),
]
Seconds = Annotated[
    float,
    Field(allow_inf_nan=False),
    BeforeValidator(_seconds),
    WithJsonSchema({"type": ["string", "number"], "examples": [180, "3m"]}),
]
Count = Annotated[int, Field(strict=True)]
