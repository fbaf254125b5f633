"""What a slot of a pool costs, in the fleet's one currency, and how old the figures are."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from millrace.engine.fleet.pools import GIB, Basis, Exchange, Own, PoolSpec, Prices, Rate
from millrace.engine.placement.model import Offer

STALE_DAYS = 90
"""Days after which a price is called old: clouds change theirs a few times a year."""

HOUR = 3600.0


def rate(currency: str, own: str, exchange: Mapping[str, Exchange]) -> float:
    """Returns how many units of the fleet's currency `own` one unit of `currency` buys.

    Raises KeyError when no exchange rate is given (a checked fleet has them all).
    """
    return 1.0 if currency == own else exchange[currency].rate


def listed(prices: Prices) -> Iterator[tuple[Basis, Own | Rate]]:
    """Yields the prices that are given, by basis: own, reserved, on_demand, spot."""
    if prices.own is not None:
        yield "own", prices.own
    if prices.reserved is not None:
        yield "reserved", prices.reserved
    if prices.on_demand is not None:
        yield "on_demand", prices.on_demand
    if prices.spot is not None:
        yield "spot", prices.spot


def offers(
    pool: PoolSpec, slots: int, currency: str, exchange: Mapping[str, Exchange]
) -> tuple[Offer, ...]:
    """Returns the ways of paying for one slot of a pool, per second, in `currency`.

    `slots` are those of one machine, which share its price. Interruptions are a second, of one
    machine. Raises KeyError when an exchange rate is missing.
    """
    spot = pool.prices.spot
    return tuple(
        Offer(
            basis=basis,
            price=price.amount * rate(price.currency, currency, exchange) / HOUR / slots,
            interruptions=spot.interruptions_per_hour / HOUR if basis == "spot" and spot else 0.0,
        )
        for basis, price in listed(pool.prices)
    )


def egress(pool: PoolSpec, currency: str, exchange: Mapping[str, Exchange]) -> float:
    """Returns what a byte costs that leaves a pool's store for another, in `currency`."""
    if pool.egress is None:
        return 0.0
    return pool.egress.amount * rate(pool.egress.currency, currency, exchange) / GIB


def age(date: datetime.date, today: datetime.date) -> int | None:
    """Returns the days since `date` when they are too many, None while the figure is fresh."""
    days = (today - date).days
    return days if days > STALE_DAYS else None
