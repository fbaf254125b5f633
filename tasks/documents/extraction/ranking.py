"""Trees that rank candidates: trained by scikit-learn, kept as plain JSON, walked by numpy.

Gradient boosting (Friedman 2001) on histograms as scikit-learn does it; nothing is pickled, and
scikit-learn is needed for training only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millrace.tasks.documents.extraction.features import FEATURES, Matrix

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Trees:
    """Binary trees, a row each, padded to the largest: at a node the feature `feature` is compared
    with `threshold`, less or equal goes `left`; a leaf points to itself and is worth `value`.

    The sum over all trees and `base` are the log odds.
    """

    base: float
    depth: int
    feature: Ints
    threshold: Matrix
    left: Ints
    right: Ints
    value: Matrix

    def odds(self, features: Matrix) -> Matrix:
        """Returns the log odds of each row of features (columns as in `FEATURES`)."""
        if not len(features):
            return np.zeros(0)
        trees = np.arange(len(self.feature))[:, None]
        node = np.zeros((len(self.feature), len(features)), dtype=np.int32)
        rows = np.arange(len(features))[None, :]
        for _ in range(self.depth):
            seen = features[rows, self.feature[trees, node]]
            lower = seen <= self.threshold[trees, node]
            node = np.where(lower, self.left[trees, node], self.right[trees, node])
        total: Matrix = self.base + self.value[trees, node].sum(axis=0)
        return total

    def as_json(self) -> dict[str, Any]:
        """Returns them as plain data; features by name, so that a model outlives their order."""
        return {
            "base": self.base,
            "depth": self.depth,
            "trees": [
                {
                    "feature": [FEATURES[i] for i in feature[:size]],
                    "threshold": threshold[:size].tolist(),
                    "left": left[:size].tolist(),
                    "right": right[:size].tolist(),
                    "value": value[:size].tolist(),
                }
                for feature, threshold, left, right, value, size in zip(
                    self.feature, self.threshold, self.left, self.right, self.value,
                    self._sizes(), strict=True,
                )
            ],
        }  # fmt: skip

    def _sizes(self) -> list[int]:
        """Returns how many nodes each tree has: the greatest child of any node, and the root."""
        return [int(max(a.max(), b.max())) + 1 for a, b in zip(self.left, self.right, strict=True)]


def trees_of(told: Mapping[str, Any]) -> Trees:
    """Returns the trees of plain data. Raises KeyError for features this version has not."""
    index = {name: position for position, name in enumerate(FEATURES)}
    rows = [
        (
            [index[name] for name in tree["feature"]],
            tree["threshold"], tree["left"], tree["right"], tree["value"],
        )
        for tree in told["trees"]
    ]  # fmt: skip
    return _packed(float(told["base"]), int(told["depth"]), rows)


def mean(several: Sequence[Trees]) -> Trees:
    """Returns trees whose log odds are the mean of those of several. Raises ValueError for none."""
    share = 1 / len(several)
    rows = [
        (*columns, share * value)
        for trees in several
        for *columns, value in zip(
            trees.feature, trees.threshold, trees.left, trees.right, trees.value, strict=True
        )
    ]
    base = share * sum(trees.base for trees in several)
    return _packed(base, max(trees.depth for trees in several), rows)


def _packed(base: float, depth: int, rows: Sequence[tuple[Sequence[Any], ...]]) -> Trees:
    most = max((len(row[0]) for row in rows), default=1)
    padded = [
        np.array([[*column, *([0] * (most - len(column)))] for column in columns], dtype=kind)
        for columns, kind in zip(
            zip(*rows, strict=True),
            (np.int32, np.float64, np.int32, np.int32, np.float64),
            strict=True,
        )
    ]
    return Trees(base, depth, *padded)


def trained(
    features: Matrix,
    right: NDArray[np.bool_],
    *,
    columns: Sequence[int] | None = None,
    rounds: int = 90,
    seed: int = 0,
) -> Trees:
    """Returns trees trained to tell right candidates from wrong ones by some columns."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    kept = list(columns) if columns is not None else list(range(features.shape[1]))
    model = boosted(rounds, seed)
    with threadpool_limits(1):  # its threads spin where cores are shared
        model.fit(features[:, kept], right)
    return exported(model, kept)


def boosted(rounds: int, seed: int) -> Any:
    """Returns scikit-learn's learner with the settings that won in cross-validation."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=rounds,
        learning_rate=0.07,
        max_leaf_nodes=12,
        min_samples_leaf=12,
        l2_regularization=2.0,
        max_features=0.4,
        early_stopping=False,
        random_state=seed,
    )


def exported(model: Any, kept: Sequence[int]) -> Trees:
    """Returns the trees of a fitted learner, `kept` being the columns it saw.

    scikit-learn has no public way to its histogram trees: this one function knows where they are.
    """
    rows: list[tuple[list[Any], ...]] = []
    depth = 1
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        own = np.arange(len(nodes))
        feature = [kept[i] for i in np.where(leaf, 0, nodes["feature_idx"])]
        threshold = np.where(leaf, 0.0, nodes["num_threshold"])
        left = np.where(leaf, own, nodes["left"])
        right = np.where(leaf, own, nodes["right"])
        value = np.where(leaf, nodes["value"], 0.0)
        depth = max(depth, int(nodes["depth"].max()) + 1)
        rows.append((feature, *(column.tolist() for column in (threshold, left, right, value))))
    base = float(np.ravel(model._baseline_prediction)[0])
    return _packed(base, depth, rows)
