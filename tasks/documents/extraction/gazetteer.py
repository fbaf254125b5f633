"""Known values of fields, and which of them a text is most like.

A gazetteer is learnt from labelled documents and from what people corrected. It also knows which
values go together: a company and its address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rapidfuzz import fuzz, process

from millrace.tasks.documents.extraction.parsing import canonical


@dataclass(frozen=True)
class Near:
    """The known value that a text is most like: how much, 0 to 1, and how often it was seen."""

    value: str
    likeness: float
    seen: int


@dataclass(frozen=True)
class Gazetteer:
    """Known values by field, and how often each was seen.

    `together` has, for a field's value in canonical form, the other values of the documents it was
    seen in: `(field, canonical value)`.
    """

    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    together: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = field(default_factory=dict)

    @cached_property
    def _keys(self) -> dict[str, tuple[list[str], list[str]]]:
        found = {}
        for name, counted in self.values.items():
            told = sorted(counted)
            found[name] = ([canonical(value) for value in told], told)
        return found

    @cached_property
    def _seen(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        for name, counted in self.values.items():
            found[name] = Counter()
            for value, times in counted.items():
                found[name][canonical(value)] += times
        return found

    def nearest(self, name: str, text: str, *, least: float = 0.0) -> Near | None:
        """Returns the known value of a field that a text is most like, if at least `least`."""
        keys, told = self._keys.get(name, ([], []))
        key = canonical(text)
        if not keys or not key:
            return None
        found = process.extractOne(key, keys, scorer=fuzz.ratio, score_cutoff=100 * least)
        if found is None:
            return None
        match, score, index = found
        return Near(told[index], score / 100, self._seen[name][match])

    def companions(self, name: str, value: str) -> tuple[tuple[str, str], ...]:
        """Returns the values that were seen with a known value: `(field, canonical value)`."""
        return self.together.get((name, canonical(value)), ())

    def with_documents(self, labels: Iterable[Mapping[str, str]]) -> Gazetteer:
        """Returns the gazetteer that also knows the values of these documents."""
        values = {name: Counter(counted) for name, counted in self.values.items()}
        together = {key: set(others) for key, others in self.together.items()}
        for label in labels:
            told = [(name, value) for name, value in label.items() if canonical(value)]
            for name, value in told:
                values.setdefault(name, Counter())[value] += 1
                others = {(n, canonical(v)) for n, v in told if n != name}
                together.setdefault((name, canonical(value)), set()).update(others)
        return Gazetteer(
            {name: dict(counted) for name, counted in values.items()},
            {key: tuple(sorted(others)) for key, others in together.items()},
        )

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain data."""
        return {
            "values": {name: dict(sorted(v.items())) for name, v in sorted(self.values.items())},
            "together": [
                [*key, [list(other) for other in others]]
                for key, others in sorted(self.together.items())
            ],
        }


def gazetteer_of(told: Mapping[str, Any]) -> Gazetteer:
    """Returns the gazetteer of plain data."""
    return Gazetteer(
        {str(n): {str(v): int(c) for v, c in vs.items()} for n, vs in told["values"].items()},
        {(str(n), str(v)): tuple((str(a), str(b)) for a, b in o) for n, v, o in told["together"]},
    )


def likeness(text: str, others: Sequence[str]) -> float:
    """Returns how much a text is like the most alike of others, 0 to 1, both in canonical form."""
    found = process.extractOne(text, others, scorer=fuzz.ratio) if text and others else None
    return found[1] / 100 if found else 0.0
