"""Finds dates, amounts and numbers in text by pattern, and says what each means.

Candidates are matched by regular expressions and then parsed here: a date finder that does both at
once was an order of magnitude slower and missed dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier januari jän",
            "feb february februar février fevrier februari",
            "mar march märz maerz mars mac mär",
            "apr april avril avr",
            "may mai mei",
            "jun june juni juin",
            "jul july juli juillet julai",
            "aug august août aout ogos",
            "sep sept september septembre",
            "oct october oktober octobre okt",
            "nov november novembre",
            "dec december dezember décembre decembre dez disember",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"""(?<![\d/.-])(?:
      (?P<y1>(?:19|20)\d\d)\s?(?P<s1>[-/.])\s?(?P<m1>\d{{1,2}})\s?(?P=s1)\s?(?P<d1>\d{{1,2}})(?!\d)
    | (?P<d2>\d{{1,2}})\s?(?P<s2>[-/.])\s?(?P<m2>\d{{1,2}})\s?(?P=s2)\s?(?P<y2>(?:19|20)\d\d|\d\d)
      (?![\d/])(?!\.\d)
    | (?P<d3>\d{{1,2}})(?:st|nd|rd|th|\.)?(?P<s3>\s?[-/.,]?\s?(?:of\s)?)(?P<m3>{_MONTH})\.?
      \s?[-/.,']?\s?(?P<y3>(?:19|20)\d\d|\d\d)(?!\d|:\d)
    | \b(?P<m4>{_MONTH})\.?\s?[-/]?\s?(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?\s?[-/,]?\s?
      (?P<y4>(?:19|20)\d\d)(?!\d)
    | (?P<y5>(?:19|20)\d\d)(?P<m5>0[1-9]|1[0-2])(?P<d5>0[1-9]|[12]\d|3[01])(?!\d)
    | (?P<y6>(?:19|20)\d\d)\s?年\s?(?P<m6>\d{{1,2}})\s?月\s?(?P<d6>\d{{1,2}})\s?日
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_CURRENCY = r"RM|MYR|USD|EUR|GBP|CHF|CNY|RMB|SGD|HKD|US\$|S\$|[$€£¥￥]"
_MONEY = re.compile(
    rf"""(?<![\w.,/-])
    (?P<minus>-\s?)?(?P<mark>{_CURRENCY})?\s?(?P<minus2>-\s?)?
    (?P<number>\d{{1,3}}(?:[,.'\s]\d{{3}})+[.,]\d\d | \d+\s?[.,]\s?\d\d
      | \d{{1,3}}(?:,\d{{3}})+ | \d+)
    (?P<after>\s?(?:{_CURRENCY}|元|圆))?(?P<tail>\s?-(?=\s*$))?(?![\d])(?![.,/:%-]\d)(?!\s?%)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER = re.compile(r"(?<![\w.,])-?\d+(?:[.,]\d+)*(?![\w])")
_KEPT = re.compile(r"[^\w]|_", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A span of a text, characters `start` up to `end`, and what it means in normal form.

    `form` is the shape it was written in, a small number that tells shapes apart. `marked` says
    that a currency stands with it.
    """

    start: int
    end: int
    value: str
    form: int = 0
    marked: bool = False


def canonical(text: str) -> str:
    """Returns a text without case, spaces and punctuation: what two values are compared by."""
    return _KEPT.sub("", text.casefold())


def dates(text: str, *, day_first: bool = True) -> Iterator[Parsed]:
    """Yields the dates in a text as ISO dates. Where day and month could be swapped, `day_first`
    decides; days that no calendar has are passed over."""
    for match in _DATE.finditer(text):
        parts = {name: part for name, part in match.groupdict().items() if part is not None}
        form = next(int(name[1]) for name in parts if name[0] == "y")
        year, month, day = (_part(parts[f"{part}{form}"]) for part in "ymd")
        if form == 2 and ((not day_first and day <= 12) or month > 12):
            month, day = day, month
        if year < 100:
            year += 2000 if year < 70 else 1900
        try:
            value = date(year, month, day).isoformat()
        except ValueError:
            continue
        yield Parsed(match.start(), match.end(), value, form)


def _part(text: str) -> int:
    return _MONTHS.get(text.casefold(), 0) if not text.isdigit() else int(text)


def amounts(text: str) -> Iterator[Parsed]:
    """Yields the amounts of money in a text as plain decimal numbers with two places.

    `form` is 2 for an amount with decimals, 0 for a whole number: most whole numbers are counts.
    """
    for match in _MONEY.finditer(text):
        number = re.sub(r"\s", "", match["number"]).replace("'", "")
        whole, cents = (number[:-3], number[-2:]) if number[-3:-2] in (".", ",") else (number, "")
        whole = re.sub(r"[.,]", "", whole)
        if not whole or len(whole) > 12:
            continue
        minus = "-" if match["minus"] or match["minus2"] or match["tail"] else ""
        value = f"{minus}{int(whole)}.{cents or '00'}"
        start = match.start("mark") if match["mark"] else match.start("number")
        end = match.end("after") if match["after"] else match.end("number")
        start = min(start, match.start("minus")) if match["minus"] else start
        marked = bool(match["mark"] or match["after"])
        yield Parsed(start, end, value, 2 if cents else 0, marked)


def numbers(text: str) -> Iterator[Parsed]:
    """Yields the numbers in a text as plain decimal numbers."""
    for match in _NUMBER.finditer(text):
        told = match.group()
        if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", told):
            told = told.replace(",", "")
        elif re.fullmatch(r"-?\d{1,3}(\.\d{3})+,\d+", told):
            told = told.replace(".", "").replace(",", ".")
        told = told.replace(",", ".")
        if told.count(".") <= 1:
            yield Parsed(match.start(), match.end(), told)


def meaning(kind: str, text: str) -> str:
    """Returns the normal form of a value of a field's type: an ISO date, a plain decimal number,
    else the text with one space between words."""
    found: Parsed | None = None
    if kind == "date":
        found = next(dates(text), None)
    elif kind == "money":
        found = max(amounts(text), key=lambda one: one.form, default=None)
    elif kind == "number":
        found = next(numbers(text), None)
    return found.value if found else " ".join(text.split())


def same(kind: str, one: str, other: str) -> bool:
    """Says whether two values of a field's type are the same: case, spaces and punctuation are
    ignored, dates and amounts are compared by what they mean."""
    if canonical(one) == canonical(other):
        return bool(canonical(one))
    if kind in ("date", "money", "number"):
        return meaning(kind, one) == meaning(kind, other)
    return False
