"""Runs of the fleet as a person sees them: waiting, left, found again, approved, cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from millrace.engine.reporting import liveness
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import Settings
from tests.flows.fleet import Fleet, events, kill, pool, until

pytestmark = pytest.mark.slow

PIPELINE = """
version: 1
name: copy
inputs:
  files: {files: "in/NAME/*.txt"}
stages:
  one: {uses: faults.bytes, each: files, with: {pause: PAUSE}}
outputs:
  copies: {from: one, to: "out/NAME/{source.path}.txt"}
"""
APPROVED = "\n  two: {uses: faults.bytes, each: one, approve: true, with: {cut: 5000}}\noutputs:"


def declare(fleet: Fleet) -> None:
    """One pool for the work."""
    fleet.deploy(pool("studio"))


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


def _written(fleet: Fleet, name: str, text: str, pause: float) -> None:
    (fleet.folder / f"{name}.yaml").write_text(
        text.replace("NAME", name).replace("PAUSE", str(pause))
    )


def _ordered(fleet: Fleet, name: str) -> tuple[subprocess.Popen[bytes], Run]:
    """Runs a document on the fleet, as a person does; returns the command and its run."""
    before = {run.id for run in Runs(fleet.here).list()}
    words = ["-m", "millrace", "run", f"{name}.yaml", "--on", "fleet", "--yes"]
    command = fleet.start(f"run-{name}", *words)
    new = until(lambda: [run for run in Runs(fleet.here).list() if run.id not in before])
    return command, new[0]


def test_a_run_says_what_it_waits_for_and_goes_on_without_who_ordered_it(fleet: Fleet) -> None:
    _written(
        fleet,
        "left",
        PIPELINE.replace("\noutputs:", APPROVED).replace("from: one", "from: two"),
        0.2,
    )
    for n in range(2):
        fleet.file(f"left/{n}.txt", f"{n}" * 900)
    command, run = _ordered(fleet, "left")
    said = fleet.folder / "run-left.log"
    until(lambda: "worker start" in said.read_text())
    assert f"no worker of {fleet.named('conductor')}" in said.read_text()
    assert liveness.state(run) == "waiting"
    assert "waiting" in fleet.command("runs").stdout

    command.send_signal(signal.SIGINT)
    assert command.wait(60) == 0
    assert "goes on without you" in said.read_text()

    fleet.conductor()
    fleet.worker("studio")
    fleet.heard(run, "progress")
    (entry,) = fleet.entries("conductor")
    os.kill(entry, signal.SIGKILL)
    until(lambda: liveness.state(run) == "lost")
    assert "lost" in fleet.command("runs").stdout

    attached = fleet.start("attach", "-m", "millrace", "attach", run.id)
    fleet.heard(run, "adopted", epoch=2)
    fleet.heard(run, "awaiting")
    assert fleet.command("approve", run.id, "two").returncode == 0
    assert fleet.over(run) == "succeeded"
    assert attached.wait(60) == 0
    assert "succeeded" in (fleet.folder / "attach.log").read_text()
    keys = [record.data["key"] for record in events(run, "done")]
    assert len(keys) == len(set(keys)) == 4


def test_cancel_stops_everything_though_nobody_conducts_and_says_that_nothing_bills(
    fleet: Fleet,
) -> None:
    _written(fleet, "cancelled", PIPELINE, 3.0)
    fleet.file("cancelled/long.txt", "l" * 1000)
    fleet.worker("studio")
    run, conductor = fleet.conduct(
        fleet.order(PIPELINE.replace("NAME", "cancelled").replace("PAUSE", "3.0"))
    )
    fleet.heard(run, "progress")
    sent = fleet.heard(run, "sent").data["flow_run"]
    kill(conductor)

    done = fleet.command("cancel", run.id)
    assert done.returncode == 0, done.stderr
    assert "nothing bills" in done.stdout
    assert fleet.flow_run(sent) in ("CANCELLED", "COMPLETED")
    until(lambda: not fleet.entries("studio"))
    (closed,) = events(run, "closed")
    assert closed.data["state"] == "cancelled" and closed.data["cost"] > 0
    assert liveness.state(run) == "interrupted"
    assert "interrupted" in fleet.command("runs").stdout
