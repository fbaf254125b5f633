"""Data sensitivity: labels on references, clearances on pools and stores."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Label(IntEnum):
    """How sensitive data is; a pool's or store's clearance is the highest label it may see."""

    PUBLIC = 0
    INTERNAL = 1
    RESTRICTED = 2

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Label:
        """Returns the label named `text`. Raises ValueError for any other word."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError(f"{text!r} is no label; use public, internal or restricted") from None


UNLABELLED = Label.RESTRICTED  # data nobody labelled is treated as the most sensitive


def derived(labels: Iterable[Label]) -> Label:
    """Returns the label of what is made from sources with these labels: the highest of them."""
    return max(labels, default=UNLABELLED)


def permits(clearance: Label, label: Label) -> bool:
    """True when data of `label` may go to something of `clearance`."""
    return label <= clearance
