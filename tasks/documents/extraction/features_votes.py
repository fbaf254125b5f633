"""Features of agreement: between passes and readers, and between amounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from millrace.tasks.documents.extraction.candidates import Candidate
from millrace.tasks.documents.extraction.parsing import amounts, canonical
from millrace.tasks.documents.extraction.rows import Layout
from millrace.tasks.documents.extraction.scene import Numbers, Scene

_TEXTUAL = frozenset({"company", "address", "name", "person", "text"})


def voting(kind: str, found: Sequence[Candidate], scene: Scene) -> list[Numbers]:
    """Returns how many passes say what candidates say, and how sure they are of it."""
    sheets = max(len(scene.layouts), 1)
    holders: dict[str, set[int]] = {}
    times: Counter[tuple[str, int]] = Counter()
    for one in found:
        holders.setdefault(one.key, set()).add(one.sheet)
        times[one.key, one.sheet] += 1
    texts = [canonical(layout.sheet.text) for layout in scene.layouts]
    made = []
    for one in found:
        confidence = sum(s.confidence for s in one.segments) / len(one.segments)
        held = len(holders[one.key])
        verbatim = sum(one.key in text for text in texts) if kind in _TEXTUAL else held
        made.append(
            {
                "sheets": sheets,
                "share": held / sheets,
                "similar_share": verbatim / sheets,
                "occurrences": times[one.key, one.sheet],
                "confidence": confidence,
                "least_confidence": min(s.least for s in one.segments),
                "believed": float(one.sheet == 0),
                "rivals": len(holders),
            }
        )
    return made


def arithmetic(found: Sequence[Candidate], scene: Scene) -> list[Numbers]:
    """Returns how amounts add up with the others of their sheet."""
    cents = [[_cents(one.value) for one in found if one.sheet == s] for s in _sheets(scene)]
    listed = [_amounts(layout) for layout in scene.layouts]
    made = []
    for one in found:
        value = _cents(one.value)
        mine = listed[one.sheet]
        others = {amount for _, amount in mine if amount != value}
        greater = sorted((a for a in others if a > value), reverse=True)
        above = [amount for row, amount in mine if row < one.first]
        below = [amount for row, amount in mine if row > one.first]
        running = _running(above)
        made.append(
            {
                "greatest": float(bool(mine) and value >= max(a for _, a in mine)),
                "rank": len(set(greater)),
                "difference": sum(1 for a in greater if (a - value) in others and a != 2 * value),
                "change": float(any(a - b == value for a, b in pairwise(below))),
                "sum": sum(1 for a in others if 0 < a < value and (value - a) in others) / 2,
                "times": cents[one.sheet].count(value),
                "below_greater": sum(1 for a in below if a > value),
                "column_sum": float(value in running),
                "tax_sum": float(
                    any(abs(round(a * rate) - value) <= 2 for a in others for rate in _TAXED)
                ),
                "last_of_value": float(value not in below),
            }
        )
    return made


_TAXED = (1.06, 1.05, 1.07, 1.10, 1.16, 1.19, 1.20)


def _sheets(scene: Scene) -> range:
    return range(len(scene.layouts))


def _running(values: Sequence[int]) -> set[int]:
    """Returns the sums of runs of two to twelve amounts."""
    sums: set[int] = set()
    for start in range(len(values)):
        total = 0
        for length, value in enumerate(values[start : start + 12], start=1):
            total += value
            if length >= 2:
                sums.add(total)
    return sums


def _amounts(layout: Layout) -> list[tuple[int, int]]:
    return [
        (segment.row, _cents(one.value))
        for segment in layout.segments
        for one in amounts(segment.text)
        if one.form == 2
    ]


def _cents(value: str) -> int:
    return int(Decimal(value) * 100)
