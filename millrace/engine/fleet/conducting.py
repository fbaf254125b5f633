"""Everything a conductor needs to work with a fleet, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from millrace.engine.budgets import Budget
from millrace.engine.conductor import Conductor, DeskOf
from millrace.engine.errors import MillraceError
from millrace.engine.exchange.cards import read_cards
from millrace.engine.exchange.depot import Depot
from millrace.engine.exchange.places import Place
from millrace.engine.fleet.adoption import adoptable
from millrace.engine.fleet.aims import begun
from millrace.engine.fleet.alerting import warn_late
from millrace.engine.fleet.decider import Decider
from millrace.engine.fleet.desk import FleetDesk
from millrace.engine.fleet.due import Due
from millrace.engine.fleet.eye import Eye
from millrace.engine.fleet.groups import chooser
from millrace.engine.fleet.observed import Card, Observed, Worker
from millrace.engine.fleet.patience import Patience
from millrace.engine.fleet.pools import HOME
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.fleet.road import HomeRoad, Road
from millrace.engine.fleet.sending import Sender
from millrace.engine.forecasts import Forecaster
from millrace.engine.hosts.devices import Host
from millrace.engine.journal import Journal, read
from millrace.engine.recording.fleet import FlowRuns
from millrace.engine.recording.observing import observe
from millrace.engine.runs import Order, Run
from millrace.engine.settings import Settings
from millrace.engine.store import Store


def fleet_conductor(
    run: Run,
    order: Order,
    here: Settings,
    host: Host,
    fleet: Fleet,
    *,
    patience: Patience | None = None,
) -> Conductor:
    """Returns the conductor of a run whose work goes to a fleet, or to the one pool it names.

    Raises UsageError for a pool that there is not.
    """
    only = () if order.on == "fleet" else (fleet.pool(order.on).name,)
    desk = fleet_desk(run, order, here, fleet, patience=patience)
    return Conductor(run, order, here, host, desk, choice=chooser(fleet, host, only))


def fleet_desk(
    run: Run,
    order: Order,
    here: Settings,
    fleet: Fleet,
    *,
    target: float | None = None,
    patience: Patience | None = None,
    flow_runs: FlowRuns | None = None,
    ask: Callable[[Sequence[str]], Mapping[str, Observed]] = observe,
) -> DeskOf:
    """Returns what makes the desk of a run on a fleet. Raises UsageError for an unknown pool.

    `target` is how long an assignment is to run, in seconds; None: as the fleet says. `flow_runs`
    and `ask` are the seam to the Prefect server, where a simulated fleet comes in.
    """
    sent = flow_runs or FlowRuns()
    only = "" if order.on == "fleet" else fleet.pool(order.on).name

    def make(journal: Journal, forecaster: Forecaster) -> FleetDesk:
        records = read(run.journal)
        started = begun(records) or time.time()
        roads = Roads(fleet, here)
        templated = {pool.name for pool in fleet.workers if pool.spec.type == "kubernetes"}
        desk: FleetDesk
        eye = Eye(
            observe=lambda: roads.with_cards(ask([pool.name for pool in fleet.workers])),
            states=sent.states,
            collect=lambda: roads.collect(run, desk.names()),
            ids=lambda: desk.flow_runs(),
        )
        desk = FleetDesk(
            run,
            journal,
            forecaster,
            decider=Decider(
                fleet,
                journal,
                forecaster,
                due=Due(order.pipeline, started, partial(warn_late, fleet, run)),
                money=Budget(run, order.pipeline, fleet, here).amount,
                pool=only,
                priority=order.priority,
            ),
            sender=Sender(run, journal, roads.by_pool, sent, order.priority, templated),
            eye=eye,
            stages=list(order.pipeline.stages),
            target=fleet.spec.target.total_seconds() if target is None else target,
            patience=patience or Patience(),
        )
        desk.adopt(*adoptable(run, records, time.monotonic()))
        eye.open()
        return desk

    return make


class Roads:
    """The ways to all pools of a fleet: one for each store."""

    def __init__(self, fleet: Fleet, here: Settings) -> None:
        home = Store(here.store)
        self._places = {
            name: Place.open(store.url, store.endpoint, region=store.region)
            for name, store in fleet.stores.items()
            if name != HOME
        }
        self._folders = {HOME: here.store}
        self._roads: dict[str, Road] = {HOME: HomeRoad()}
        for name, place in self._places.items():
            pools = {pool.name: pool.effective for pool in fleet.pools_using(name)}
            self._roads[name] = Depot(place, home, fleet.stores[name].clearance, pools)
        self._fleet = fleet
        self._carded: dict[str, set[str]] = {}  # workers that had a card, by pool
        self.by_pool: Mapping[str, Road] = {
            pool.name: self._roads[pool.spec.store] for pool in fleet.workers
        }

    def collect(self, run: Run, out: Mapping[str, list[str]]) -> dict[str, str]:
        """Brings home what assignments (by pool) made; returns stores out of reach, and why."""
        unreachable = {}
        for name, road in self._roads.items():
            pools = {pool.name for pool in self._fleet.pools_using(name)}
            wanted = [one for pool in sorted(pools & out.keys()) for one in out[pool]]
            try:
                if wanted:
                    road.collect(run, wanted)
            except MillraceError as error:
                unreachable[name] = error.message
        return unreachable

    def with_cards(self, observed: Mapping[str, Observed]) -> dict[str, Observed]:
        """Returns the pools with what their workers say of themselves.

        A worker that had a card and has taken it away has ended, though the server does not know it
        yet: it is not among them.
        """
        found = {}
        for name, pool in observed.items():
            cards = self._cards(name)
            gone = set() if cards is None else self._carded.get(name, set()) - cards.keys()
            self._carded.setdefault(name, set()).update(cards or ())
            workers = tuple(
                Worker(w.name, w.age, (cards or {}).get(w.name))
                for w in pool.workers
                if w.name not in gone
            )
            found[name] = replace(pool, workers=workers)
        return found

    def _cards(self, pool: str) -> dict[str, Card] | None:
        store = self._fleet.pool(pool).spec.store
        try:
            cards = read_cards(self._places.get(store) or self._folders[HOME], pool)
        except MillraceError:
            return None
        return {card.worker: card for card in cards}
