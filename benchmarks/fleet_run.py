"""Measure a whole run on a fleet against the time its batches sleep: what everything else costs.

    python benchmarks/fleet_run.py [--assignments 20] [--seconds 60] [--slots 2] [--many 5000]

A conductor and workers with some slots, all processes, on a real server. The batches of the long
run do nothing but sleep, so that the ideal is their sum divided by the slots; what the run took
beyond it is ours. A short run before it teaches the ledger how long a batch takes. Before both,
many tiny batches go over three pools. Ends with exit code 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
from _bench import Bench, Row, Table, bench, document, files

from millrace.engine.journal import Record

_BATCH_SECONDS = 6.0
_POOLS = ("sleepers", "second", "third")
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
        f"pools:\n  desk:{conductor}" + "".join(f"  {name}:{machine}" for name in _POOLS)
    )
    return path


@contextmanager
def workers(at: Bench, slots: int) -> Iterator[None]:
    """Runs a conductors' worker, and for each pool one with the slots."""
    processes = [at.start("worker", "start", "desk", "--conductor")]
    for pool in _POOLS:
        processes.append(at.start("worker", "start", pool, "--limit", str(slots)))
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)


def run(at: Bench, name: str, batches: int, *, pause: float, on: str) -> list[Record]:
    """Runs batches that sleep for `pause` seconds; returns the run's journal."""
    folder = at.folder / name
    for number in range(batches):
        files(folder / f"{number:04d}", 1, f"{name} {number} " + "x" * 80)
    (at.folder / "in").unlink(missing_ok=True)
    (at.folder / "in").symlink_to(folder)
    stage = f"uses: faults.bytes, with: {{pause: {pause}}}"
    document(at.folder, stage, inputs="in/*/*", to=f"out-{name}/{{source.path}}")
    at.run("run", "p.yaml", "--on", on, "--yes", "--json")
    return at.newest_run()


def memory_of_server() -> float:
    """Returns the memory of the largest Prefect server on this machine, in MB."""
    total = 0
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        words = " ".join(process.info["cmdline"] or [])
        if "prefect.server" in words or "prefect server" in words:
            total = max(total, process.info["memory_info"].rss)
    return total / 1e6


def measure(at: Bench, table: Table, options: argparse.Namespace) -> None:
    """Adds every figure to the table."""
    os.environ.update(at.environment)
    at.run("deploy")
    slots = options.slots
    with workers(at, slots):
        # First: else the long run teaches the ledger that such a batch takes six seconds.
        if options.many:
            records = run(at, "many", options.many, pause=0.0, on="fleet")
            wall = records[-1].at - records[0].at
            note = f"{options.many:,} batches over {len(_POOLS)} pools in {wall:.0f} s"
            table.add(Row("flow runs of many batches", _count(records, "sent"), "", 200.0, note))
        if options.assignments:
            run(at, "lesson", slots * 4, pause=_BATCH_SECONDS, on=_POOLS[0])
            batches = round(options.assignments * options.seconds / _BATCH_SECONDS)
            ideal = batches * _BATCH_SECONDS / slots
            records = run(at, "run", batches, pause=_BATCH_SECONDS, on=_POOLS[0])
            wall = records[-1].at - records[0].at
            table.add(Row("assignments of the long run", _count(records, "assigned"), ""))
            table.add(Row("its wall", wall, "s", ideal * 1.03, f"ideal {ideal:.0f} s"))
            table.add(Row("beyond the ideal", 100 * (wall / ideal - 1), "%", 3.0))
        table.add(Row("memory of the server", memory_of_server(), "MB", 600.0))


def _count(records: Sequence[Record], event: str) -> float:
    return float(sum(record.event == event for record in records))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--assignments", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="that an assignment is to run")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--many", type=int, default=5000, help="tiny batches over three pools")
    options = parser.parse_args()
    table = Table("limit")
    with bench() as at:
        fleet = declare(at, options.slots, options.seconds)
        ours = {"MILLRACE_CLEARANCE": "internal", "MILLRACE_FLEET": str(fleet)}
        made = replace(at, environment={**at.environment, **ours})
        measure(made, table, options)
    sys.exit(any(row.against and row.measured > row.against for row in table.rows))


if __name__ == "__main__":
    main()
