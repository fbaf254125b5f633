"""A conductor and a worker that share nothing but an exchange, each with a home of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from millrace.engine.assignments import Assignment
from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.exchange.depot import Depot
from millrace.engine.exchange.outpost import Courier, take
from millrace.engine.exchange.parcels import Parcel, parcel_name
from millrace.engine.exchange.places import Place
from millrace.engine.execution import execute
from millrace.engine.hosts.devices import inventory
from millrace.engine.labels import Label
from millrace.engine.outcome import Outcome
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings
from millrace.engine.store import Store
from millrace.engine.telling import Counts
from tests.engine.runs.conftest import PIPELINE, Workshop

Meddle = Callable[[Run, str], None]


@dataclass
class Workplace:
    """`work` sends an assignment, has the worker carry it out, and collects; `run` a whole run."""

    shop: Workshop
    url: str
    folder: Path
    clearance: Label = Label.RESTRICTED
    before: Meddle = lambda run, name: None
    after: Meddle = lambda run, name: None
    runs: list[Run] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return Place.open(self.url, patience=60)

    @property
    def store(self) -> Store:
        return Store(settings().store)

    @property
    def worker(self) -> Settings:
        """What the worker's own host is set to."""
        return replace(
            settings(),
            home=self.folder / "worker",
            pool="burst",
            exchange=self.url,
            clearance=self.clearance,
        )

    def depot(self, clearance: Label = Label.RESTRICTED) -> Depot:
        return Depot(self.place, self.store, clearance)

    def run(self, text: str = PIPELINE, **how: object) -> Outcome:
        """Conducts a run whose every assignment goes through the exchange."""
        run, order = self.create(text, **how)
        depot = self.depot()

        def dispatch(name: str) -> None:
            depot.send(run, Assignment.read(run.assignments, name))
            self.before(run, name)
            self.carry_out(run, name)
            self.after(run, name)
            depot.collect(run, [name])

        host = inventory()
        return Conductor(
            run, order, settings(), host, partial(HereDesk, run, host, dispatch=dispatch)
        ).conduct()

    def create(self, text: str = PIPELINE, **how: object) -> tuple[Run, Order]:
        order = self.shop.order(text, **how)
        self.runs.append(Runs(settings()).create(order))
        return self.runs[-1], order

    def carry_out(self, run: Run, name: str, **how: object) -> Counts:
        """What a worker does with an assignment."""
        here = self.worker
        far = take(run.id, name, here)
        with Courier(far, name, here, **how):  # type: ignore[arg-type]
            return execute(far, name, here)

    def planned(self, text: str = PIPELINE) -> tuple[Run, Assignment]:
        """A run with its first assignment written down and nothing done: made by a conductor whose
        dispatch refuses to work."""
        run, order = self.create(text)
        seen: list[str] = []

        def dispatch(name: str) -> None:
            seen.append(name)
            run.request_stop("the test")

        host = inventory()
        Conductor(
            run, order, settings(), host, partial(HereDesk, run, host, dispatch=dispatch)
        ).conduct()
        (run.folder / "stop").unlink()
        return run, Assignment.read(run.assignments, seen[0])

    def told(self, run: Run, name: str) -> list[dict[str, object]]:
        """Everything the local journal has of an assignment."""
        path = run.journal / f"{name}.jsonl"
        return [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []

    def events(self, run: Run, name: str, event: str) -> list[dict[str, object]]:
        return [one for one in self.told(run, name) if one["event"] == event]

    def parcel(self, run: Run, name: str) -> Parcel:
        return Parcel.model_validate_json(self.place.get(parcel_name(run.id, name)) or b"")

    def leftovers(self) -> list[str]:
        """What the worker's home still holds, but for locks and the machinery's own folders."""
        home = self.folder / "worker"
        skip = ("leases", "measurements", "store/lock", "cache/locks")
        found = (str(p.relative_to(home)) for p in home.rglob("*") if p.is_file())
        return sorted(name for name in found if not name.startswith(skip))
