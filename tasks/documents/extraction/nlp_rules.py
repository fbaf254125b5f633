"""What Spark NLP looks for, taken from schemas: patterns, keywords and known values. Pure.

A field that has synonyms and values of a shape (dates, amounts, numbers) gets a pattern of both: a
synonym and the value that follows it. One without synonyms gets the shape alone. Patterns are
written for Python and translated for Java, so that both read them alike.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from millrace.tasks.documents.extraction.schema import Field, Schema

Target = tuple[str, str]
"""A schema's name and the name of one of its fields."""

VERSION = 1
SHAPES: Mapping[str, str] = {
    "date": (
        r"(?<!\d)(?:\d{1,2}\s?[./-]\s?\d{1,2}\s?[./-]\s?(?:\d{4}|\d{2})"
        r"|\d{4}\s?[./-]\s?\d{1,2}\s?[./-]\s?\d{1,2}|\d{4}年\d{1,2}月\d{1,2}日"
        r"|\d{1,2}\.?[\s-]{0,2}[^\W\d_]{3,9}[\s.,-]{0,2}\d{2,4}"
        r"|[^\W\d_]{3,9}\.?\s\d{1,2},?\s\d{4})(?!\d)"
    ),
    "money": r"(?<![\d.,])-?\d{1,3}(?:[ .,']?\d{3})*[.,]\s?\d{2}(?![\d])",
    "number": r"(?<![\d.,])-?\d{1,9}(?:[.,]\d{1,6})?(?![\d])",
    "id": r"(?<![\w-])(?=[\w/.-]*\d)[A-Z0-9][A-Z0-9/.-]{2,30}(?!\w)",
    "iban": r"\b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{2,4}){3,8}\b",
    "vat": r"\b[A-Z]{2}\s?[A-Z0-9](?:[ .]?[A-Z0-9]){6,11}\b",
}
_BETWEEN = r"[^\S\n]{0,6}[:：.#=]{0,2}[^\S\n]{0,12}(?:RM|EUR|USD|CNY|MYR|[€$£¥￥])?[^\S\n]{0,3}"
_HAN = re.compile(r"[㐀-鿿豈-﫿]")


@dataclass(frozen=True)
class Pattern:
    """A regular expression, and the fields whose value it finds. Its first group, where there is
    one, is the value."""

    expression: str
    targets: tuple[Target, ...]

    @property
    def java(self) -> str:
        """The expression as `java.util.regex` reads it: named groups are written otherwise, and
        classes such as \\w are told to mean what they mean in Python."""
        told = self.expression.replace("(?P<", "(?<")
        return "(?iuU)" + re.sub(r"\(\?P=(\w+)\)", r"\\k<\1>", told)

    @cached_property
    def python(self) -> re.Pattern[str]:
        """The expression as Python reads it."""
        return re.compile(self.expression, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word or phrase, in small letters, that stands for fields however it is written."""

    text: str
    targets: tuple[Target, ...]

    def stands_alone(self, text: str, start: int, end: int) -> bool:
        """Whether it is no part of a longer word. Han has no spaces: there it always is alone."""
        if _HAN.search(self.text):
            return True
        before, after = text[start - 1 : start], text[end : end + 1]
        return not (_letter(before) and _letter(text[start])) and not (
            _letter(after) and _letter(text[end - 1])
        )


@dataclass(frozen=True)
class Rules:
    """All that is looked for. `known` are known values by field."""

    patterns: tuple[Pattern, ...] = ()
    keywords: tuple[Keyword, ...] = ()
    known: Mapping[Target, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides what is found."""
        told = [
            VERSION,
            [[p.expression, p.targets] for p in self.patterns],
            [[k.text, k.targets] for k in self.keywords],
            sorted([list(target), list(values)] for target, values in self.known.items()),
        ]
        return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


def rules_of(
    schemas: Sequence[Schema], known: Mapping[Target, Sequence[str]] | None = None
) -> Rules:
    """Returns the rules of schemas, and of the values that are known for their fields."""
    patterns: dict[str, dict[Target, None]] = {}
    keywords: dict[str, dict[Target, None]] = {}
    for schema in schemas:
        for one in schema.fields:
            target = (schema.name, one.name)
            for expression in _expressions(one):
                patterns.setdefault(expression, {})[target] = None
            for synonym in one.synonyms:
                keywords.setdefault(small(synonym), {})[target] = None
    values = {
        target: tuple(sorted({value for value in told if value.strip()}))
        for target, told in sorted((known or {}).items())
    }
    return Rules(
        tuple(Pattern(text, tuple(targets)) for text, targets in patterns.items()),
        tuple(Keyword(text, tuple(targets)) for text, targets in keywords.items() if text.strip()),
        {target: told for target, told in values.items() if told},
    )


def _expressions(one: Field) -> list[str]:
    told = list(one.patterns)
    shape = SHAPES.get(one.type)
    if shape and one.synonyms:
        cues = "|".join(_spaced(text) for text in sorted(one.synonyms, key=len, reverse=True))
        told.append(rf"(?<![^\W\d_])(?:{cues}){_BETWEEN}({shape})")
    elif shape:
        told.append(shape)
    return told


def groups(keywords: Sequence[Keyword]) -> list[list[tuple[int, Keyword]]]:
    """Returns the keywords with their numbers, none of a group within another or overlapping it.

    EntityRuler loses a keyword where another could follow on from it and then does not: of `total`
    and `total amount` it finds nothing in `total 12.50`, of `grand total` and `total amount`
    nothing in `grand total 12.50`.
    """
    made: list[list[tuple[int, Keyword]]] = []
    for number, one in sorted(enumerate(keywords), key=lambda told: (len(told[1].text), told[0])):
        home = next(
            (g for g in made if not any(_collide(other.text, one.text) for _, other in g)), None
        )
        if home is None:
            home = []
            made.append(home)
        home.append((number, one))
    return made


def _collide(one: str, other: str) -> bool:
    return one in other or other in one or _runs_on(one, other) or _runs_on(other, one)


def _runs_on(one: str, other: str) -> bool:
    """Whether a text ends as another begins; one Latin letter does not count."""
    for length in range(1, min(len(one), len(other))):
        if one.endswith(other[:length]) and (length > 1 or _HAN.match(other)):
            return True
    return False


def small(text: str) -> str:
    """Returns a text in small letters, as long as it was."""
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)


def _spaced(text: str) -> str:
    return r"\s{1,3}".join(re.escape(word) for word in text.split())


def _letter(text: str) -> bool:
    return text.isalpha() and not _HAN.match(text)
