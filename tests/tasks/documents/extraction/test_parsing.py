"""Dates, amounts and numbers as they stand in documents, and what they mean."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.tasks.documents.extraction.parsing import amounts, canonical, dates, numbers, same

DAYS = st.dates(datetime.date(1990, 1, 1), datetime.date(2060, 12, 31))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("DATE: 25/12/2018 8:13:39 PM", "2018-12-25"),
        ("12-01-19 21:13 SH01", "2019-01-12"),
        ("05 JAN 2017", "2017-01-05"),
        ("OCT 3, 2016", "2016-10-03"),
        ("20180428", "2018-04-28"),
        ("2016/05/01", "2016-05-01"),
        ("14/JUN/2017", "2017-06-14"),
        ("12.10.2018", "2018-10-12"),
        ("3. März 2021", "2021-03-03"),
        ("开票日期: 2023年05月17日", "2023-05-17"),
    ],
)
def test_a_date_is_found_however_it_is_written(text: str, value: str) -> None:
    assert [one.value for one in dates(text)] == [value]


@pytest.mark.parametrize("text", ["TEL 07-3523888", "31/02/2018", "V031-551345", "10.30.12.5"])
def test_what_no_calendar_has_is_no_date(text: str) -> None:
    assert list(dates(text)) == []


def test_day_and_month_change_places_where_the_schema_says_so() -> None:
    assert next(dates("03/04/2018")).value == "2018-04-03"
    assert next(dates("03/04/2018", day_first=False)).value == "2018-03-04"


@given(DAYS, st.sampled_from(["%d/%m/%Y", "%d-%m-%Y", "%Y-%m-%d", "%d.%m.%Y", "%d %b %Y"]))
def test_every_day_is_read_back_from_every_form(day: datetime.date, form: str) -> None:
    text = f"on {day.strftime(form)} at noon"
    (found,) = dates(text)
    assert found.value == day.isoformat()
    assert text[found.start : found.end] == day.strftime(form)


@pytest.mark.parametrize(
    ("text", "value", "raw"),
    [
        ("RM 1,234.50", "1234.50", "RM 1,234.50"),
        ("1.234,50 EUR", "1234.50", "1.234,50 EUR"),
        ("-RM 0.02", "-0.02", "-RM 0.02"),
        ("$8.20", "8.20", "$8.20"),
        ("5.00SR", "5.00", "5.00"),
        ("9 .00", "9.00", "9 .00"),
    ],
)
def test_an_amount_is_a_plain_decimal_number(text: str, value: str, raw: str) -> None:
    found = next(amounts(text))
    assert found.value == value
    assert text[found.start : found.end].strip() == raw


@given(st.integers(0, 10**9))
def test_every_amount_is_read_back(cents: int) -> None:
    written = f"{cents // 100:,}.{cents % 100:02d}"
    assert [one.value for one in amounts(f"TOTAL RM {written}")] == [
        f"{cents // 100}.{cents % 100:02d}"
    ]


@given(st.text(max_size=80))
def test_no_text_upsets_the_parsers_and_every_span_lies_in_it(text: str) -> None:
    for parse in (dates, amounts, numbers):
        for one in parse(text):
            assert 0 <= one.start < one.end <= len(text)


@given(st.text(max_size=40))
def test_the_canonical_form_is_its_own(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


def test_values_are_compared_by_what_they_mean() -> None:
    assert same("date", "2018-12-25", "25/12/2018")
    assert same("money", "31.60", "RM31.60")
    assert same("company", "Mr. D.I.Y. (M) Sdn Bhd", "MR DIY (M) SDN BHD")
    assert not same("company", "", "")
    assert not same("money", "31.60", "31.06")
