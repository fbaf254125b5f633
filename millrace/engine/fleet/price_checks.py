"""What is wrong or doubtful about money: currencies without a rate, odd prices, old figures."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from millrace.engine.document.problems import Finding, Where, nearest
from millrace.engine.fleet import prices
from millrace.engine.fleet.draft import Draft
from millrace.engine.fleet.pools import PoolSpec, Prices


def problems(draft: Draft) -> Iterator[Finding]:
    """Yields currencies that cannot be converted and ways of paying that make no sense."""
    for where, currency in _texts(draft.data, "currency"):
        if len(where) == 1 or draft.currency is None or currency in draft.exchange:
            continue
        if currency != draft.currency and len(currency) == 3 and currency.isupper():
            near = nearest(currency, [draft.currency, *draft.exchange])
            message = (
                f"no exchange rate for {currency}; give `exchange: {{{currency}: {{rate: …}}}}`, "
                f"what 1 {currency} is worth in {draft.currency}{near}"
            )
            yield Finding(where, message)
    for currency in draft.exchange:
        where = ("exchange", currency)
        if currency == draft.currency:
            yield Finding(where, f"{currency} is the fleet's own currency", at_key=True)
        elif not (len(currency) == 3 and currency.isascii() and currency.isupper()):
            message = f"{currency!r} is no currency; write its three capital letters, such as USD"
            yield Finding(where, message, at_key=True)
    for name, pool in draft.pools.items():
        if pool is None or draft.data["pools"][name].get("where") != "local":
            continue
        if pool.prices.spot is not None:
            message = "nobody takes away a local machine; price it as own or reserved"
            yield Finding(("pools", name, "prices", "spot"), message, at_key=True)


def doubts(draft: Draft, today: datetime.date) -> Iterator[Finding]:
    """Yields prices that are old, and prices that are the wrong way round."""
    for where, text in _texts(draft.data, "date"):
        thing = {"exchange": "exchange rate", "pools": "price"}.get(str(where[0]))
        if thing is not None:
            yield from _age(where, text, thing, today)
    for name, pool in draft.pools.items():
        if pool is not None:
            yield from _odd(draft, name, pool)


def _age(where: Where, text: str, thing: str, today: datetime.date) -> Iterator[Finding]:
    try:
        date = datetime.date.fromisoformat(text)
    except ValueError:
        return  # told as a problem
    if date > today + datetime.timedelta(days=1):
        yield Finding(where, f"{text} is in the future; nobody can say how old this {thing} is")
    elif (days := prices.age(date, today)) is not None:
        message = (
            f"this {thing} is {days} days old (more than {prices.STALE_DAYS}); look it up again, "
            "then change it and its date"
        )
        yield Finding(where, message)


def _odd(draft: Draft, name: str, pool: PoolSpec) -> Iterator[Finding]:
    where = ("pools", name, "prices")
    given = pool.prices
    if given.spot and not any((given.own, given.reserved, given.on_demand)):
        message = (
            f"{name!r} can be had as spot only; a batch's last attempt never runs on spot, so it "
            "has to go to another pool"
        )
        yield Finding((*where, "spot"), message, at_key=True)
    for basis in ("reserved", "spot"):
        lower, full = _amount(draft, given, basis), _amount(draft, given, "on_demand")
        if lower is not None and full is not None and lower >= full:
            message = f"{basis} costs as much as on_demand or more; is one of them mistyped?"
            yield Finding((*where, basis, "amount"), message)
    if pool.where == "cloud" and given.own is not None:
        message = "own is for hardware you bought; a rented machine is on_demand, reserved or spot"
        yield Finding((*where, "own"), message, at_key=True)
    if pool.runs == "conductors" and given.spot is not None:
        message = "a conductor on spot is taken away with its run in mid-flight"
        yield Finding((*where, "spot"), message, at_key=True)


def _amount(draft: Draft, given: Prices, basis: str) -> float | None:
    price = dict(prices.listed(given)).get(basis)  # type: ignore[call-overload]
    if price is None or draft.currency is None:
        return None
    known = {name: rate for name, rate in draft.exchange.items() if rate is not None}
    try:
        return float(price.amount) * prices.rate(price.currency, draft.currency, known)
    except KeyError:
        return None


def _texts(data: Any, key: str, where: Where = ()) -> Iterator[tuple[Where, str]]:
    """Yields every text that stands under `key`, wherever it is, with its place."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if name == key and isinstance(value, str):
                yield (*where, name), value
            else:
                yield from _texts(value, key, (*where, name))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _texts(value, key, (*where, number))
