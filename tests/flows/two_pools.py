"""A workstation and a rented machine on this one: two users, a real S3 server, real workers.

    with two_pools(server_home, folder) as two:
        two.burst_worker()
        two.studio_worker()
        run = two.send(document)
        two.over(run)

The workstation's user conducts and has the home store; only the conductor has its key of the
bucket. The rented machine's user has one that may do what the documentation's policy says.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from millrace.engine.labels import Label
from millrace.engine.recording import server
from millrace.engine.reporting import liveness
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import Settings
from tests.flows.fleet import events, until
from tests.flows.people import People, Person, two_people
from tests.s3 import S3
from tests.s3 import server as s3_server

FLEET = """
version: 1
name: two
stores:
  home: {{clearance: restricted}}
  bucket: {{url: "{url}", clearance: internal, endpoint: "{endpoint}", region: us-east-1}}
pools:
  conductor-{mark}: &machine
    where: local
    clearance: restricted
    cores: 2
    memory: 2 GiB
    store: home
    runs: conductors
    prices:
      own: {{hardware: 900, years: 3, watts: 100, energy: 0.3, currency: EUR, source: a bill,
        date: 2026-11-01}}
  studio-{mark}: {{<<: *machine, runs: work}}
  burst-{mark}:
    where: cloud
    clearance: internal
    cores: 2
    memory: 2 GiB
    store: bucket
    bandwidth: 100 MB/s
    prices:
      on_demand: {{amount: 0.4, currency: EUR, source: a list, date: 2026-11-01}}
