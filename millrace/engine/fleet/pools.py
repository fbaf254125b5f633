"""What a fleet is made of: pools with their devices, stores and prices, as `pools.yaml` says it.

A pool is a Prefect work pool plus facts. It has `machines` of one sort; each takes `slots`
assignments at a time. Prices are of one machine for as long as it is held; a slot costs its share.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from millrace.engine.document.specs import PARTIAL, Duration, LabelField, Name, Part, Size, Texts
from millrace.engine.fleet.fields import (
    Count,
    Currency,
    Day,
    Number,
    Seconds,
    Source,
    Speed,
)
from millrace.engine.labels import Label

Basis = Literal["own", "reserved", "on_demand", "spot"]
"""How a machine is paid for: own hardware, a reservation, by the hour, or interruptible."""

HOME = "home"
"""The name of the conductor's own store."""

GIB = 1 << 30


class Rate(Part):
    """A price. Every figure says where it is from and when that was true."""

    amount: Number = Field(gt=0, description="per hour of one machine (egress: per GiB)")
    currency: Currency
    source: Source
    date: Day


class SpotRate(Rate):
    """A price of a machine that may be taken away at any time."""

    interruptions_per_hour: Number = Field(ge=0, le=60, description="observed, of one machine")


class Own(Part):
    """What a machine of one's own costs: hardware over its life, electricity, upkeep.

    An hour costs hardware / (years × hours_per_year) + watts / 1000 × energy + upkeep_per_year /
    hours_per_year, `hours_per_year` being those in which it works.
    """

    hardware: Number = Field(ge=0, description="purchase price of one machine")
    years: Number = Field(gt=0, le=50, description="over which it is written off")
    hours_per_year: Number = Field(default=4000, gt=0, le=8784, description="in which it works")
    watts: Number = Field(gt=0, description="drawn under load")
    energy: Number = Field(ge=0, description="price of a kWh")
    upkeep_per_year: Number = Field(default=0, ge=0, description="rent, repairs, care")
    currency: Currency
    source: Source
    date: Day

    @model_validator(mode="after")
    def _never_free(self, info: ValidationInfo) -> Self:
        if not self.amount > 0 and not _partial(info):
            raise ValueError("has no cost at all: give what the hardware, energy or upkeep costs")
        return self

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

    own: Own | None = Field(default=None, description="hardware of one's own")
    reserved: Rate | None = Field(default=None, description="paid whether it is used or not")
    on_demand: Rate | None = Field(default=None, description="by the hour, as long as it is held")
    spot: SpotRate | None = Field(default=None, description="cheaper, and may be taken away")

    @model_validator(mode="after")
    def _some(self, info: ValidationInfo) -> Self:
        if not any((self.own, self.reserved, self.on_demand, self.spot)) and not _partial(info):
            raise ValueError(
                "needs at least one of own, reserved, on_demand or spot: no machine is free"
            )
        return self


class Elastic(Part):
    """How many machines an autoscaler may hold."""

    min: Count = Field(default=0, ge=0, description="held even when there is nothing to do")
    max: Count = Field(ge=1, le=10_000, description="never more than these")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"has a min of {self.min}, which is more than its max of {self.max}")
        return self


def _machines(value: Any) -> str:
    # messages name a mapping by its tag
    return "machines" if isinstance(value, dict | Elastic) else "count"


Machines = Annotated[
    Annotated[int, Field(strict=True, ge=1, le=10_000), Tag("count")]
    | Annotated[Elastic, Tag("machines")],
    Discriminator(_machines),
]


