"""A real fleet for tests: a real Prefect server, and conductors and workers that are processes.

    fleet = Fleet(server_home, folder)
    fleet.deploy(pool("studio"), pool("burst", price=9))
    fleet.worker("studio")
    run = fleet.conduct(fleet.order(document))    # a conductor that is a process of its own
    assert fleet.over(run) == "succeeded"

Its names are its own, so that several can share a server. The kind `faults.bytes` does what a line
`!WORD` in a file says. Everything it has started ends with `close()`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from millrace.engine.fleet.patience import Patience
from millrace.engine.journal import Record
from millrace.engine.labels import Label
from millrace.engine.pipeline import load
from millrace.engine.recording import server
from millrace.engine.reporting import liveness
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings

REPOSITORY = Path(__file__).parents[2]
FAULTS = REPOSITORY / "tests" / "plugins" / "faults"

POOL = """
  {name}:
    where: {where}
    clearance: {clearance}
    device: cpu
    cores: 2
    memory: 2 GiB
    machines: {machines}
    store: home
    runs: {runs}
    prices:
      {prices}
"""
OWN = "own: {{hardware: {price}, years: 1, watts: 1, energy: 0.3, {rest}}}"
RENTED = "on_demand: {{amount: {price}, {rest}}}"
SPOT = "\n      spot: {{amount: {spot}, interruptions_per_hour: 0.1, {rest}}}"
REST = "currency: EUR, source: a test, date: 2026-11-01"


def pool(name: str, **facts: Any) -> dict[str, Any]:
    """Returns the declaration of a pool; what is not said is ordinary. A cloud may have `spot`."""
    usual = {"where": "local", "clearance": "restricted", "machines": 1, "runs": "work"}
    made = usual | {"name": name, "price": 1000 if "spot" not in facts else 1, "rest": REST} | facts
    prices = OWN if made["where"] == "local" else RENTED + (SPOT if "spot" in facts else "")
    return made | {"prices": prices.format(**made)}


class Fleet:
    """Pools on a server, processes that work for them, and a home store of its own."""

    def __init__(self, server_home: Settings, folder: Path) -> None:
        self._server_home, self.folder = server_home, folder
        self.api = server.ensure(server_home)
        self.mark = uuid.uuid4().hex[:6]
        self.here = Settings(folder / "home", Label.RESTRICTED, 0.06, fleet=folder / "pools.yaml")
        self.pools: list[str] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "in").mkdir(parents=True)

    # -- what it is made of --------------------------------------------------------------------

    def deploy(self, *pools: Mapping[str, Any]) -> None:
        """Declares pools, with one for conductors, and makes the server have them."""
        every = [pool("conductor", runs="conductors"), *pools]
        self.pools = [each["name"] for each in every]
        texts = [POOL.format(**{**each, "name": self.named(each["name"])}) for each in every]
        head = "version: 1\nname: trial\nstores:\n  home: {clearance: restricted}\npools:"
        self.here.fleet.write_text(head + "".join(texts))
        self._make_room()
        done = self.command("deploy")
        assert done.returncode == 0, done.stderr

    def _make_room(self) -> None:
        """Removes the deployment that conducts runs: a server serves one fleet at a time."""
        with suppress(urllib.error.HTTPError):
            found = self.ask("deployments/name/millrace-pipeline/run", method="GET")
            self.ask(f"deployments/{found['id']}", method="DELETE")

    def named(self, pool: str) -> str:
        """Returns what a pool is called on the server, where other fleets have theirs."""
        return f"{pool}-{self.mark}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this fleet's processes."""
        path = f"{FAULTS}{os.pathsep}{REPOSITORY}"
        mine = {
            "MILLRACE_HOME": str(self.here.home),
            "MILLRACE_FLEET": str(self.here.fleet),
            "MILLRACE_CLEARANCE": "restricted",
            "PYTHONPATH": path,
        }
        return os.environ | server.environment(self.api) | mine

    def command(self, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
        """Runs `millrace` with these words to its end."""
        return subprocess.run(
            [sys.executable, "-m", "millrace", *words],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
            **how,
        )

    def start(self, name: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a Python process of the fleet; what it says goes into a file of that name."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words],
                env=self.environment | environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def worker(
        self, pool: str, *options: str, wait: bool = True, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Starts a worker of a pool; returns once the server has heard of it."""
        name = f"{pool}-{uuid.uuid4().hex[:6]}"
        words = ["-m", "millrace", "worker", "start", self.named(pool), "--name", name]
        process = self.start(name, *words, "--query", "0.3", *options, **environment)
        cards = self.here.store / "workers" / self.named(pool)
        if wait:
            until(lambda: (cards / f"{name}.json").exists() or process.poll() is not None, 120)
            assert process.poll() is None, (self.folder / f"{name}.log").read_text()
        return process

    def conductor(self, *, wait: bool = True) -> subprocess.Popen[bytes]:
        """Starts a worker that conducts runs."""
        return self.worker("conductor", "--conductor", wait=wait)

    # -- runs ----------------------------------------------------------------------------------

    def file(self, name: str, content: bytes | str) -> Path:
        """Writes an input."""
        path = self.folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def order(self, document: str, on: str = "fleet", **how: Any) -> Order:
        """Returns the work order of a pipeline over this fleet."""
        sys.path.insert(0, str(FAULTS))
        try:
            pipeline = load(document, base=self.folder)
        finally:
            sys.path.remove(str(FAULTS))
        where = on if on == "fleet" else self.named(on)
        return Order(pipeline=pipeline, base=self.folder, on=where, **how)

    def create(self, order: Order) -> Run:
        """Returns a run that nobody conducts yet."""
        return Runs(self.here).create(order)

    def conduct(
        self, run: Run | Order, patience: Patience | None = None, target: float = 300.0
    ) -> tuple[Run, subprocess.Popen[bytes]]:
        """Conducts a run in a process of its own, without a conductor's flow.

        `target` is how long an assignment is to run, in seconds.
        """
        mine = run if isinstance(run, Run) else self.create(run)
        words = json.dumps({"patience": asdict(patience or Patience()), "target": target})
        name = f"conduct-{mine.id}-{uuid.uuid4().hex[:4]}"
        return mine, self.start(name, "-m", "tests.flows.conduct", mine.id, words)

    def over(self, run: Run, seconds: float = 240) -> str:
        """Waits for the end of a run; returns its state."""
        until(lambda: liveness.ending(run), seconds, lambda: self.told(run))
        return liveness.state(run)

    def heard(self, run: Run, event: str, seconds: float = 120, **data: Any) -> Record:
        """Waits for a record of a run, and returns the first such."""
        return until(
            lambda: next(iter(events(run, event, **data)), None), seconds, lambda: self.told(run)
        )

    def told(self, run: Run) -> str:
        """Returns what is worth knowing when a test waits in vain."""
        lines = [f"{r.at:.1f} {r.event} {r.item} {r.data}" for r in run.records()]
        logs = [
            f"== {path.name}\n{path.read_text(errors='replace')[-2000:]}"
            for path in sorted(self.folder.glob("*.log"))
        ]
        return "\n".join([line[:300] for line in lines if "progress" not in line][-60:] + logs)

    # -- the server ----------------------------------------------------------------------------

    def ask(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Sends a request to the server; returns the answer."""
        credential = base64.b64encode((self.api.auth or "").encode()).decode()
        request = urllib.request.Request(
            f"{self.api.url}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"content-type": "application/json", "authorization": f"Basic {credential}"},
        )
        for _ in range(20):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if error.code != 503:  # a database that is busy
                    raise
                time.sleep(1)
        raise AssertionError(f"the server is too busy to answer {path}")

    def pause(self, pool: str, paused: bool = True) -> None:
        """Pauses a pool, or lets it go on."""
        self.ask(f"work_pools/{self.named(pool)}", {"is_paused": paused}, "PATCH")

    def flow_run(self, flow_run: str) -> str:
        """Returns the state of a flow run, as the server has it."""
        return str(self.ask(f"flow_runs/{flow_run}", method="GET")["state_type"])

    def kill_server(self) -> None:
        """Kills the server as a power cut does."""
        os.kill(server.status(self._server_home).pid, signal.SIGKILL)

    def start_server(self) -> None:
        """Starts it again, on the same port and database."""
        assert server.ensure(self._server_home).url == self.api.url

    # -- processes -----------------------------------------------------------------------------

    def entries(self, pool: str = "") -> list[int]:
        """Returns the process ids of flow runs, of one pool or of all."""
        wanted = [f"MILLRACE_HOME={self.here.home}"]
        wanted += [f"MILLRACE_POOL={self.named(pool)}"] if pool else []
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                words = path.read_bytes().split(b"\0")
                command = (path.parent / "cmdline").read_bytes().split(b"\0")
                if b"millrace.flows.entry" in command and all(w.encode() in words for w in wanted):
                    found.append(int(path.parent.name))
        return found

    def kill_entries(self, pool: str = "") -> int:
        """Kills the processes of flow runs; returns how many there were."""
        found = self.entries(pool)
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return len(found)

    def calm(self) -> None:
        """Ends what an earlier test has left, and makes the server forget it."""
        self.end()
        shutil.rmtree(self.here.store / "workers", ignore_errors=True)
        pools = [self.named(name) for name in self.pools]
        states = {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]}}
        these = {"work_pools": {"name": {"any_": pools}}, "flow_runs": {"state": states}}
        for run in self.ask("flow_runs/filter", these):
            body = {"state": {"type": "CANCELLED"}, "force": True}
            self.ask(f"flow_runs/{run['id']}/set_state", body)
        for name in pools:
            self.ask(f"work_pools/{name}", {"is_paused": False}, "PATCH")
            for worker in self.ask(f"work_pools/{name}/workers/filter", {}):
                self.ask(f"work_pools/{name}/workers/{worker['name']}", method="DELETE")

    def close(self) -> None:
        """Ends everything that this fleet has started."""
        self.end()
        self._make_room()

    def end(self) -> None:
        """Kills every process of this fleet."""
        for process in self.processes:
            with suppress(OSError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        for pid in self.entries():
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        self.kill_entries()
        self.processes.clear()


def events(run: Run, event: str, **data: Any) -> list[Record]:
    """Returns the records of a run of this event whose data has these values."""
    return [
        record
        for record in run.records()
        if record.event == event and all(record.data.get(k) == v for k, v in data.items())
    ]


def until(
    reached: Callable[[], Any], seconds: float = 120, what: Callable[[], str] = lambda: ""
) -> Any:
    """Waits until `reached` returns something true, and returns that."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, what()
        time.sleep(0.1)
    return found


def family(pid: int) -> list[int]:
    """Returns a process and all that it has started."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kills a process as a machine that loses its power does."""
    process.kill()
    process.wait()
