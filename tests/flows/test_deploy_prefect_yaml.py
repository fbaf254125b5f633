"""Plain `prefect deploy --all` makes the deployments that `millrace deploy` does."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from millrace.engine.fleet import deployed
from millrace.engine.fleet.declared import declared, difference, mark
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.recording import server
from millrace.engine.recording.deploying import deploy
from millrace.engine.recording.deploying_present import present
from millrace.engine.recording.deploying_steps import take
from millrace.engine.recording.prefect import recording
from millrace.engine.settings import settings


def wanted(repository: Path) -> dict[str, dict[str, Any]]:
    """The deployments of the shipped fleet and pipeline, by flow and name."""
    fleet = load_fleet(repository / "deployments" / "pools.yaml")
    pipeline = deployed.read(repository / "deployments" / "pipelines" / "remaster.yaml", {})
    template: dict[str, Any] = {"variables": {"properties": {"env": {}}}}
    things = declared(fleet, [pipeline], dict.fromkeys(fleet.pools, template))
    return {thing.name: dict(thing.facts) for thing in things if thing.sort == "deployment"}


def test_prefect_yaml_is_in_step_with_the_shipped_fleet_and_pipeline(repository: Path) -> None:
    document = YAML(typ="safe").load((repository / "deployments" / "prefect.yaml").read_text())
    written = {}
    for each in document["deployments"]:
        flow = "assignment" if "assignment" in each["entrypoint"] else "pipeline"
        when = (each.get("schedules") or [{}])[0]
        written[f"millrace-{flow}/{each['name']}"] = {
            "pool": each["work_pool"]["name"],
            "queue": each["work_pool"]["work_queue_name"],
            "entrypoint": each["entrypoint"],
            "version": each["version"],
            "parameters": each["parameters"],
            "tags": sorted(each["tags"]),
            "cron": when.get("cron"),
            "timezone": when.get("timezone"),
            "variables": each["work_pool"]["job_variables"],
        }
    assert written == wanted(repository)
    assert {entry["version"] for entry in written.values()} == {version("millrace")}


@pytest.mark.slow
def test_plain_prefect_deploys_the_same_and_millrace_then_finds_nothing_to_change(
    recorded: server.Api, repository: Path
) -> None:
    fleet = load_fleet(repository / "deployments" / "pools.yaml")
    with recording(settings()):
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            for pool in fleet.pools:
                body = {"name": pool, "type": "process", "description": mark(fleet.name)}
                client.request("POST", "/work_pools/", json=body)
            try:
                told = subprocess.run(
                    [
                        *(str(Path(sys.executable).with_name("prefect")), "--no-prompt"),
                        *("deploy", "--all", "--prefect-file", "deployments/prefect.yaml"),
                    ],
                    cwd=repository,
                    env=os.environ
                    | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=180,
                    check=False,
                )
                assert told.returncode == 0, told.stdout + told.stderr
                names = {thing.name for thing in present(client, fleet.name, ())}
                assert names >= set(wanted(repository))
                changes = deploy(settings(), fleet, [], dry_run=True)
                assert not [c for c in changes if c.sort in ("deployment", "pipeline")]
            finally:
                for step in difference((), present(client, fleet.name, ()), prune=True):
                    take(client, step)
