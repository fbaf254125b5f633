"""What a fleet is made of: pools with their devices, stores and prices, as `pools.yaml` says it.

A pool is a Prefect work pool plus facts. It has `machines` of one sort; each takes `slots`
assignments at a time. Prices are of one machine for as long as it is held; a slot costs its share.
"""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import Field

from millrace.engine.document.specs import LabelField, Name, Part, Size, Texts
from millrace.engine.labels import Label

Basis = Literal["own", "reserved", "on_demand", "spot"]
"""How a machine is paid for: own hardware, a reservation, by the hour, or interruptible."""

GIB = 1 << 30


class Rate(Part):
    """A price of one machine. Every figure says where it is from and when that was true."""

    amount: float = Field(gt=0, allow_inf_nan=False, description="per hour, of one machine")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")
    source: str
    date: datetime.date


class SpotRate(Rate):
    """A price of a machine that may be taken away at any time."""

    interruptions_per_hour: float = Field(ge=0, le=60, description="observed, of one machine")


class Own(Part):
    """What a machine of one's own costs: hardware over its life, electricity, upkeep.

    An hour costs hardware / (years × hours_per_year) + watts / 1000 × energy + upkeep_per_year /
    hours_per_year, `hours_per_year` being those in which it works.
    """

    hardware: float = Field(ge=0, description="purchase price of one machine")
    years: float = Field(gt=0, description="over which it is written off")
    hours_per_year: float = Field(default=4000, gt=0, le=8784)
    watts: float = Field(gt=0, description="drawn under load")
    energy: float = Field(gt=0, description="price of a kWh")
    upkeep_per_year: float = Field(default=0, ge=0, description="rent, repairs, care")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")
    source: str
    date: datetime.date

    @property
    def amount(self) -> float:
        """Price of one hour."""
        written_off = self.hardware / (self.years * self.hours_per_year)
        return (
            written_off
            + self.watts / 1000 * self.energy
            + (self.upkeep_per_year / self.hours_per_year)
        )


class Prices(Part):
    """The ways a machine of a pool can be paid for; at least one."""

    own: Own | None = None
    reserved: Rate | None = None
    on_demand: Rate | None = None
    spot: SpotRate | None = None


class Elastic(Part):
    """How many machines an autoscaler may hold."""

    min: int = Field(default=0, ge=0)
    max: int = Field(ge=1)


class PoolSpec(Part):
    """One pool. `device` names a class of the catalogue ("rtx-4090", "cpu"). Sizes in bytes."""

    where: Literal["local", "cloud"]
    type: str = Field(default="process", description="process, docker, kubernetes, or another")
    clearance: LabelField = Label.PUBLIC
    device: str = "cpu"
    gpus: int = Field(default=0, ge=0, description="of one machine; 1 where the class is a GPU")
    vram: Size | None = Field(default=None, description="of one GPU; else the catalogue's")
    cores: int = Field(ge=1, description="of one machine")
    memory: Size = Field(description="of one machine")
    machines: int | Elastic = 1
    slots: int | None = Field(
        default=None, ge=1, description="of one machine; else one a GPU, or 1"
    )
    store: str = Field(description="the store through which work is exchanged")
    bandwidth: Size | None = Field(default=None, description="to that store, bytes a second")
    latency: float = Field(default=0.0, ge=0, description="to that store, seconds")
    start: float = Field(default=0.0, ge=0, description="until a machine is up, seconds")
    egress: Rate | None = Field(default=None, description="per GiB that leaves for another store")
    prices: Prices
    template: str | None = Field(default=None, description="base job template, for other types")
    runs: Literal["work", "conductors"] = "work"


class StoreSpec(Part):
    """A store. The store `home` is the conductor's own; others are reached by an fsspec URL."""

    url: str
    clearance: LabelField = Label.PUBLIC
    endpoint: str | None = Field(default=None, description="of an S3 server that is not Amazon's")
    region: str | None = None


class Floor(Part):
    """Files under these paths or URLs have at least this label, whatever a pipeline says."""

    paths: Texts
    label: LabelField


class Alerts(Part):
    """Whom to tell of runs that need a person; only counts and ids are told."""

    on: tuple[Literal["failed", "partial", "late", "over_budget"], ...] = ("failed", "partial")
    webhook: str | None = Field(
        default=None, description="environment variable that holds the URL (never the URL itself)"
    )
    block: str | None = Field(default=None, description="Prefect notification block, type/name")


class Spend(Part):
    """A limit of money."""

    amount: float = Field(gt=0)
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")


class Exchange(Part):
    """How many units of the fleet's currency one unit of another buys."""

    rate: float = Field(gt=0)
    source: str
    date: datetime.date


class FleetSpec(Part):
    """The whole of `pools.yaml`. All money is converted to `currency` by `exchange`."""

    version: Literal[1]
    name: Name = "fleet"
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    exchange: dict[str, Exchange] = Field(default={})
    stores: dict[str, StoreSpec]
    pools: dict[str, PoolSpec] = Field(min_length=1)
    floors: tuple[Floor, ...] = ()
    monthly_budget: Spend | None = None
    alerts: Alerts | None = None
