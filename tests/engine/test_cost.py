"""Predictions and prices: arithmetic that a person can redo by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.cost import Money, Price, cost, local_price, predict, total

positive = st.floats(1e-6, 1e9)


def test_a_batch_takes_its_start_and_its_load_over_the_rate() -> None:
    assert predict(load=120.0, rate=4.0, start=2.5) == 32.5


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_not_above_zero_predicts_nothing(rate: float) -> None:
    with pytest.raises(ValueError, match="predicts nothing"):
        predict(load=1.0, rate=rate)


@given(load=positive, rate=positive, more=st.floats(1.0, 1e3))
def test_more_load_never_takes_less_time_nor_a_higher_rate_more(
    load: float, rate: float, more: float
) -> None:
    assert predict(load * more, rate) >= predict(load, rate)
    assert predict(load, rate * more) <= predict(load, rate)


@pytest.mark.parametrize(
    ("per", "expected"), [("second", 7200.0), ("minute", 120.0), ("hour", 2.0), ("day", 2 / 24)]
)
def test_two_hours_cost_what_the_price_says(per: str, expected: float) -> None:
    price = Price.model_validate(
        {"amount": 1, "currency": "USD", "per": per, "source": "list", "date": "2026-11-01"}
    )
    assert cost(7200, price) == Money(amount=expected, currency="USD")


def test_this_machine_is_not_free_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    from millrace.engine.settings import settings

    monkeypatch.delenv("MILLRACE_EUR_PER_HOUR", raising=False)
    price = local_price(settings().eur_per_hour)
    assert cost(3600, price) == Money(amount=0.06, currency="EUR")
    assert price.source == "MILLRACE_EUR_PER_HOUR"


@pytest.mark.parametrize("wrong", [{"amount": -1}, {"amount": float("inf")}, {"currency": "Euro"}])
def test_a_price_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    right = {"amount": 1, "currency": "EUR", "source": "list"}
    Price.model_validate(right)
    with pytest.raises(ValueError, match="validation error"):
        Price.model_validate(right | wrong)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00 EUR"),
        (12.345, "12.35 EUR"),
        (1234.5, "1234.50 EUR"),
        (0.1, "0.10 EUR"),
        (0.0666, "0.067 EUR"),
        (0.00012345, "0.00012 EUR"),
        (0.0999, "0.10 EUR"),
        (1e-9, "0.0000000010 EUR"),
        (-0.5, "-0.50 EUR"),
    ],
)
def test_money_is_shown_with_two_digits_that_say_something(amount: float, text: str) -> None:
    assert str(Money(amount=amount, currency="EUR")) == text


@given(st.floats(1e-12, 1e9))
def test_what_costs_something_never_shows_as_zero(amount: float) -> None:
    shown = str(Money(amount=amount, currency="EUR")).split()[0]
    assert float(shown) == pytest.approx(amount, rel=0.06)


def test_currencies_are_summed_apart() -> None:
    parts = [Money(amount=a, currency=c) for a, c in ((1, "USD"), (2, "EUR"), (0.5, "USD"))]
    assert total(parts) == (
        Money(amount=2, currency="EUR"),
        Money(amount=1.5, currency="USD"),
    )
    assert total([]) == ()
