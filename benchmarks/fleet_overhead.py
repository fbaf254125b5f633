"""Measure what the fleet costs beside the work: an assignment through a real server and worker.

    python benchmarks/fleet_overhead.py [--times 7]

Against the limits the product sets itself. The kind copies a few bytes, so that what is measured is
ours: from sending the assignment's flow run until its first batch is begun and done, and the
processor time of everything it starts. Ends with exit code 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from _bench import Bench, Row, Table, bench, document, files

from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.hosts.devices import inventory
from millrace.engine.pipeline import load
from millrace.engine.recording import server
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import settings

_POOL = "bench"
_QUEUE = "own-normal"
_TICK = os.sysconf("SC_CLK_TCK")
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Sent:
    """One assignment: seconds from sending it until the session was open and the first batch done,
    until Prefect called it completed, and processor seconds of its process and all it started."""

    opened: float
    done: float
    completed: float
    cpu: float


class Server:
    """The bench's Prefect server, by plain HTTP."""

    def __init__(self, api: server.Api) -> None:
        self._api = api
        self.ask("work_pools/", {"name": _POOL, "type": "process"})
        self.ask(f"work_pools/{_POOL}/queues", {"name": _QUEUE})
        flow = self.ask("flows/", {"name": "millrace-assignment"})["id"]
        body = {"name": _POOL, "flow_id": flow, "work_pool_name": _POOL}
        self._deployment = self.ask("deployments/", body)["id"]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Sends a request; returns the answer."""
        auth = base64.b64encode((self._api.auth or "").encode()).decode()
        request = urllib.request.Request(
            f"{self._api.url}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", "authorization": f"Basic {auth}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def send(self, parameters: dict[str, str]) -> str:
        """Makes a flow run; returns its id."""
        body = {"parameters": parameters, "work_queue_name": _QUEUE}
        path = f"deployments/{self._deployment}/create_flow_run"
        return str(self.ask(path, body)["id"])

    def wait(self, flow_run: str) -> None:
        """Waits until a flow run is over. Ends the benchmark when it did not complete."""
        while (state := self.ask(f"flow_runs/{flow_run}")["state"])["type"] not in _ENDED:
            time.sleep(0.2)
        if state["type"] != "COMPLETED":
            raise SystemExit(f"the flow run {flow_run} ended {state['type']}: {state['message']}")


@contextmanager
def worker(at: Bench) -> Iterator[int]:
    """Yields the process id of a worker of the pool."""
    process = at.start("worker", "start", _POOL)
    log = at.folder / "stderr.txt"
    try:
        while "works for" not in log.read_text():
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def one(at: Bench, here: Server, pid: int, number: int) -> Sent:
    """Returns what one assignment of one batch cost."""
    files(at.folder / "in", 1, f"number {number}")
    document(at.folder, "uses: faults.bytes", to=f"out-{number}/{{source.path}}")
    order = Order(pipeline=load(at.folder / "p.yaml"), base=at.folder)
    host = inventory()
    run = Runs(settings()).create(order)
    sent: list[float] = []
    ended: list[float] = []

    def dispatch(name: str) -> None:
        sent.append(time.time())
        here.wait(here.send({"run_id": run.id, "assignment_id": name}))
        ended.append(time.time())

    before = _children_cpu(pid)
    desk = partial(HereDesk, run, host, dispatch=dispatch)
    outcome = Conductor(run, order, settings(), host, desk).conduct()
    if outcome.state != "succeeded" or len(sent) != 1:
        raise SystemExit(f"the run ended {outcome.state}: {outcome.failures}")
    while (after := _children_cpu(pid)) == before:  # until the worker has seen its end
        time.sleep(0.1)
    opened, done = _at(run, "opened"), _at(run, "done")
    return Sent(opened - sent[0], done - sent[0], ended[0] - sent[0], after - before)


def _at(run: Run, event: str) -> float:
    return next(record.at for record in run.records() if record.event == event)


def _children_cpu(pid: int) -> float:
    """Returns the processor seconds of the children that a process has waited for, and theirs."""
    row = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(row[13]) + int(row[14])) / _TICK


def measure(at: Bench, table: Table, times: int) -> None:
    """Adds every figure to the table."""
    os.environ.update(at.environment)
    sys.path[:0] = at.environment["PYTHONPATH"].split(os.pathsep)
    here = Server(server.ensure(settings()))
    with worker(at) as pid:
        all_of = [one(at, here, pid, number) for number in range(times)]
    each = "each " + " ".join(f"{sent.done:.1f}" for sent in all_of)
    median = statistics.median
    table.add(Row("sent to its session open, median", median(s.opened for s in all_of), "s"))
    table.add(
        Row("sent to its first batch done, median", median(s.done for s in all_of), "s", 7.0, each)
    )
    table.add(Row("sent to completed, median", median(s.completed for s in all_of), "s"))
    cpu = median(s.cpu for s in all_of)
    worst = f"worst {max(s.cpu for s in all_of):.1f}"
    table.add(Row("processor of an assignment, median", cpu, "s", 6.0, worst))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=7, help="assignments to take the median of")
    options = parser.parse_args()
    table = Table("limit")
    with bench() as at:
        cleared = replace(at, environment={**at.environment, "MILLRACE_CLEARANCE": "internal"})
        measure(cleared, table, options.times)
    sys.exit(any(row.against and row.measured > row.against for row in table.rows))


if __name__ == "__main__":
    main()
