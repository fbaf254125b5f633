"""One thing that was looked at, and what came of it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["ok", "note", "warn", "fail"]
LEVELS: tuple[Level, ...] = ("ok", "note", "warn", "fail")


class Finding(BaseModel):
    """`ok`: as it should be. `note`: good to know. `warn`: costs speed. `fail`: stops work.

    `text` says what is and what it costs, `fix` what to set or run ("" where nothing helps).
    """

    model_config = ConfigDict(frozen=True)

    area: str
    level: Level
    text: str
    fix: str = ""


def worst(found: Iterable[Finding]) -> Level:
    """Returns the highest level among the findings, "ok" when there are none."""
    return max((f.level for f in found), key=LEVELS.index, default="ok")


def installed(package: str) -> str:
    """Returns the version of an installed Python package, or "" (nothing is imported)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
