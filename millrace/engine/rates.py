"""What past batches teach about the next: seconds = overhead + load / rate. Pure arithmetic.

A few outliers (a machine that slept, a cold cache) move neither figure. Where the loads of the past
do not differ enough to tell the two apart, all the time counts as work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

HALF_LIFE_ROWS = 20  # a row this much older than the newest counts half
_PAIRED_ROWS = 60  # the older ones weigh an eighth at most, and pairs grow with the square
_LEAST_ROWS = 5
_LEAST_STEP = 0.1
_LEAST_SPREAD = 1.5  # the largest load over the smallest


@dataclass(frozen=True)
class Rate:
    """How fast a kind works on a device, from `n` rows of the ledger or from the kind's prior.

    A batch takes `overhead_seconds` whatever its load, and a session `start_seconds` to open.
    """

    load_per_second: float
    start_seconds: float
    n: int
    source: Literal["ledger", "prior"]
    overhead_seconds: float = 0.0


def fit(loads: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Returns (load per second, overhead in seconds) of batches given newest first, all above zero.

    It is the estimate of Theil and Sen: the median of the slopes between all pairs whose loads
    differ by a tenth or more, new ones weighing more. Without a slope, or with an overhead below
    zero, it is the median of the ratios, large batches weighing more. Raises ValueError when there
    are no batches.
    """
    plain = recent_median([load / s for load, s in zip(loads, seconds, strict=True)], loads), 0.0
    if len(loads) < _LEAST_ROWS or max(loads) < _LEAST_SPREAD * min(loads):
        return plain
    points = list(zip(loads, seconds, strict=True))[:_PAIRED_ROWS]
    slopes = [
        ((t - s) / (b - a), _weight(n) * _weight(m))
        for n, (a, s) in enumerate(points)
        for m, (b, t) in enumerate(points[:n])
        if abs(b - a) >= _LEAST_STEP * max(a, b)
    ]
    if not slopes or not (slope := _weighted_median(slopes)) > 0:
        return plain
    rest = recent_median([s - slope * load for load, s in zip(loads, seconds, strict=True)])
    speed = 1 / slope
    return (speed, rest) if rest > 0 and speed < float("inf") else plain


def recent_median(values: Sequence[float], sizes: Sequence[float] | None = None) -> float:
    """Returns the median of values given newest first, each weighing less than the one before.

    The weight halves every HALF_LIFE_ROWS values, and grows with `sizes` where they are given. A
    few outliers (a machine that slept, a cold cache) do not move it. Raises ValueError when there
    are no values.
    """
    if not values:
        raise ValueError("no values have no median")
    each = sizes if sizes is not None else [1.0] * len(values)
    pairs = zip(values, each, strict=True)
    return _weighted_median([(v, size * _weight(age)) for age, (v, size) in enumerate(pairs)])


def _weight(age: int) -> float:
    return float(0.5 ** (age / HALF_LIFE_ROWS))


def _weighted_median(pairs: Sequence[tuple[float, float]]) -> float:
    weighted = sorted(pairs)
    half = sum(weight for _, weight in weighted) / 2
    below = 0.0
    for value, weight in weighted:
        below += weight
        if below >= half:
            return value
    return weighted[-1][0]
