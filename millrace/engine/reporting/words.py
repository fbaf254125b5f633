"""Figures in words a person reads at a glance, and text that cannot command a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_KIB = 1024
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def safe(text: str) -> str:
    """Returns text without what would move a cursor, colour or reverse it: file names may hold
    escape sequences and direction overrides."""
    return "".join(_visible(c) if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)


def duration(seconds: float) -> str:
    """Returns `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def size(count: float) -> str:
    """Returns `12 B`, `3.4 MiB`."""
    value, unit = float(count), 0
    while value >= _KIB and unit < len(_UNITS) - 1:
        value, unit = value / _KIB, unit + 1
    return f"{value:.0f} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def number(value: float) -> str:
    """Returns `1,234`, or one decimal below ten where there is a fraction."""
    return f"{value:,.1f}" if value < 10 and value != round(value) else f"{value:,.0f}"


def count(value: float, noun: str) -> str:
    """Returns `1 item`, `2 items`."""
    plural = noun if value == 1 or noun.endswith("s") else f"{noun}s"
    return f"{number(value)} {plural}"


def rate(units: float, noun: str) -> str:
    """Returns `24.5 frames/s`; per minute or hour where a second is too short."""
    for per, seconds in (("s", 1), ("min", _MINUTE), ("h", _HOUR)):
        if units * seconds >= 1 or per == "h":
            return f"{number(units * seconds)} {count(2, noun).split()[1]}/{per}"
    return ""


def counts(items: Mapping[Any, int]) -> str:
    """Returns `3 done, 1 reused, 0 failed`."""
    return ", ".join(f"{items.get(word, 0):,} {word}" for word in ("done", "reused", "failed"))


def _visible(char: str) -> str:
    code = ord(char)
    if char in "\u200c\u200d":  # joiners are part of how some scripts and emoji are written
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