"""


class TwoPools:
    """The fleet, the people who work for it, and what each of them may."""

    def __init__(self, api: server.Api, s3: S3, people: People) -> None:
        self.api, self.s3, self.people = api, s3, people
        self.studio, self.burst = people.studio, people.burst
        self.mark = uuid.uuid4().hex[:6]
        self.work = self.studio.home / "work"
        self.here = Settings(self.studio.home / "millrace", Label.RESTRICTED, 0.06)
        self.logs = people.folder / "logs"
        self.logs.mkdir(mode=0o700)
        self.keys = {who: secrets.token_hex(16) for who in ("conductor", "burst")}
        self.workers: dict[str, subprocess.Popen[Any]] = {}
        self._started: list[subprocess.Popen[Any]] = []
        self.studio.run("mkdir", "-p", self.work / "in")

    def set_up(self) -> None:
        """Gives each side a key of its own to the bucket, and makes the server have the fleet."""
        if self.s3.real:  # the other one lets everybody do everything
            for who, key in self.keys.items():
                self.s3.add_user(self.named(who), key)
            self.s3.permit(
                "exchange", worker=self.named("burst"), conductor=self.named("conductor")
            )
        url, endpoint = self.s3.url("exchange"), self.s3.endpoint
        self.write("pools.yaml", FLEET.format(mark=self.mark, url=url, endpoint=endpoint))
        self.make_room()
        self.command("deploy")

    def named(self, pool: str) -> str:
        """Returns what a pool is called on the server, where other fleets have theirs."""
        return f"{pool}-{self.mark}"

    # -- what each of them has -----------------------------------------------------------------

    def environment(self, person: Person, clearance: str, key: str = "") -> dict[str, str]:
        """Returns all that a process of a person sees; `key` names whose key of the bucket."""
        mine = {
            "PATH": f"{self.people.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TMPDIR": str(person.temporary),
            "MILLRACE_HOME": str(person.home / "millrace"),
            "MILLRACE_CLEARANCE": clearance,
            "PREFECT_API_URL": self.api.url,
            "PREFECT_API_AUTH_STRING": self.api.auth or "",
            "PREFECT_HOME": str(person.home / "prefect"),
        }
        if person.home == self.studio.home:
            mine["MILLRACE_FLEET"] = str(self.work / "pools.yaml")
        if key:
            names = {"AWS_ACCESS_KEY_ID": self.named(key), "AWS_SECRET_ACCESS_KEY": self.keys[key]}
            mine |= self.s3.environment | names
        return dict(self.people.environment) | mine

    def write(self, name: str, content: str | bytes) -> Path:
        """Writes a file of the workstation's user, whom alone it is open to."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if self.studio.user:
            for each in (path.parent, path):
                shutil.chown(each, self.studio.user)
        return path

    # -- processes -----------------------------------------------------------------------------

    def command(self, *words: str) -> str:
        """Runs `millrace` as the workstation's user; returns what it says."""
        done = self.studio.run(
            self.people.python,
            "-m",
            "millrace",
            *words,
            environment=self.environment(self.studio, "restricted"),
            cwd=self.work,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def conductor(self) -> subprocess.Popen[Any]:
        """Starts the worker that conducts runs: at home, with a key of the bucket."""
        surroundings = self.environment(self.studio, "restricted", key="conductor")
        return self._worker(self.studio, "conductor", surroundings, "--conductor")

    def studio_worker(self) -> subprocess.Popen[Any]:
        """Starts the workstation's worker: it sees the home store, and has no key."""
        return self._worker(self.studio, "studio", self.environment(self.studio, "restricted"))

    def burst_worker(self) -> subprocess.Popen[Any]:
        """Starts the rented machine's worker: it sees the bucket alone."""
        surroundings = self.environment(self.burst, "internal", key="burst")
        surroundings["MILLRACE_EXCHANGE"] = self.s3.url("exchange")
        return self._worker(self.burst, "burst", surroundings, "--basis", "on_demand")

    def _worker(
        self, person: Person, pool: str, environment: dict[str, str], *options: str
    ) -> subprocess.Popen[Any]:
        name = f"{pool}-{uuid.uuid4().hex[:4]}"
        words = ["worker", "start", self.named(pool), "--name", name, "--query", "0.3", *options]
        with (self.logs / f"{name}.log").open("wb") as log:
            process = person.popen(
                [self.people.python, "-m", "millrace", *words], environment, stdout=log, stderr=log
            )
        self._started.append(process)
        self.workers[pool] = process
        until(lambda: name in self._heard_of(pool) or process.poll() is not None, 120, self.told)
        assert process.poll() is None, self.told()
        return process

    def _heard_of(self, pool: str) -> set[str]:
        found = self._ask(f"work_pools/{self.named(pool)}/workers/filter", {})
        return {worker["name"] for worker in found}

    def close(self) -> None:
        """Ends everything that was started; the people's own end with them."""
        for process in self._started:
            process.kill()
            process.wait()
        self.make_room()

    # -- runs ----------------------------------------------------------------------------------

    def send(self, document: str) -> Run:
        """Sends a pipeline to the fleet as the workstation's user does; returns its run."""
        before = {run.id for run in Runs(self.here).list()}
        name = f"{uuid.uuid4().hex[:6]}.yaml"
        self.write(name, document)
        process = self.studio.popen(
            [self.people.python, "-m", "millrace", "run", name, "--on", "fleet", "--yes"],
            self.environment(self.studio, "restricted"),
            cwd=self.work,
            stdout=(self.logs / f"{name}.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        self._started.append(process)

        def new() -> list[Run]:
            assert not process.poll(), self.told()
            return [run for run in Runs(self.here).list() if run.id not in before]

        return until(new, 120, self.told)[0]  # type: ignore[no-any-return]

    def over(self, run: Run, seconds: float = 240) -> str:
        """Waits for the end of a run; returns its state."""
        until(lambda: liveness.ending(run), seconds, lambda: self.told(run))
        return liveness.state(run)

    def done(self, run: Run, stage: str = "") -> Counter[str]:
        """Returns how many batches each pool has done, by its short name."""
        pools = {r.data["assignment"]: r.data["pool"] for r in events(run, "assigned")}
        return Counter(
            pools[r.data["assignment"]].removesuffix(f"-{self.mark}")
            for r in events(run, "done")
            if not stage or r.stage == stage
        )

    def told(self, run: Run | None = None) -> str:
        """Returns what is worth knowing when a test waits in vain."""
        records = run.records() if run else []
        lines = [f"{r.at:.1f} {r.event} {r.item} {r.data}"[:400] for r in records]
        logs = [
            f"== {path.name}\n{path.read_text(errors='replace')[-2000:]}"
            for path in (*self.logs.glob("*.log"), *self.here.home.glob("worker/*.log"))
        ]
        return "\n".join([line for line in lines if " progress " not in line][-60:] + logs)

    # -- the server ----------------------------------------------------------------------------

    def make_room(self) -> None:
        """Removes the deployment that conducts runs: a server serves one fleet at a time."""
        with suppress(urllib.error.HTTPError):
            found = self._ask("deployments/name/millrace-pipeline/run")
            self._ask(f"deployments/{found['id']}", method="DELETE")

    def _ask(self, path: str, body: Any = None, method: str = "") -> Any:
        credential = base64.b64encode((self.api.auth or "").encode()).decode()
        request = urllib.request.Request(
            f"{self.api.url}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method or ("GET" if body is None else "POST"),
            headers={"content-type": "application/json", "authorization": f"Basic {credential}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def two_pools(server_home: Settings, folder: Path) -> Iterator[TwoPools]:
    """Makes the fleet, without workers yet; it ends with all that belongs to it."""
    with s3_server(folder, versions=True) as s3, two_people() as people:
        made = TwoPools(server.ensure(server_home), s3, people)
        try:
            made.set_up()
            yield made
        finally:
            made.close()
