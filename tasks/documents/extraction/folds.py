"""Documents split into parts so that those alike stay together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rapidfuzz import fuzz, process

from millrace.tasks.documents.extraction.parsing import canonical
from millrace.tasks.documents.extraction.schema import Schema
from millrace.tasks.documents.pages import Document

ALIKE = 85.0
"""Texts whose words are alike to this per cent are near copies of each other."""
SAME_NAME = 88.0


def groups_of_texts(documents: Sequence[Document]) -> list[int]:
    """Returns the number of each document's group: near copies have the same, and so have two
    readings of one file (the same digest)."""
    texts = [" ".join(sorted(document.text.upper().split())) for document in documents]
    alike = process.cdist(texts, texts, scorer=fuzz.ratio, score_cutoff=ALIKE) >= ALIKE
    digests = np.array([document.digest for document in documents])
    return _connected(alike | (digests[:, None] == digests[None, :]))


def groups_of_values(labels: Sequence[Mapping[str, str]], schema: Schema) -> list[int]:
    """Returns the number of each document's group: those of one company have the same. Where no
    field of the schema has a gazetteer, each document is a group of its own."""
    names = [field.name for field in schema.fields if field.gazetteer][:1]
    if not names:
        return list(range(len(labels)))
    values = [canonical(label.get(names[0], "")) for label in labels]
    alike = process.cdist(values, values, scorer=fuzz.ratio, score_cutoff=SAME_NAME) >= SAME_NAME
    return _connected(alike)


def parts(groups: Sequence[int], count: int, seed: int = 0) -> list[int]:
    """Returns the part, 0 up to `count`, of each document: whole groups, the largest first, each
    to the part that has least; groups of one size in an order drawn by the seed."""
    sizes = {group: groups.count(group) for group in set(groups)}
    drawn = np.random.default_rng(seed).permutation(sorted(sizes))
    filled = [0] * count
    where: dict[int, int] = {}
    for group in sorted(map(int, drawn), key=lambda g: -sizes[g]):
        least = filled.index(min(filled))
        where[group] = least
        filled[least] += sizes[group]
    return [where[group] for group in groups]


def _connected(alike: np.ndarray) -> list[int]:  # type: ignore[type-arg]
    group = list(range(len(alike)))
    for one in range(len(alike)):
        for other in np.flatnonzero(alike[one]):
            low, high = sorted((group[one], group[int(other)]))
            if low != high:
                group = [low if g == high else g for g in group]
    return group