class PoolSpec(Part):
    """One pool. `device` names a class of the catalogue ("rtx-4090", "cpu"). Sizes in bytes."""

    where: Literal["local", "cloud"] = Field(description="on your own premises, or rented")
    type: str = Field(
        default="process",
        min_length=1,
        description="process, docker, kubernetes, or another type Prefect knows",
    )
    clearance: LabelField = Field(
        default=Label.PUBLIC, description="the most sensitive label its machines may see"
    )
    device: str = Field(default="cpu", description="device class; `millrace pools devices`")
    gpus: Count = Field(
        default=0, ge=0, le=64, description="of one machine; 1 where the class is a GPU"
    )
    vram: Size | None = Field(default=None, description="of one GPU; else the catalogue's")
    cores: Count = Field(ge=1, le=4096, description="of one machine")
    memory: Size = Field(description="of one machine")
    machines: Machines = Field(default=1, description="how many, or the min and max of them")
    slots: Count | None = Field(
        default=None, ge=1, le=1024, description="of one machine; else one a GPU, or 1"
    )
    store: str = Field(description="the store through which work is exchanged")
    bandwidth: Speed | None = Field(default=None, description="to that store, bytes a second")
    latency: Seconds = Field(default=0.0, ge=0, le=3600, description="to that store, seconds")
    start: Seconds = Field(
        default=0.0, ge=0, le=86_400, description="until a machine is up, seconds"
    )
    egress: Rate | None = Field(default=None, description="per GiB that leaves for another store")
    prices: Prices
    template: str | None = Field(default=None, description="base job template, for other types")
    runs: Literal["work", "conductors"] = Field(
        default="work", description="the work itself, or what divides it (one such pool)"
    )

    @property
    def most_machines(self) -> int:
        """How many machines it may ever hold."""
        return self.machines.max if isinstance(self.machines, Elastic) else self.machines


class StoreSpec(Part):
    """A store. The store `home` is the conductor's own; others are reached by an fsspec URL."""

    url: str = Field(
        default="",
        description="s3://bucket/folder, or a folder; `home` has none: it is this host's",
    )
    clearance: LabelField = Field(
        default=Label.PUBLIC, description="the most sensitive label that may lie there"
    )
    endpoint: str | None = Field(
        default=None,
        description="of an S3 server that is not Amazon's, such as https://s3.lan:9000",
    )
    region: str | None = None


class Floor(Part):
    """Files under these paths or URLs have at least this label, whatever a pipeline says."""

    paths: Texts = Field(description="folders, files, globs or URLs; relative to this file")
    label: LabelField = Field(description="the least label of what lies there")


class Alerts(Part):
    """Whom to tell of runs that need a person; only counts and ids are told."""

    on: tuple[Literal["failed", "partial", "late", "over_budget"], ...] = Field(
        default=("failed", "partial"), min_length=1, description="which ends of runs to tell of"
    )
    webhook: str | None = Field(
        default=None, description="environment variable that holds the URL (never the URL itself)"
    )
    block: str | None = Field(default=None, description="Prefect notification block, type/name")


class Spend(Part):
    """A limit of money."""

    amount: Number = Field(gt=0)
    currency: Currency


class Exchange(Part):
    """How many units of the fleet's currency one unit of another buys."""

    rate: Number = Field(gt=0)
    source: Source
    date: Day


class FleetSpec(Part):
    """The whole of `pools.yaml`. All money is converted to `currency` by `exchange`."""

    version: Literal[1] = Field(description="The version of this format.")
    name: Name = Field(default="fleet", description="What the fleet is called.")
    currency: Currency = Field(default="EUR", description="All money is shown in it (ISO 4217).")
    exchange: dict[str, Exchange] = Field(
        default={}, description="What one unit of another currency is worth in the fleet's."
    )
    stores: dict[str, StoreSpec] = Field(description="Where files lie, by name.")
    pools: dict[str, PoolSpec] = Field(min_length=1, description="What runs work, by name.")
    floors: tuple[Floor, ...] = Field(default=(), description="Labels that no pipeline can lower.")
    target: Duration = Field(
        default=timedelta(minutes=5), description="How long an assignment is to run."
    )
    monthly_budget: Spend | None = Field(
        default=None, description="What the whole fleet may spend in a calendar month."
    )
    alerts: Alerts | None = Field(default=None, description="Whom to tell of runs gone wrong.")


def _partial(info: ValidationInfo) -> bool:
    return isinstance(info.context, dict) and bool(info.context.get(PARTIAL))
