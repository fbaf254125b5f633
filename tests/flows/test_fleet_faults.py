"""What a real fleet does when its parts are killed: real server, real workers, real conductors."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from millrace.engine.fleet.patience import Patience
from millrace.engine.reporting import liveness
from millrace.engine.settings import Settings
from tests.flows.fleet import Fleet, events, family, kill, pool, until

pytestmark = pytest.mark.slow

PIPELINE = """
version: 1
name: copy
inputs:
  files: {files: "in/NAME/*.txt"}
stages:
  one: {uses: faults.bytes, each: files, with: {pause: PAUSE, cut: CUT}}
outputs:
  copies: {from: one, to: "out/NAME/{source.path}.txt"}
"""


def document(name: str, pause: float, cut: int = 2000) -> str:
    """Returns a pipeline over the files of a folder: `pause` seconds for each 100 bytes."""
    text = PIPELINE.replace("NAME", name).replace("PAUSE", str(pause))
    return text.replace("CUT", str(cut))


def declare(fleet: Fleet) -> None:
    """A cheap pool, a dear one, and one of machines that may be taken away."""
    cloud = pool("cloud", where="cloud", spot=0.001)
    fleet.deploy(pool("studio"), pool("burst", price=9000), cloud)


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


def inputs(fleet: Fleet, name: str, files: int, size: int = 800) -> dict[str, bytes]:
    made = {f"{name}/{n}.txt": f"{name} {n} ".encode().ljust(size, b".") for n in range(files)}
    for path, content in made.items():
        fleet.file(path, content)
    return made


def out(fleet: Fleet, name: str) -> dict[str, bytes]:
    folder = fleet.folder / "out"
    found = (p for p in folder.rglob("*.txt") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if name in p.parts}


def done_once(run: object) -> bool:
    keys = [record.data["key"] for record in events(run, "done")]  # type: ignore[arg-type]
    return len(keys) == len(set(keys))


def test_a_run_survives_the_death_of_its_process_its_worker_and_its_conductor(
    fleet: Fleet,
) -> None:
    made = inputs(fleet, "deaths", files=4)
    worker = fleet.worker("studio")
    run, conductor = fleet.conduct(fleet.order(document("deaths", 0.3, cut=400)))
    fleet.heard(run, "done")

    until(lambda: fleet.kill_entries("studio"))  # the process of the assignment
    fleet.heard(run, "closed", state="crashed")

    fleet.heard(run, "opened", assignment="a0002")
    kill(conductor)
    kill(worker)  # its process goes on, and nobody watches
    assert liveness.state(run) == "lost"
    fleet.worker("studio")
    _, conductor = fleet.conduct(run)
    fleet.heard(run, "adopted", epoch=2)

    assert fleet.over(run) == "succeeded"
    assert out(fleet, "deaths") == made
    assert done_once(run)
    states = [record.data["state"] for record in events(run, "closed")]
    assert states.count("crashed") == 1 and set(states) == {"completed", "crashed"}
    assert conductor.wait(60) == 0


@pytest.mark.soak
def test_a_server_that_is_killed_in_mid_run_and_comes_back_is_waited_for(fleet: Fleet) -> None:
    made = inputs(fleet, "server", files=6)
    fleet.worker("studio")
    run, _conductor = fleet.conduct(fleet.order(document("server", 0.5)), target=6)
    fleet.heard(run, "done")
    before = len(events(run, "closed"))
    fleet.kill_server()
    time.sleep(20)
    assert liveness.state(run) == "running"
    fleet.start_server()

    assert fleet.over(run) == "succeeded"
    assert out(fleet, "server") == made
    assert done_once(run)
    assert len(events(run, "closed")) > before


@pytest.mark.soak
def test_a_machine_that_is_taken_away_gives_its_batch_back_and_another_does_it(
    fleet: Fleet,
) -> None:
    made = inputs(fleet, "taken", files=2)
    spot = fleet.worker("cloud", "--basis", "spot")
    run, _conductor = fleet.conduct(fleet.order(document("taken", 0.5)))
    fleet.heard(run, "progress")
    assert fleet.heard(run, "assigned").data["basis"] == "spot"
    fleet.worker("studio", wait=False)
    spot.terminate()
    assert spot.wait(60) == 0

    assert fleet.over(run) == "succeeded"
    assert out(fleet, "taken") == made
    assert {record.data["code"] for record in events(run, "lost")} == {"preempted"}
    assert {r.data["pool"] for r in events(run, "assigned")} == {
        fleet.named("cloud"),
        fleet.named("studio"),
    }
    assert done_once(run)


@pytest.mark.soak
def test_what_waits_in_a_paused_pool_and_what_a_hung_worker_has_is_done_elsewhere(
    fleet: Fleet,
) -> None:
    made = inputs(fleet, "hung", files=2)
    studio = fleet.worker("studio")
    run, _conductor = fleet.conduct(fleet.order(document("hung", 0.5)), Patience(silence=20))
    fleet.heard(run, "progress")
    (entry,) = fleet.entries("studio")
    for pid in (studio.pid, *family(entry)):
        os.kill(pid, signal.SIGSTOP)
    fleet.pause("studio")  # else it would get the work again while its last heartbeat is fresh
    fleet.worker("burst")
    silent = fleet.heard(run, "moved")
    assert "nothing was heard" in silent.data["why"]
    assert fleet.over(run) == "succeeded"
    assert out(fleet, "hung") == made
    # It comes back, and what it still does harms nobody.
    for pid in (studio.pid, *family(entry)):
        os.kill(pid, signal.SIGCONT)
    until(lambda: not fleet.entries("studio"))
    assert out(fleet, "hung") == made
    assert fleet.over(run) == "succeeded"
