"""A real fleet for as long as it takes: many random deaths, and everything at once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from millrace.engine.reporting import liveness
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import Settings
from tests.flows.fleet import Fleet, events, kill, pool, until
from tests.flows.test_fleet_faults import document, done_once, inputs, out

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("MILLRACE_SOAK_KILLS", "30"))


def declare(fleet: Fleet) -> None:
    """Two pools."""
    fleet.deploy(pool("studio"), pool("burst", price=9000))


@pytest.fixture(scope="module")
def declared(prefect_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(prefect_home, tmp_path_factory.mktemp("fleet"))
    declare(made)
    yield made
    made.close()


@pytest.fixture
def fleet(declared: Fleet) -> Fleet:
    declared.calm()
    return declared


class Havoc:
    """Kills one part of a fleet after another, and sees that each is replaced."""

    def __init__(self, fleet: Fleet, run: Run, seed: int) -> None:
        self.fleet, self.run, self.chance = fleet, run, random.Random(seed)
        self.workers = {name: fleet.worker(name) for name in ("studio", "burst")}
        self.conductor = fleet.conduct(run, target=4)[1]
        self.did: list[str] = []

    def once(self) -> None:
        """Does one harm, chosen by chance."""
        harms: list[Callable[[], None]] = [
            self.entry,
            self.entry,
            self.worker,
            self.both,
            self.term,
            self.office,
            self.office,
            self.pause,
        ]
        harm = self.chance.choice(harms)
        self.did.append(harm.__name__)
        harm()

    def entry(self) -> None:
        self.fleet.kill_entries(self.chance.choice(["studio", "burst"]))

    def worker(self) -> None:
        name = self.chance.choice(list(self.workers))
        kill(self.workers[name])
        self.workers[name] = self.fleet.worker(name, wait=False)

    def both(self) -> None:
        name = self.chance.choice(list(self.workers))
        kill(self.workers[name])
        self.fleet.kill_entries(name)
        self.workers[name] = self.fleet.worker(name, wait=False)

    def term(self) -> None:
        name = self.chance.choice(list(self.workers))
        self.workers[name].terminate()
        self.workers[name].wait(60)
        self.workers[name] = self.fleet.worker(name, wait=False)

    def office(self) -> None:
        kill(self.conductor)
        self.conductor = self.fleet.conduct(self.run, target=4)[1]

    def pause(self) -> None:
        name = self.chance.choice(list(self.workers))
        self.fleet.pause(name)
        time.sleep(8)
        self.fleet.pause(name, paused=False)


def test_a_run_survives_thirty_deaths_in_a_row(fleet: Fleet) -> None:
    made = inputs(fleet, "havoc", files=4 * KILLS)
    run = fleet.create(fleet.order(document("havoc", 0.4)))
    havoc = Havoc(fleet, run, seed=7)
    for _ in range(KILLS):
        time.sleep(havoc.chance.uniform(3, 15))
        if liveness.ending(run):
            break
        havoc.once()
    assert fleet.over(run, 1200) == "succeeded", (havoc.did, fleet.told(run))
    assert out(fleet, "havoc") == made
    assert done_once(run)
    assert len(havoc.did) >= KILLS // 2


def test_when_everything_has_died_the_next_tick_of_the_schedule_goes_on(fleet: Fleet) -> None:
    made = inputs(fleet, "nightly", files=4)
    text = document("nightly", 0.5) + 'schedule: {cron: "0 1 1 1 *", timezone: Europe/Berlin}\n'
    (fleet.folder / "nightly.yaml").write_text(text.replace("name: copy", "name: nightly"))
    assert fleet.command("deploy", "nightly.yaml").returncode == 0

    def tick() -> None:
        path = "deployments/name/millrace-pipeline/nightly"
        found = fleet.ask(path, method="GET")
        fleet.ask(f"deployments/{found['id']}/create_flow_run", {})

    tick()
    workers = [fleet.conductor(), fleet.worker("studio")]
    (run,) = until(lambda: _nightly(fleet))
    fleet.heard(run, "done")
    for worker in workers:
        kill(worker)
    fleet.kill_entries()
    until(lambda: liveness.state(run) == "lost")
    tick()
    fleet.conductor()
    fleet.worker("studio")

    assert fleet.over(run, 300) == "succeeded"
    assert _nightly(fleet) == [run]
    assert out(fleet, "nightly") == made
    assert done_once(run)


def test_a_conductor_that_hangs_is_replaced_and_stops_when_it_comes_back(fleet: Fleet) -> None:
    made = inputs(fleet, "hanging", files=3)
    fleet.worker("studio")
    run, old = fleet.conduct(fleet.order(document("hanging", 3.0)), target=10)
    fleet.heard(run, "opened")
    os.kill(old.pid, signal.SIGSTOP)
    _, new = fleet.conduct(run, target=10)
    fleet.heard(run, "adopted", epoch=2, seconds=180)
    os.kill(old.pid, signal.SIGCONT)
    assert old.wait(60) != 0
    assert "another conductor" in _logs(fleet, "Relieved")

    assert fleet.over(run, 400) == "succeeded"
    assert new.wait(60) == 0
    assert out(fleet, "hanging") == made
    assert done_once(run)


def test_a_conductor_whose_machine_is_taken_away_hands_its_run_on(fleet: Fleet) -> None:
    made = inputs(fleet, "handed", files=3)
    (fleet.folder / "handed.yaml").write_text(document("handed", 1.0))
    leaving = fleet.conductor()
    fleet.worker("studio")
    words = ["-m", "millrace", "run", "handed.yaml", "--on", "fleet", "--yes"]
    watcher = fleet.start("run-handed", *words)
    run = until(lambda: next((r for r in Runs(fleet.here).list() if _named(r, "handed")), None))
    fleet.heard(run, "progress")
    kill(watcher)  # so that nobody looks after the run but its conductor
    leaving.terminate()
    assert leaving.wait(60) == 0
    fleet.conductor()

    assert fleet.over(run, 300) == "succeeded"
    assert events(run, "adopted", epoch=2)
    assert out(fleet, "handed") == made
    assert done_once(run)


def test_two_runs_share_the_pools_and_the_urgent_one_goes_first(fleet: Fleet) -> None:
    low, high = inputs(fleet, "low", files=12), inputs(fleet, "high", files=4)
    fleet.worker("studio")
    patient, _ = fleet.conduct(fleet.order(document("low", 0.5), priority="low"), target=5)
    fleet.heard(patient, "done")
    urgent, _ = fleet.conduct(fleet.order(document("high", 0.5), priority="high"), target=5)
    assert fleet.over(urgent, 600) == fleet.over(patient, 600) == "succeeded"
    assert _end(urgent) < _end(patient)
    assert out(fleet, "low") == low and out(fleet, "high") == high
    assert done_once(urgent) and done_once(patient)


def _nightly(fleet: Fleet) -> list[Run]:
    return [run for run in Runs(fleet.here).list() if run.order().scheduled == "nightly"]


def _named(run: Run, name: str) -> bool:
    return run.order().source.endswith(f"{name}.yaml")


def _end(run: Run) -> float:
    return events(run, "ended")[-1].at


def _logs(fleet: Fleet, word: str) -> str:
    texts = [path.read_text(errors="replace") for path in fleet.folder.glob("conduct-*.log")]
    return "\n".join(text for text in texts if word in text)
