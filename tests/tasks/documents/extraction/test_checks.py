"""Sums, dates and check digits, and what cannot be checked."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from millrace.tasks.documents.extraction.checks import checked, compact, evaluate, valid, weighed
from millrace.tasks.documents.extraction.schema import Check, Field, Schema
from millrace.tasks.documents.facts import Fact

TODAY = datetime.date(2026, 1, 31)


def fields(**types: str) -> tuple[Field, ...]:
    return tuple(Field(type=kind, name=name) for name, kind in types.items())  # type: ignore[arg-type]


SCHEMA = Schema(
    name="x",
    fields=fields(
        total="money", line="money", tax="money", date="date", due="date", account="iban"
    ),
    checks={
        "adds up": Check(type="sum", field="total", of=("line", "tax")),
        "not in the future": Check(type="past", field="date"),
        "due after": Check(type="before", field="date", of=("due",)),
    },
)


def test_a_total_that_is_the_sum_of_lines_and_tax_holds() -> None:
    values = {"total": ["10.60"], "line": ["4.00", "6.00"], "tax": ["0.60"]}
    assert evaluate(SCHEMA, values, TODAY)["total"] == {"adds up": True}
    values["tax"] = ["0.70"]
    assert evaluate(SCHEMA, values, TODAY)["line"] == {"adds up": False}


def test_a_check_that_cannot_be_made_says_nothing() -> None:
    assert evaluate(SCHEMA, {"total": ["10.60"]}, TODAY) == {}
    assert evaluate(SCHEMA, {"total": ["ten"], "line": ["10"]}, TODAY) == {}
    assert evaluate(SCHEMA, {"date": ["soon"]}, TODAY) == {}


@pytest.mark.parametrize(("date", "holds"), [("2026-01-31", True), ("2026-02-01", False)])
def test_a_date_in_the_future_fails(date: str, holds: bool) -> None:
    assert evaluate(SCHEMA, {"date": [date]}, TODAY)["date"] == {"not in the future": holds}


def test_what_is_due_before_it_was_written_fails() -> None:
    found = evaluate(SCHEMA, {"date": ["2026-01-20"], "due": ["2026-01-10"]}, TODAY)
    assert found["due"] == {"due after": False}


def test_check_digits_are_checked_without_being_asked() -> None:
    good, bad = "DE89 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"
    assert evaluate(SCHEMA, {"account": [good]}, TODAY)["account"] == {"check digits": True}
    assert evaluate(SCHEMA, {"account": [bad]}, TODAY)["account"] == {"check digits": False}
    assert valid("vat", "DE136695976") and not valid("vat", "DE136695977")
    assert valid("money", "1") is None


def test_facts_get_the_checks_they_take_part_in() -> None:
    fact = Fact("date", "2027-01-01", "1.1.2027", 0.9, "accepted", ())
    (found,) = checked(SCHEMA, [fact], TODAY)
    assert found.checks == {"not in the future": False}


@pytest.mark.parametrize("number", ["DE136695976", "GB 980 7806 84", "91110000600037341L"])
def test_tax_numbers_of_several_countries_are_known_by_their_digits(number: str) -> None:
    assert valid("vat", number)
    assert not valid("vat", number.replace("6", "7", 1))


def test_numbers_are_compared_without_spaces_and_marks() -> None:
    assert compact("de 89 3704-0044") == "DE8937040044"


def a_fact(field: str, probability: float, **checks: bool) -> Fact:
    told = {name.replace("_", " "): holds for name, holds in checks.items()}
    return Fact(field, "1", "1", probability, "doubtful", (), checks=told)


def test_what_checks_say_makes_a_fact_surer_or_less_sure() -> None:
    facts = (
        a_fact("total", 0.6, adds_up=True),
        a_fact("total", 0.6, adds_up=False),
        a_fact("account", 0.6, check_digits=True),
        a_fact("date", 0.6, not_in_the_future=True),
    )
    summed, broken, account, past = (one.probability for one in weighed(SCHEMA, facts))
    assert broken < 0.6 < summed < account < 1
    assert past == 0.6


def test_a_calibrated_probability_is_left_alone() -> None:
    fact = replace(a_fact("total", 0.6, adds_up=False), methods=("ranking", "voting"))
    assert weighed(SCHEMA, [fact]) == (fact,)


@pytest.mark.parametrize("sure", [0.0, 0.3, 0.89, 1.0])
def test_weighed_probabilities_stay_probabilities(sure: float) -> None:
    for holds in (True, False):
        (one,) = weighed(SCHEMA, [a_fact("total", sure, adds_up=holds, check_digits=holds)])
        assert 0 <= one.probability <= 1


def test_a_sum_of_which_a_part_was_not_found_says_nothing() -> None:
    assert "total" not in evaluate(SCHEMA, {"total": ["6.00"], "line": ["6.00"]}, TODAY)
    assert "total" not in evaluate(SCHEMA, {"total": ["7.00"], "line": ["6.00"]}, TODAY)
