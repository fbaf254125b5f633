"""Odds turned into probabilities that mean what they say, and the threshold of acceptance.

Platt scaling (1999) with the distance to the second choice and the readers' agreement as further
signals; fitted on documents that the ranking was not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from millrace.tasks.documents.extraction.features import Matrix

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """The weights of the signals, and the constant: `p = 1 / (1 + exp(-(w·s + c)))`, kept between
    `least` and `most`, since few documents cannot show certainty."""

    weights: tuple[float, ...] = (1.0, 0.0, 0.0)
    constant: float = 0.0
    least: float = 0.01
    most: float = 0.99

    def probability(self, signals: Sequence[float]) -> float:
        """Returns the probability that a choice with these signals is right."""
        total = sum(w * s for w, s in zip(self.weights, signals, strict=True)) + self.constant
        return float(np.clip(1 / (1 + np.exp(-total)), self.least, self.most))

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain data."""
        return {
            "weights": list(self.weights),
            "constant": self.constant,
            "least": self.least,
            "most": self.most,
        }


def calibration_of(told: dict[str, Any]) -> Calibration:
    """Returns the calibration of plain data."""
    return Calibration(
        tuple(map(float, told["weights"])), float(told["constant"]), told["least"], told["most"]
    )


def fitted(signals: Sequence[Sequence[float]], right: Sequence[bool]) -> Calibration:
    """Returns the calibration of signals and whether their choices were right.

    With fewer than eight documents, or all right or all wrong, the signals say nothing: the
    probability is then the share of right ones, drawn towards a half as by two documents more.
    """
    count, hits = len(right), sum(right)
    share = (hits + 1) / (count + 2)
    most = min(0.995, 1 - 1 / (count + 2))
    if count < 8 or hits in (0, count):
        return Calibration((0.0, 0.0, 0.0), float(np.log(share / (1 - share))), 0.01, most)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=500)
    model.fit(np.array(signals), np.array(right))
    return Calibration(tuple(map(float, model.coef_[0])), float(model.intercept_[0]), 0.01, most)


def expected_error(probabilities: Sequence[float], right: Sequence[bool]) -> float:
    """Returns the expected calibration error: ten bins of equal width, the distance between mean
    probability and share of right ones, weighted by size (Naeini et al. 2015)."""
    told, hits = np.array(probabilities), np.array(right, dtype=float)
    if not len(told):
        return 0.0
    bins = np.minimum((told * BINS).astype(int), BINS - 1)
    total = 0.0
    for index in range(BINS):
        inside = bins == index
        if inside.any():
            total += inside.mean() * abs(told[inside].mean() - hits[inside].mean())
    return float(total)


def threshold(probabilities: Sequence[float], right: Sequence[bool], *, accuracy: float) -> float:
    """Returns the least probability from which on choices are right often enough; 1 for none."""
    order = sorted(zip(probabilities, right, strict=True), key=lambda one: -one[0])
    hits, best = 0, 1.0
    for count, (probability, is_right) in enumerate(order, start=1):
        hits += is_right
        last_of_equal = count == len(order) or order[count][0] < probability
        if last_of_equal and hits / count >= accuracy and count >= 10:
            best = probability
    return best


def bootstrap(right: Matrix, *, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % interval of a mean; whole documents (a row each) are drawn with
    replacement."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(right), (draws, len(right)))
    means = np.sort(right[drawn].reshape(draws, -1).mean(axis=1))
    return float(means[int(0.025 * draws)]), float(means[int(0.975 * draws)])
