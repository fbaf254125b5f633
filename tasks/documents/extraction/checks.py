"""The checks of a schema over the values of a document: sums, dates, check digits.

A check that cannot be made, since a value is missing or no number, says nothing: it neither holds
nor fails. Check digits are python-stdnum's: ISO 13616 for IBAN; for VAT those of each country of
the European Union, of Great Britain, Switzerland and China (GB 32100-2015).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from stdnum import iban
from stdnum.ch import uid
from stdnum.cn import uscc
from stdnum.eu import vat
from stdnum.gb import vat as gb_vat
from stdnum.util import clean

from millrace.tasks.documents.extraction.schema import Check, Field, Schema
from millrace.tasks.documents.facts import Fact

_DIGITS: Mapping[str, tuple[Callable[[str], bool], ...]] = {
    "iban": (iban.is_valid,),
    "vat": (vat.is_valid, gb_vat.is_valid, uid.is_valid, uscc.is_valid),
}


def evaluate(
    schema: Schema, values: Mapping[str, Sequence[str]], today: datetime.date
) -> dict[str, dict[str, bool]]:
    """Returns for each field the checks it takes part in, and whether they hold.

    `values` are normalised: ISO dates, plain decimal numbers. `today` is what `past` counts from.
    """
    found: dict[str, dict[str, bool]] = {}
    for name, check in schema.checks.items():
        holds = _holds(check, values, today)
        if holds is not None:
            for field in (check.field, *check.of):
                found.setdefault(field, {})[name] = holds
    for declared in schema.fields:
        if digits := _digits(declared, values.get(declared.name, ())):
            found.setdefault(declared.name, {})["check digits"] = all(digits)
    return found


def checked(schema: Schema, facts: Iterable[Fact], today: datetime.date) -> tuple[Fact, ...]:
    """Returns facts with the checks each takes part in."""
    listed = tuple(facts)
    values: dict[str, list[str]] = {}
    for fact in listed:
        values.setdefault(fact.field, []).append(fact.value)
    found = evaluate(schema, values, today)
    return tuple(
        replace(fact, checks={**(fact.checks or {}), **found[fact.field]})
        if fact.field in found
        else fact
        for fact in listed
    )


def valid(kind: str, value: str) -> bool | None:
    """Returns whether the check digits of a value hold; None for fields without such digits."""
    known = _DIGITS.get(kind)
    return None if known is None else any(bool(holds(value)) for holds in known)


def compact(value: str) -> str:
    """Returns a number as it is compared: without spaces and punctuation, in upper case."""
    return str(clean(value, " -./,:'")).strip().upper()


def _digits(field: Field, values: Sequence[str]) -> list[bool]:
    return [holds for value in values if (holds := valid(field.type, value)) is not None]


def _holds(check: Check, values: Mapping[str, Sequence[str]], today: datetime.date) -> bool | None:
    if check.type == "past":
        dates = _dates(values.get(check.field, ()))
        return all(date <= today for date in dates) if dates else None
    if check.type == "before":
        first, later = _dates(values.get(check.field, ())), _dates(values.get(check.of[0], ()))
        return max(first) <= min(later) if first and later else None
    total = _numbers(values.get(check.field, ()))
    if len(total) != 1:
        return None
    parts = [_numbers(values.get(name, ())) for name in check.of]
    if check.type == "sum":
        summed = sum((sum(part, Decimal(0)) for part in parts), Decimal(0))
        known = all(parts)
    else:
        known = all(len(part) == 1 for part in parts)
        summed = parts[0][0] - sum((p[0] for p in parts[1:]), Decimal(0)) if known else Decimal(0)
    return abs(summed - total[0]) <= Decimal(str(check.tolerance)) if known else None


def _numbers(values: Iterable[str]) -> list[Decimal]:
    found = []
    for value in values:
        try:
            found.append(Decimal(value))
        except InvalidOperation:
            continue
    return [number for number in found if number.is_finite()]


def _dates(values: Iterable[str]) -> list[datetime.date]:
    found = []
    for value in values:
        try:
            found.append(datetime.date.fromisoformat(value))
        except ValueError:
            continue
    return found


def weighed(schema: Schema, facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Returns facts surer by the checks that hold and less sure by those that fail.

    Those of a trained ranking, which knows of sums and is calibrated, stay as they are. Check
    digits that hold leave a 97th of the doubt (a wrong number has them by chance), a sum that
    holds an eighth; whatever fails leaves three fifths of the probability. Dates that are in the
    past are no evidence. The figures are set by reasoning, not calibrated.
    """
    return tuple(replace(fact, probability=_weighed(schema, fact)) for fact in facts)


def _weighed(schema: Schema, fact: Fact) -> float:
    sure = fact.probability
    if "ranking" in fact.methods:
        return sure
    for name, holds in sorted((fact.checks or {}).items()):
        check = schema.checks.get(name)
        if not holds:
            sure *= 0.6
        elif check is None:
            sure = 1 - (1 - sure) / 97
        elif check.type in ("sum", "difference"):
            sure = 1 - (1 - sure) / 8
    return round(min(sure, 0.995), 4)
