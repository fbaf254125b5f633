"""Measure a whole run on a fleet against the time its batches sleep: what everything else costs.

    python benchmarks/fleet_run.py [--assignments 20] [--seconds 60] [--slots 2]

A conductor and a worker with some slots, both processes, on a real server. The batches do nothing
but sleep, so that the ideal is their sum divided by the slots; what the run took beyond it is ours.
The first, short run teaches the ledger how long a batch takes. Ends with exit code 1 when a limit
is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
from _bench import Bench, Row, Table, bench, document, files

_BATCH_SECONDS = 6.0
_MACHINE = """
    where: local
    clearance: internal
    cores: {cores}
    memory: 4 GiB
    slots: {slots}
    store: home
    prices:
      own: {{hardware: 600, years: 5, watts: 30, energy: 0.3, currency: EUR, source: a guess,
             date: 2026-11-01}}
"""


def declare(at: Bench, slots: int, target: float) -> Path:
    """Writes the fleet."""
    machine = _MACHINE.format(cores=max(2, slots), slots=slots)
    conductor = _MACHINE.format(cores=2, slots=1) + "    runs: conductors\n"
    path = at.folder / "pools.yaml"
    path.write_text(
        f"version: 1\nname: bench\ntarget: {target:.0f}s\n"
        "stores:\n  home: {clearance: internal}\n"
        f"pools:\n  desk:{conductor}  sleepers:{machine}"
    )
    return path


@contextmanager
def workers(at: Bench, slots: int) -> Iterator[None]:
    """Runs a conductors' worker and one with the slots."""
    processes = [
        at.start("worker", "start", "desk", "--conductor"),
        at.start("worker", "start", "sleepers", "--limit", str(slots)),
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)


def sleep(at: Bench, name: str, batches: int) -> float:
    """Runs batches that sleep; returns the wall seconds of the run by its own journal."""
    folder = at.folder / name
    for number in range(batches):
        files(folder / f"{number:04d}", 1, f"{name} {number} " + "x" * 80)
    (at.folder / "in").unlink(missing_ok=True)
    (at.folder / "in").symlink_to(folder)
    stage = f"uses: faults.bytes, with: {{pause: {_BATCH_SECONDS}}}"
    document(at.folder, stage, inputs="in/*/*", to=f"out-{name}/{{source.path}}")
    at.run("run", "p.yaml", "--on", "fleet", "--yes", "--json")
    records = at.newest_run()
    return records[-1].at - records[0].at


def memory_of_server() -> float:
    """Returns the memory of the largest Prefect server on this machine, in MB."""
    total = 0
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        words = " ".join(process.info["cmdline"] or [])
        if "prefect.server" in words or "prefect server" in words:
            total = max(total, process.info["memory_info"].rss)
    return total / 1e6


def measure(at: Bench, table: Table, assignments: int, seconds: float, slots: int) -> None:
    """Adds every figure to the table."""
    os.environ.update(at.environment)
    at.run("deploy")
    with workers(at, slots):
        sleep(at, "lesson", slots * 4)
        batches = round(assignments * seconds / _BATCH_SECONDS)
        ideal = batches * _BATCH_SECONDS / slots
        wall = sleep(at, "run", batches)
        sent = sum(record.event == "assigned" for record in at.newest_run())
    table.add(Row("assignments", sent, ""))
    table.add(Row("wall of the run", wall, "s", ideal * 1.03, f"ideal {ideal:.0f} s"))
    table.add(Row("beyond the ideal", 100 * (wall / ideal - 1), "%", 3.0))
    table.add(Row("memory of the server", memory_of_server(), "MB", 600.0))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--assignments", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="that an assignment is to run")
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    table = Table("limit")
    with bench() as at:
        fleet = declare(at, options.slots, options.seconds)
        ours = {"MILLRACE_CLEARANCE": "internal", "MILLRACE_FLEET": str(fleet)}
        made = replace(at, environment={**at.environment, **ours})
        measure(made, table, options.assignments, options.seconds, options.slots)
    sys.exit(any(row.against and row.measured > row.against for row in table.rows))


if __name__ == "__main__":
    main()
