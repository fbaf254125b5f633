"""How good a model of labelled documents will be: each document by a model that has not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.tasks.documents.extraction import folds
from millrace.tasks.documents.extraction.extract import extract
from millrace.tasks.documents.extraction.parsing import same
from millrace.tasks.documents.extraction.schema import Schema
from millrace.tasks.documents.extraction.training import Prepared, train


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts over all fields that have a label: right ones, accepted ones, right among these."""

    labelled: int = 0
    right: int = 0
    accepted: int = 0
    accepted_right: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.labelled + other.labelled,
            self.right + other.right,
            self.accepted + other.accepted,
            self.accepted_right + other.accepted_right,
        )

    def as_json(self) -> dict[str, float]:
        """Returns them as shares."""
        return {
            "fields": self.labelled,
            "right": _share(self.right, self.labelled),
            "accepted": _share(self.accepted, self.labelled),
            "accepted right": _share(self.accepted_right, self.accepted),
        }


def crossed(
    told: Sequence[Prepared], schema: Schema, *, count: int = 3, seed: int = 0
) -> dict[str, Figures]:
    """Returns the figures of each field from `extract`, with models trained on the other parts.

    Near copies of a text are never in two parts. A field that is empty in the label is right when
    nothing is found.
    """
    split = folds.parts(folds.groups_of_texts([one.example.document for one in told]), count, seed)
    made = {field.name: Figures() for field in schema.fields}
    for part in sorted(set(split)):
        seen = [one for one, own in zip(told, split, strict=True) if own != part]
        model = train([], schema, ready=seen, seed=seed)
        for one, own in zip(told, split, strict=True):
            if own == part:
                facts = extract(one.example.document, one.annotations, schema, model).facts
                found = {fact.field: fact for fact in reversed(facts)}
                for field in schema.fields:
                    if field.name not in one.example.labels:
                        continue
                    truth, fact = one.example.labels[field.name], found.get(field.name)
                    value = fact.value if fact else ""
                    right = value == truth == "" or same(field.type, value, truth)
                    accepted = fact is not None and fact.state == "accepted"
                    made[field.name] += Figures(1, right, accepted, accepted and right)
    return made


def _share(some: int, of: int) -> float:
    return round(some / of, 4) if of else 0.0
