"""A conductor and a worker that share nothing but an exchange, each with a home of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from millrace.engine.assignments import Assignment, Job, Material
from millrace.engine.batches import Recipe, cut
from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.exchange.depot import Depot
from millrace.engine.exchange.outpost import Courier, take
from millrace.engine.exchange.parcels import Parcel, parcel_name
from millrace.engine.exchange.places import Place
from millrace.engine.execution import execute
from millrace.engine.hosts.devices import Device, inventory
from millrace.engine.items import Item, Origin, read
from millrace.engine.labels import Label
from millrace.engine.measurements import Measurements
from millrace.engine.outcome import Outcome
from millrace.engine.remote import Remote
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings
from millrace.engine.stages import Needs, Outline, Span
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

    def drawn_up(self, text: str = PIPELINE, **params: object) -> tuple[Run, Assignment]:
        """A run with one assignment, written down by hand: a batch for each file of `in/`."""
        run, order = self.create(text)
        given = {"cut": 10**9, "open_fails": False, "pause": 0.0, "memory": 0} | params
        files = sorted((self.shop.folder / "in").iterdir())
        assignment = Assignment(
            id="a0001",
            stage="one",
            kind="faults.bytes",
            params=given,
            needs=Needs(),
            device=Device(cores=1, memory=1 << 30),
            jobs=tuple(_job(path, given, run.folder) for path in files),
            label=order.pipeline.effective_label,
        )
        assignment.save(run.assignments)
        return run, assignment

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


def _job(path: Path, params: dict[str, Any], folder: Path) -> Job:
    size = path.stat().st_size
    item = Item(path.name, Origin(path.stem, path.stem, ".txt"), Label.INTERNAL, path)
    cache = Measurements(folder / "measurements.db")
    item = read(item, cache, Remote(folder))
    cache.close()
    recipe = Recipe(
        kind="faults.bytes", version=1, params=params, inputs={"": item.digests[0]}, profile={}
    )
    (share,) = cut(recipe.digest, [Span(stop=size)], size)
    return Job(
        key=share.key,
        material=Material.of(item, {}),
        outline=Outline(media_type="text/plain", size=size),
        recipe=recipe,
        span=share.span,
        whole=True,
        units=share.units,
        load=share.load,
    )
