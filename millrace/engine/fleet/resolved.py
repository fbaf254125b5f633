"""A fleet as the rest of Millrace uses it: pools with their devices, money in one currency.

fleet = load_fleet(settings().fleet)
fleet.pools["burst"].vram, fleet.offers("burst"), fleet.floors().of_path("/srv/films/a.mp4")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from millrace.engine.document.problems import listed, nearest
from millrace.engine.errors import UsageError
from millrace.engine.fleet import catalogue, prices
from millrace.engine.fleet.catalogue import DeviceClass
from millrace.engine.fleet.pools import HOME, Alerts, FleetSpec, PoolSpec, StoreSpec
from millrace.engine.labels import Label
from millrace.engine.placement.model import Offer

if TYPE_CHECKING:
    from millrace.engine.fleet.labelling import Floors

CONDUCTORS = 8
"""Runs that one machine of the conductors' pool conducts at a time, where nothing is declared."""

ASSUMED_BANDWIDTH = 12_500_000
"""Bytes a second to a store whose bandwidth nobody declared: 100 Mbit/s, a modest line."""


@dataclass(frozen=True)
class Pool:
    """A pool with what its declaration implies.

    `kind` is what its sessions compute on. `vram` is of one GPU, in bytes. `slots` are those of all
    machines it may ever hold, `slots_per_machine` those of one, `cores` and `memory` of one slot.
    `bandwidth` is in bytes a second to its store, 0 when the store is at hand. `egress` is the
    price of a byte, `offers` prices of a slot a second, in the fleet's currency. `effective` is the
    most sensitive label work may have there: what both the pool and its store are cleared for.
    """

    name: str
    spec: PoolSpec
    device: DeviceClass
    kind: Literal["cpu", "cuda"]
    gpus: int
    vram: int
    slots: int
    slots_per_machine: int
    cores: int
    memory: int
    store: StoreSpec
    bandwidth: float
    egress: float
    offers: tuple[Offer, ...]
    template: Path | None

    @property
    def effective(self) -> Label:
        """The most sensitive label that work there may have."""
        return min(self.spec.clearance, self.store.clearance)

    @property
    def elastic(self) -> bool:
        """True when an autoscaler decides how many machines there are."""
        return not isinstance(self.spec.machines, int)


@dataclass(frozen=True)
class Fleet:
    """All pools, stores and floors of a `pools.yaml`. `monthly_budget` is in `currency`."""

    name: str
    currency: str
    pools: Mapping[str, Pool]
    stores: Mapping[str, StoreSpec]
    monthly_budget: float | None
    alerts: Alerts | None
    path: Path
    spec: FleetSpec

    def offers(self, pool: str) -> tuple[Offer, ...]:
        """Returns the ways of paying for a slot of a pool. Raises UsageError for no such pool."""
        return self.pool(pool).offers

    def floors(self) -> Floors:
        """Returns what tells the floors of many files; it remembers what it saw of folders."""
        from millrace.engine.fleet.labelling import Floors

        return Floors(self.spec.floors, self.path.absolute().parent)

    def pool(self, name: str) -> Pool:
        """Returns a pool. Raises UsageError, naming the nearest, when there is none."""
        if name not in self.pools:
            near = nearest(name, self.pools) or f"; there are {listed(list(self.pools), 'and')}"
            raise UsageError(
                f"no pool is called {name!r}{near}", hint=f"pools stand in {self.path}"
            )
        return self.pools[name]

    def worker(self, name: str) -> Pool:
        """Returns a pool that takes work. Raises UsageError when there is none of that name."""
        pool = self.pool(name)
        if pool.spec.runs != "work":
            others = listed([each.name for each in self.workers], "and")
            raise UsageError(
                f"the pool {name} runs conductors and takes no work",
                hint=f"take `fleet`, or a pool that works: {others or 'there is none'}",
            )
        return pool

    def pools_using(self, store: str) -> tuple[Pool, ...]:
        """Returns the pools that exchange work through a store."""
        return tuple(pool for pool in self.pools.values() if pool.spec.store == store)

    @property
    def workers(self) -> tuple[Pool, ...]:
        """Pools that take work, in the order of the file."""
        return tuple(pool for pool in self.pools.values() if pool.spec.runs == "work")

    @property
    def conductors(self) -> Pool | None:
        """The pool that runs conductors, None when none does."""
        found = [pool for pool in self.pools.values() if pool.spec.runs == "conductors"]
        return found[0] if found else None

    def in_currency(self, amount: float, currency: str) -> float:
        """Returns an amount in the fleet's currency. Raises UsageError without exchange rate."""
        try:
            return amount * prices.rate(currency, self.currency, self.spec.exchange)
        except KeyError:
            raise UsageError(
                f"{self.path} has no exchange rate for {currency}",
                hint=f"give it under `exchange:` as what 1 {currency} is worth in {self.currency}",
            ) from None


def resolve(spec: FleetSpec, path: Path) -> Fleet:
    """Returns the fleet of a checked declaration. Raises KeyError for one that is not checked."""
    base = path.absolute().parent
    stores = {HOME: StoreSpec(), **spec.stores}
    budget = spec.monthly_budget
    return Fleet(
        name=spec.name,
        currency=spec.currency,
        pools={name: _pool(name, pool, spec, stores, base) for name, pool in spec.pools.items()},
        stores=stores,
        monthly_budget=None
        if budget is None
        else budget.amount * prices.rate(budget.currency, spec.currency, spec.exchange),
        alerts=spec.alerts,
        path=path,
        spec=spec,
    )


def _pool(
    name: str, pool: PoolSpec, fleet: FleetSpec, stores: Mapping[str, StoreSpec], base: Path
) -> Pool:
    device = catalogue.classes()[pool.device]
    gpus = gpus_of(pool, device)
    slots = slots_of(pool, device)
    at_hand = pool.store == HOME
    return Pool(
        name=name,
        spec=pool,
        device=device,
        kind=device.kind,
        gpus=gpus,
        vram=pool.vram or device.vram if gpus else 0,
        slots=slots * pool.most_machines,
        slots_per_machine=slots,
        cores=max(1, pool.cores // slots),
        memory=pool.memory // slots,
        store=stores[pool.store],
        bandwidth=float(pool.bandwidth or (0 if at_hand else ASSUMED_BANDWIDTH)),
        egress=prices.egress(pool, fleet.currency, fleet.exchange),
        offers=prices.offers(pool, slots, fleet.currency, fleet.exchange),
        template=None if pool.template is None else base / pool.template,
    )


def gpus_of(pool: PoolSpec, device: DeviceClass) -> int:
    """Returns the GPUs of one machine of a pool: as declared, else one where its class is a GPU."""
    return pool.gpus or int(device.kind == "cuda")


def slots_of(pool: PoolSpec, device: DeviceClass) -> int:
    """Returns the slots of one machine of a pool: as declared, else one a GPU, or one.

    A machine of conductors has more: a conductor waits more than it works, and no run should have
    to wait until another is over.
    """
    if pool.runs == "conductors":
        return pool.slots or CONDUCTORS
    return pool.slots or max(1, gpus_of(pool, device))
