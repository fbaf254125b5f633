"""What a source of candidates found: a span of a sheet, the field it may be, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """A possible value of a field: characters `start` up to `end` of the sheet that was given.

    `value` is normalised as the field's type wants it (ISO dates, plain decimals), `raw` as it
    stands. `method` names the source: "key", "table", "clause". `score`, 0 to 1, is a careful guess
    of how often such a find is right; it is not calibrated. `path` tells values of a field with
    many apart: the number of the row or of the occurrence, from 1.
    """

    field: str
    value: str
    raw: str
    start: int
    end: int
    method: str
    score: float
    path: str = ""
