"""What words tell: how much likelier a word stands in a field than elsewhere, and how it is spelt.

Both are learnt from labelled documents. Digits count by their number only, so that a postcode is
like any other postcode.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[@#%$:]", re.UNICODE)
_SMOOTH = 0.5
_CLEARLY = 4  # times as often as the next a word is seen that a slip is mended by
_CONFUSED = {"0": "O", "1": "I", "5": "S", "8": "B", "6": "G", "2": "Z"}


def tokens(text: str) -> list[str]:
    """Returns the words of a text in upper case, each run of digits as as many zeros."""
    return ["0" * len(t) if t.isdigit() else t.upper() for t in _TOKEN.findall(text)]


@dataclass(frozen=True)
class Lexicon:
    """For each name (a field, or its surroundings), how often words stood there and elsewhere.

    `spelling` counts the words of values as they are rightly written; `ends` the last words of the
    values of each field: the legal form of a company.
    """

    inside: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    outside: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    spelling: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @cached_property
    def _weights(self) -> dict[str, dict[str, float]]:
        return {name: self._weighed(name) for name in {*self.inside, *self.outside}}

    def _weighed(self, name: str) -> dict[str, float]:
        here, there = self.inside.get(name, {}), self.outside.get(name, {})
        known = {*here, *there}
        total = sum(here.values()) + _SMOOTH * (len(known) + 1)
        rest = sum(there.values()) + _SMOOTH * (len(known) + 1)
        return {
            token: math.log((here.get(token, 0) + _SMOOTH) / total)
            - math.log((there.get(token, 0) + _SMOOTH) / rest)
            for token in known
        }

    def weights(self, name: str, text: str) -> list[float]:
        """Returns the log odds of each word of a text to stand in a field, 0 for unknown ones."""
        known = self._weights.get(name)
        if not known:
            return []
        return [known.get(token, 0.0) for token in tokens(text)]

    @cached_property
    def _words(self) -> list[str]:
        return sorted(word for word, seen in self.spelling.items() if len(word) >= 3 and seen >= 2)

    def spelt(self, text: str) -> str:
        """Returns a text with each unknown word mended that is a slip or two away from one
        well-known word; the text itself where there is nothing to mend."""
        return re.sub(r"[^\W_]{3,}", lambda match: self._mended(match.group()), text)

    def _mended(self, word: str) -> str:
        upper = word.upper()
        if upper in self.spelling or word.isdigit() or not self._words:
            return word
        if sum(letter.isdigit() for letter in upper) * 2 > len(upper):
            return word
        slips = 1 if len(upper) < 8 else 2
        lettered = "".join(_CONFUSED.get(letter, letter) for letter in upper)
        if lettered in self.spelling:
            return lettered
        found = process.extract(
            upper, self._words, scorer=Levenshtein.distance, score_cutoff=slips, limit=6
        )
        near = [str(known) for known, distance, _ in found if distance == found[0][1]]
        near.sort(key=lambda known: -self.spelling[known])
        if not near:
            return word
        if len(near) > 1 and self.spelling[near[0]] < _CLEARLY * self.spelling[near[1]]:
            return word
        return near[0]

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain data."""
        return {
            "inside": _sorted(self.inside),
            "outside": _sorted(self.outside),
            "spelling": dict(sorted(self.spelling.items())),
            "ends": _sorted(self.ends),
        }


def lexicon_of(told: Mapping[str, Any]) -> Lexicon:
    """Returns the lexicon of plain data."""
    return Lexicon(told["inside"], told["outside"], told["spelling"], told["ends"])


@dataclass
class LexiconMaker:
    """Counts words for a lexicon."""

    inside: dict[str, Counter[str]] = field(default_factory=dict)
    outside: dict[str, Counter[str]] = field(default_factory=dict)
    spelling: Counter[str] = field(default_factory=Counter)
    ends: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, name: str, text: str, *, within: bool) -> None:
        """Counts the words of a text as standing in a field, or elsewhere."""
        counted = (self.inside if within else self.outside).setdefault(name, Counter())
        counted.update(tokens(text))

    def spell(self, name: str, value: str) -> None:
        """Counts the words of a right value as rightly spelt."""
        words = re.findall(r"[^\W\d_]+", value.upper())
        self.spelling.update(words)
        if words:
            self.ends.setdefault(name, Counter())[words[-1]] += 1

    def made(self, *, least: int = 1) -> Lexicon:
        """Returns the lexicon of all words counted, those seen `least` times at least."""
        return Lexicon(
            {name: dict(counted) for name, counted in self.inside.items()},
            {
                name: {
                    word: times
                    for word, times in counted.items()
                    if times >= least or word in self.inside.get(name, ())
                }
                for name, counted in self.outside.items()
            },
            dict(self.spelling),
            {name: dict(counted) for name, counted in self.ends.items()},
        )


def strongest(weights: Sequence[float]) -> tuple[float, float, float]:
    """Returns the mean, the least and the greatest of weights; zeros for none."""
    if not weights:
        return 0.0, 0.0, 0.0
    return sum(weights) / len(weights), min(weights), max(weights)


def _sorted(counted: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(words.items())) for name, words in sorted(counted.items())}


def known_ends(lexicon: Lexicon, name: str) -> Iterable[str]:
    """Returns the words that end at least two values of a field."""
    return (word for word, seen in lexicon.ends.get(name, {}).items() if seen >= 2)
