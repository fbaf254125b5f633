"""What work costs and how long it takes: pure arithmetic on rates and prices.

    seconds of a batch = overhead + load / rate  both learnt from the ledger; without it, a prior
                                                 and no overhead; a session takes its start more
    cost of a batch    = seconds × price         for as long as the device is held

Nothing is free because nobody sent a bill: this machine has a price too (`local_price`).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SECONDS_PER = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class Price(BaseModel):
    """What a device costs while it is held. `source` and `date` say where the figure is from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: float = Field(ge=0, allow_inf_nan=False)
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")
    per: Literal["second", "minute", "hour", "day"] = "hour"
    source: str
    date: datetime.date | None = None


class Money(BaseModel):
    """An amount of one currency. `str()` never shows zero for what costs something."""

    model_config = ConfigDict(frozen=True)

    amount: float
    currency: str

    def __str__(self) -> str:
        return f"{_rounded(self.amount)} {self.currency}"


def local_price(eur_per_hour: float) -> Price:
    """Returns the price of this machine, which is what an hour of its electricity costs.

    The default of `Settings.eur_per_hour`, 0.06 EUR, is 150 W (a workstation under load) at
    0.40 EUR/kWh (a German household's tariff); hardware, rent and people are not in it. Set
    MILLRACE_EUR_PER_HOUR to what your machine really costs, and to 0 only if you mean it.
    """
    return Price(amount=eur_per_hour, currency="EUR", source="MILLRACE_EUR_PER_HOUR")


def predict(load: float, rate: float, start: float = 0.0) -> float:
    """Returns the seconds that `load` takes at `rate` load per second after `start` seconds.

    Raises ValueError for a rate that is not above zero, as a prediction of "never" is a mistake,
    and for a load or start that is no quantity.
    """
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f"a rate of {rate} load per second predicts nothing")
    return quantity("start", start) + quantity("load", load) / rate


def quantity(name: str, value: float) -> float:
    """Returns a value that can be summed. Raises ValueError for NaN, infinity and less than 0."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} cannot be {value}")
    return value


def cost(seconds: float, price: Price) -> Money:
    """Returns what holding a device for `seconds` costs. Raises ValueError for impossible ones."""
    quantity("seconds", seconds)
    return Money(amount=seconds / SECONDS_PER[price.per] * price.amount, currency=price.currency)


def hourly(price: Price) -> float:
    """Returns what an hour of a device costs."""
    return price.amount * SECONDS_PER["hour"] / SECONDS_PER[price.per]


def total(parts: Iterable[Money]) -> tuple[Money, ...]:
    """Returns the sums, one for each currency, sorted: different currencies are never added.

    Raises ValueError for an amount that is no number.
    """
    sums: dict[str, list[float]] = {}
    for part in parts:
        if not math.isfinite(part.amount):
            raise ValueError(f"an amount of {part.amount} {part.currency} cannot be summed")
        sums.setdefault(part.currency, []).append(part.amount)
    return tuple(Money(amount=sum(sums[c]), currency=c) for c in sorted(sums))


def _rounded(amount: float) -> str:
    """Returns two decimals, or below 0.1 as many as show two digits."""
    two_digits = Decimal(f"{amount:.1e}")
    decimals = 2 if two_digits == 0 else max(2, 1 - two_digits.adjusted())
    return format(Decimal(repr(amount)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP), "f")
