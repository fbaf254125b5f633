"""How long work will take and what it will cost on this host, from the ledger or a kind's prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.engine.cost import Money, Price, cost, local_price, predict
from millrace.engine.hosts.devices import Device
from millrace.engine.settings import Settings
from millrace.engine.stages import Stage

if TYPE_CHECKING:
    from millrace.engine.ledger import Ledger
    from millrace.engine.rates import Rate

START_SECONDS = 1.0
"""How long a session takes to open until the ledger knows better."""


class Forecaster:
    """Predicts seconds and money. Remembers rates, so that ten thousand items ask once a pace.

    `turn` grows whenever it has looked at the ledger anew, so that who keeps rates can notice.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger: Ledger | None = None
        self.turn = 0

    def refresh(self) -> None:
        """Forgets the rates it remembers, because something was entered into the ledger."""
        if self._ledger is not None:
            self._ledger.forget()
        self.turn += 1

    @property
    def price(self) -> Price:
        """What an hour of this host costs."""
        return local_price(self._settings.eur_per_hour)

    def rate(self, stage: Stage, pace: str, device: Device, pool: str | None = None) -> Rate:
        """Returns the load per second of a kind at a pace on a device, and where it is from.

        With a `pool`, what was done in that pool counts before what was done elsewhere.
        """
        if self._ledger is None:
            from millrace.engine.ledger import Ledger

            self._ledger = Ledger(self._settings.ledger, warn=lambda text: None)
        return self._ledger.rate(
            stage.kind,
            stage.version,
            pace,
            device.name,
            prior=stage.prior,
            start=START_SECONDS,
            pool=pool or "",
        )

    def seconds(
        self,
        stage: Stage,
        pace: str,
        device: Device,
        load: float,
        *,
        session: bool = True,
        pool: str | None = None,
    ) -> float:
        """Returns the seconds a batch of this load takes, what it takes whatever its load included,
        and the start of a session unless told otherwise."""
        rate = self.rate(stage, pace, device, pool)
        constant = rate.overhead_seconds + (rate.start_seconds if session else 0.0)
        return predict(load, rate.load_per_second, constant)

    def cost(self, seconds: float) -> Money:
        """Returns what holding this host for `seconds` costs."""
        return cost(seconds, self.price)
