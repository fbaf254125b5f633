"""Candidates that say the same put together, across passes and readers, the likeliest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millrace.tasks.documents.extraction.candidates import Candidate
from millrace.tasks.documents.extraction.features import Matrix


@dataclass(frozen=True)
class Choice:
    """A value, the candidates that say it (the best first), and the log odds of the best."""

    key: str
    odds: float
    candidates: tuple[Candidate, ...]
    share: float

    @property
    def best(self) -> Candidate:
        """The candidate the value is taken from."""
        return self.candidates[0]


def chosen(found: Sequence[Candidate], odds: Matrix, sheets: int) -> list[Choice]:
    """Returns the values of a field by their odds, the likeliest first; ties by value."""
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(found):
        groups.setdefault(one.key, []).append(index)
    made = []
    for key, indexes in groups.items():
        ordered = sorted(indexes, key=lambda i: (-odds[i], found[i].sheet, found[i].spans))
        share = len({found[i].sheet for i in indexes}) / max(sheets, 1)
        made.append(Choice(key, float(odds[ordered[0]]), tuple(found[i] for i in ordered), share))
    return sorted(made, key=lambda choice: (-choice.odds, choice.key))


def signals(choices: Sequence[Choice]) -> list[float]:
    """Returns what the probability of the first choice is calibrated from: its log odds, the
    distance to the second, and the share of sheets that say it."""
    if not choices:
        return [-9.0, 0.0, 0.0]
    first = choices[0]
    second = choices[1].odds if len(choices) > 1 else -9.0
    return [
        float(np.clip(first.odds, -9.0, 9.0)),
        float(np.clip(first.odds - second, 0.0, 9.0)),
        first.share,
    ]
