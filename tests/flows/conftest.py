"""One real Prefect server for all tests of flows: it takes 15 seconds to start."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.hosts.devices import inventory
from millrace.engine.labels import Label
from millrace.engine.outcome import Outcome
from millrace.engine.pipeline import load
from millrace.engine.recording import server
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings

FAULTS = Path(__file__).parents[1] / "plugins" / "faults"


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The home of a running local server."""
    home = Settings(tmp_path_factory.mktemp("server-home"), Label.RESTRICTED, 0.06)
    server.start(home)
    yield home
    server.stop(home)


@pytest.fixture
def recorded(prefect_home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> server.Api:
    """The server as a person has it: set by PREFECT_API_URL. Also the kind `faults.bytes`."""
    api = server.ensure(prefect_home)
    for name, value in server.environment(api).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(FAULTS))
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{FAULTS}{os.pathsep}{inherited}".rstrip(os.pathsep))
    return api


class Yard:
    """A work pool on the real server, real workers for it as processes, and what they work on.

    Speaks to the server by plain HTTP, so that nothing of Prefect's client hides what is sent.
    """

    def __init__(self, api: server.Api, folder: Path, home: Path) -> None:
        self.api, self.folder, self.home = api, folder, home
        self.pool = f"pool-{uuid.uuid4().hex[:8]}"
        self.deployments: dict[str, str] = {}
        self.sent: list[str] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.ask("work_pools/", {"name": self.pool, "type": "process"})
        for queue in ("own-normal", "spot-normal"):
            self.ask(f"work_pools/{self.pool}/queues", {"name": queue})

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str = "") -> Any:
        """Sends a request with the server's credential; returns the answer."""
        credential = base64.b64encode((self.api.auth or "").encode()).decode()
        request = urllib.request.Request(
            f"{self.api.url}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method or ("GET" if body is None else "POST"),
            headers={"content-type": "application/json", "authorization": f"Basic {credential}"},
        )
        for attempt in range(10):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if error.code != 503 or attempt == 9:  # a database that is busy
                    raise
                time.sleep(1)
        return None

    def deployment(self, flow: str, **others: Any) -> str:
        """Returns the id of a deployment of a flow in this pool, made anew."""
        flow_id = self.ask("flows/", {"name": flow})["id"]
        name = f"{self.pool}-{uuid.uuid4().hex[:6]}"
        body = {"name": name, "flow_id": flow_id, "work_pool_name": self.pool, **others}
        return str(self.ask("deployments/", body)["id"])

    def send(
        self,
        parameters: dict[str, Any],
        *,
        flow: str = "millrace-assignment",
        queue: str = "own-normal",
        deployment: str = "",
        **others: Any,
    ) -> str:
        """Makes a flow run in the pool; returns its id."""
        if not deployment:
            if flow not in self.deployments:
                self.deployments[flow] = self.deployment(flow)
            deployment = self.deployments[flow]
        body = {"parameters": parameters, "work_queue_name": queue, **others}
        made = self.ask(f"deployments/{deployment}/create_flow_run", body)
        self.sent.append(str(made["id"]))
        return self.sent[-1]

    def state(self, flow_run: str) -> dict[str, Any]:
        """Returns a flow run's state."""
        return dict(self.ask(f"flow_runs/{flow_run}")["state"])

    def wait(self, flow_run: str, *kinds: str, seconds: float = 150) -> dict[str, Any]:
        """Waits until a flow run is in one of these states (default: any final one)."""
        wanted = kinds or ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        return until(
            lambda: state if (state := self.state(flow_run))["type"] in wanted else None,
            seconds=seconds,
            what=lambda: f"{self.state(flow_run)}, wanted {wanted}",
        )

    def worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a worker of the pool, and returns once the server has heard of it."""
        name = f"w{len(self.workers)}-{uuid.uuid4().hex[:6]}"
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "millrace", "worker", "start", self.pool),
                *("--name", name, "--query", "0.3", *options),
            ],
            env=os.environ | {"MILLRACE_CLEARANCE": "restricted"} | environment,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.workers.append(process)
        until(lambda: process.poll() is not None or name in self.heard_of(), what=lambda: name)
        return process

    @staticmethod
    def until(reached: Callable[[], Any], seconds: float = 150) -> Any:
        """Waits until `reached` returns something true, and returns that."""
        return until(reached, seconds=seconds)

    def heard_of(self) -> list[str]:
        """Returns the names of the pool's workers."""
        return [w["name"] for w in self.ask(f"work_pools/{self.pool}/workers/filter", {})]

    def entries(self) -> list[int]:
        """Returns the process ids of this home's entry processes."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                words = path.read_bytes().split(b"\0")
                command = (path.parent / "cmdline").read_bytes().split(b"\0")
                mine = f"MILLRACE_HOME={self.home}".encode() in words
                if mine and b"millrace.flows.entry" in command:
                    found.append(int(path.parent.name))
        return found

    def conduct(self, document: str, **how: Any) -> tuple[Run, Outcome]:
        """Runs a pipeline whose assignments are flow runs of this pool; returns what came of it."""
        order = Order(pipeline=load(document, base=self.folder), base=self.folder, **how)
        here, machine = settings(), inventory()
        run = Runs(here).create(order)

        def dispatch(name: str) -> None:
            self.wait(self.send({"run_id": run.id, "assignment_id": name}))

        desk = partial(HereDesk, run, machine, dispatch=dispatch)
        return run, Conductor(run, order, here, machine, desk).conduct()

    def close(self) -> None:
        """Ends every worker and every entry process."""
        for process in self.workers:
            process.kill()
            process.wait()
        for pid in self.entries():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def until(
    reached: Callable[[], Any], *, seconds: float = 150, what: Callable[[], str] = lambda: ""
) -> Any:
    """Waits until `reached` returns something true, and returns that."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, what()
        time.sleep(0.1)
    return found


@pytest.fixture
def yard(
    recorded: server.Api, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Yard]:
    """A work pool without workers yet."""
    monkeypatch.delenv("MILLRACE_FLEET", raising=False)
    monkeypatch.chdir(tmp_path)  # where no fleet is declared
    made = Yard(recorded, tmp_path, home)
    yield made
    made.close()
