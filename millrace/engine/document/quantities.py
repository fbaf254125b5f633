"""Sizes, times and money as people write them: ``2 GiB``, ``6h``, ``07:00``, ``20 EUR``."""

from __future__ import annotations

import math
import re
from datetime import datetime, time, timedelta

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE)
_SPAN = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m(?:in)?)?\s*(?:(\d+)s)?", re.IGNORECASE)
_MONEY = re.compile(r"(?:€\s*)?(\d+(?:\.\d+)?)\s*(?:EUR|€)?", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_LARGEST_BYTES = 2**60


def size(value: object) -> int:
    """Returns bytes from ``2 GiB`` (binary), ``2 GB`` (decimal) or a whole number of bytes.

    Raises ValueError for anything else, also for a size no computer has.
    """
    match = _SIZE.fullmatch(str(value).strip()) if isinstance(value, int | str) else None
    if match is None or isinstance(value, bool):
        raise ValueError("must be a size such as 512 MiB or 2 GB")
    number, power, binary = match.groups()
    count = float(number) * float((1024 if binary else 1000) ** _POWERS[power.lower()])
    if not 0 < count <= _LARGEST_BYTES:
        raise ValueError("must be a size between 1 byte and 1024 PiB")
    return round(count)


def show_size(count: int) -> str:
    """Returns bytes in the largest binary unit that loses nothing: ``2 GiB``, ``1000 B``."""
    for unit, shift in (("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift} {unit}"
    return f"{count} B"


def duration(value: object) -> timedelta:
    """Returns the time span of ``6h``, ``1d 12h``, ``90m`` or ``45s``. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    text = value.strip() if isinstance(value, str) else ""
    match = _SPAN.fullmatch(text)
    if not text or match is None:
        raise ValueError("must be a time span such as 6h, 90m or 1d 12h")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        span = timedelta()
    if not timedelta() < span <= timedelta(days=3650):
        raise ValueError("must be a time span between 1s and 3650d")
    return span


def show_duration(span: timedelta) -> str:
    """Returns a time span as `duration` reads it: ``1d 12h``."""
    left = round(span.total_seconds())
    parts = []
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def moment(value: object) -> time | datetime:
    """Returns a time of day (``07:00``) or a date and time (ISO 8601). Raises ValueError."""
    if isinstance(value, time | datetime):
        return value
    text = value.strip() if isinstance(value, str) else ""
    clock = _CLOCK.fullmatch(text)
    try:
        if clock:
            hour, minute, second = (int(part or 0) for part in clock.groups())
            return time(hour, minute, second)
        if re.match(r"\d{4}-\d{2}-\d{2}[T ]", text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(
        "must be a time of day such as 07:00 or a date and time such as 2027-01-31T07:00"
    )


def show_moment(value: time | datetime) -> str:
    """Returns a time as `moment` reads it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.strftime("%H:%M:%S" if value.second else "%H:%M")


def euros(value: object) -> float:
    """Returns the EUR of ``20 EUR``, ``€20`` or ``20``. Raises ValueError for other currencies."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be an amount such as 20 EUR")
    text = format(value, "f") if isinstance(value, float) else str(value).strip()
    match = _MONEY.fullmatch(text)
    if match is None or not math.isfinite(amount := float(match[1])):
        raise ValueError("must be an amount in euros such as 20 EUR (no other currency)")
    return amount


def show_euros(amount: float) -> str:
    """Returns an amount as `euros` reads it, without rounding it."""
    text = format(amount, "f") if amount == round(amount, 6) else format(amount, ".17f")
    return (text.rstrip("0").rstrip(".") or "0") + " EUR"
