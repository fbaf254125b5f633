"""A proving ground: a fleet whose pools are threads of this process, without a Prefect server.

Assignments are carried out for real, by session hosts on this machine; only the way to the pools is
simulated, so that machines can die, pools pause and clocks run at a test's will.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from millrace.engine.conductor import Conductor
from millrace.engine.execution import execute
from millrace.engine.fleet.conducting import fleet_desk
from millrace.engine.fleet.groups import chooser
from millrace.engine.fleet.observed import Observed, Worker
from millrace.engine.fleet.patience import Patience
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.hosts.devices import inventory
from millrace.engine.outcome import Outcome
from millrace.engine.recording.fleet import FlowRuns
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings

POOL = """
  {name}:
    where: {where}
    clearance: {clearance}
    device: cpu
    cores: 2
    memory: 2 GiB
    slots: {slots}
    store: home
    prices:
      on_demand: {{amount: {price}, currency: EUR, source: a test, date: 2026-11-01}}
"""


def fleet_text(*pools: dict[str, object], more: str = "") -> str:
    """Returns a pools.yaml of simple pools; what a pool does not say is ordinary."""
    usual = {"where": "local", "clearance": "restricted", "slots": 1, "price": 1.0}
    return f"version: 1\nstores:\n  home: {{clearance: restricted}}\n{more}pools:" + "".join(
        POOL.format(**(usual | pool)) for pool in pools
    )


class Ground(FlowRuns):
    """The flow runs of a simulated server, each a thread. Pools can be paused, killed, silenced."""

    def __init__(self) -> None:
        super().__init__()
        self.home = settings()
        self.hosts: dict[str, Settings] = {}
        self.paused: set[str] = set()
        self.dead: set[str] = set()  # heartbeats have stopped
        self.cancelled: list[str] = []
        self.sent: list[tuple[str, str, str]] = []  # (pool, queue, assignment)
        self.before: Callable[[str, str], None] = lambda pool, assignment: None
        self._states: dict[str, str] = {}
        self._ids = itertools.count(1)
        self._halts: dict[str, threading.Event] = {}
        self.threads: list[threading.Thread] = []

    def assign(
        self, pool: str, queue: str, run: str, assignment: str, *, capacity: str = ""
    ) -> str:
        flow_run = f"f{next(self._ids)}"
        self.sent.append((pool, queue, assignment))
        self._states[flow_run] = "SCHEDULED"
        self._halts[flow_run] = threading.Event()
        ids = (flow_run, pool, run, assignment)
        thread = threading.Thread(target=self._work, args=ids, name=f"worker-{pool}")
        self.threads.append(thread)
        thread.start()
        return flow_run

    def states(self, flow_runs: Sequence[str]) -> dict[str, str]:  # type: ignore[override]
        return {one: self._states[one] for one in flow_runs if one in self._states}

    def cancel(self, flow_run: str, *, at_once: bool = False) -> None:
        self.cancelled.append(flow_run)
        if self._states[flow_run] == "SCHEDULED":
            self._states[flow_run] = "CANCELLED"
        self._halts[flow_run].set()

    def observe(self, pools: Sequence[str]) -> dict[str, Observed]:
        return {
            pool: Observed(
                pool,
                paused=pool in self.paused,
                workers=(Worker(f"{pool}-1", 600.0 if pool in self.dead else 1.0),),
            )
            for pool in pools
        }

    def preempt(self, flow_run: str) -> None:
        self._halts[flow_run].set()

    def _work(self, flow_run: str, pool: str, run: str, assignment: str) -> None:
        while pool in self.paused or pool in self.dead:
            if self._states[flow_run] == "CANCELLED" or self._halts[flow_run].wait(0.05):
                self._states[flow_run] = "CANCELLED"
                return
        if self._states[flow_run] == "CANCELLED":
            return
        self._states[flow_run] = "RUNNING"
        here = self.hosts.get(pool, self.home)
        try:
            self.before(pool, assignment)
            execute(Runs(here).get(run), assignment, here, halt=self._halts[flow_run])
        except SystemExit:
            self._states[flow_run] = "CRASHED"
        except Exception as error:  # noqa: BLE001 - as the flow of an assignment does
            self._states[flow_run] = f"FAILED {type(error).__name__}"
        else:
            self._states[flow_run] = "COMPLETED"


class Yard:
    """A folder with files, a pipeline and a fleet, and a conductor over them."""

    def __init__(self, folder: Path, ground: Ground) -> None:
        self.folder, self.ground = folder, ground
        self.runs: list[Run] = []
        self.patience = Patience()

    def declare(self, text: str) -> Path:
        path = self.folder / "pools.yaml"
        path.write_text(text)
        return path

    def order(self, order: Order, on: str = "fleet") -> Run:
        run = Runs(settings()).create(order.model_copy(update={"on": on}))
        self.runs.append(run)
        return run

    def conduct(self, run: Run, *, target: float = 300.0) -> Outcome:
        here = replace(settings(), fleet=self.folder / "pools.yaml")
        fleet, order, host = load_fleet(here.fleet), run.order(), inventory()
        desk = fleet_desk(
            run,
            order,
            here,
            fleet,
            target=target,
            patience=self.patience,
            flow_runs=self.ground,
            ask=self.ground.observe,
        )
        try:
            return Conductor(run, order, here, host, desk, choice=chooser(fleet, host)).conduct()
        finally:
            for thread in self.ground.threads:
                thread.join(30)

    def events(self, event: str) -> list[dict[str, object]]:
        return [
            {"stage": r.stage, "item": r.item, **r.data}
            for r in self.runs[-1].records()
            if r.event == event
        ]


def when(condition: Callable[[], bool], then: Callable[[], object]) -> threading.Thread:
    """Does something in another thread once the world has come so far."""

    def wait() -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.05)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread
