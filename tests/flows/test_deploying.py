"""Deploying to a real Prefect server: twice is once, dry is dry, and others' things are theirs."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.errors import UsageError
from millrace.engine.fleet import deployed
from millrace.engine.fleet.declared import Change, difference
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.recording import server
from millrace.engine.recording.deploying import deploy
from millrace.engine.recording.deploying_present import present
from millrace.engine.recording.deploying_steps import take
from millrace.engine.recording.observing import observe
from millrace.engine.recording.prefect import recording
from millrace.engine.settings import settings

pytestmark = pytest.mark.slow

FLEET = """\
version: 1
name: NAME
stores:
  home: {clearance: restricted}
pools:
  NAME-desk: &desk
    where: local
    cores: 4
    memory: 8 GiB
    slots: 2
    store: home
    clearance: restricted
    runs: conductors
    prices:
      own:
        hardware: 900
        years: 5
        watts: 60
        energy: 0.3
        currency: EUR
        source: bill
        date: 2026-11-02
  NAME-studio: {<<: *desk, runs: work}
  NAME-pods: {<<: *desk, runs: work, type: kubernetes}
"""

PIPELINE = """\
version: 1
name: NAME-nightly
label: internal
inputs:
  clips: {files: "*.mp4"}
stages:
  small:
    uses: video.encode
    each: clips
outputs:
  made: {from: small, to: "out/{source.path}.mp4"}
schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}
"""


class House:
    """A fleet of a name of its own, so that the tests may share a server."""

    def __init__(self, folder: Path, name: str, client: Any) -> None:
        self.folder, self.name, self.client = folder, name, client
        self.write(FLEET)
        self.document = folder / "nightly.yaml"
        self.document.write_text(PIPELINE.replace("NAME", name))

    def write(self, text: str) -> None:
        """Declares another fleet of the same name."""
        (self.folder / "pools.yaml").write_text(text.replace("NAME", self.name))

    @property
    def fleet(self) -> Fleet:
        """What is declared now."""
        return load_fleet(self.folder / "pools.yaml")

    def deploy(
        self, *, named: bool = False, dry_run: bool = False, prune: bool = False
    ) -> tuple[Change, ...]:
        """Deploys the fleet, with its pipeline if `named`."""
        pipelines = [deployed.read(self.document, {})] if named else []
        return deploy(settings(), self.fleet, pipelines, dry_run=dry_run, prune=prune)

    def get(self, path: str) -> Any:
        """Returns what the server has at a path."""
        return self.client.request("GET", path).json()

    def nightly(self) -> Any:
        """Returns the pipeline's deployment, as the server has it."""
        return self.get(f"/deployments/name/millrace-pipeline/{self.name}-nightly")


@pytest.fixture
def house(recorded: server.Api, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """A fleet that nothing is deployed of; what a test deploys is removed after it."""
    with recording(settings()):
        from prefect.client.orchestration import get_client

        name = f"h{zlib.crc32(request.node.name.encode())}"
        with get_client(sync_client=True) as client:
            _without_any_run(client)
            yield House(tmp_path, name, client)
            for step in difference((), present(client, name, ()), prune=True):
                take(client, step)


def _without_any_run(client: Any) -> None:
    """Removes the deployment of which a server has one, in case another test left it."""
    body = {
        "flows": {"name": {"any_": ["millrace-pipeline"]}},
        "deployments": {"name": {"any_": ["run"]}},
    }
    for found in client.request("POST", "/deployments/filter", json=body).json():
        client.request("DELETE", f"/deployments/{found['id']}")


def marks(changes: tuple[Change, ...]) -> set[tuple[str, str]]:
    """The marks and names of steps."""
    return {(change.mark, change.name) for change in changes}


def test_deploying_makes_everything_and_a_second_time_changes_nothing(house: House) -> None:
    assert {change.mark for change in house.deploy(named=True)} == {"+"}

    pool = house.get(f"/work_pools/{house.name}-studio")
    assert (pool["type"], pool["concurrency_limit"]) == ("process", 4)
    night = house.nightly()
    assert night["work_pool_name"] == f"{house.name}-desk"
    assert night["parameters"] == {"scheduled": f"{house.name}-nightly"}
    (schedule,) = night["schedules"]
    assert schedule["schedule"]["cron"] == "30 2 * * *"
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert "millrace" in night["tags"]
    ticks = {"deployments": {"id": {"any_": [night["id"]]}}}
    _until(lambda: house.client.request("POST", "/flow_runs/filter", json=ticks).json(), 90)
    kept = deployed.load(settings(), f"{house.name}-nightly")
    assert kept.order.base == house.folder

    assert house.deploy(named=True) == ()
    assert house.deploy(prune=True) == ()


def test_a_dry_run_tells_what_would_change_and_changes_nothing(house: House) -> None:
    told = house.deploy(named=True, dry_run=True)
    assert ("+", f"{house.name}-studio") in marks(told)
    assert deployed.listed(settings()) == []
    assert observe([f"{house.name}-studio"])[f"{house.name}-studio"].exists is False

    house.deploy(named=True)
    house.document.write_text(house.document.read_text().replace("30 2", "45 3"))
    told = house.deploy(named=True, dry_run=True)
    assert {(c.sort, d) for c in told for d in c.details} == {
        ("pipeline", "the document changed"),
        ("pipeline", "the order changed"),
        ("deployment", "cron 30 2 * * * → 45 3 * * *"),
    }
    assert house.nightly()["schedules"][0]["schedule"]["cron"] == "30 2 * * *"
    house.deploy(named=True)
    assert house.nightly()["schedules"][0]["schedule"]["cron"] == "45 3 * * *"


def test_what_somebody_changed_on_the_server_is_put_right(house: House) -> None:
    house.deploy()
    name = f"{house.name}-studio"
    house.client.request("PATCH", f"/work_pools/{name}", json={"concurrency_limit": 99})
    found = house.get(f"/deployments/name/millrace-assignment/{name}")
    path = f"/deployments/{found['id']}"
    house.client.request("PATCH", path, json={"entrypoint": "evil.py:flow"})
    automations = {"automations": {"name": {"any_": [f"Millrace fleet {house.name}: heartbeats"]}}}
    (ours,) = house.client.request("POST", "/automations/filter", json=automations).json()
    tampered = {k: ours[k] for k in ("name", "description", "enabled", "actions")}
    tampered["trigger"] = ours["trigger"] | {"within": 3600.0}
    house.client.request("PUT", f"/automations/{ours['id']}", json=tampered)

    assert {(c.mark, c.sort) for c in house.deploy()} == {
        ("~", "pool"),
        ("~", "deployment"),
        ("~", "automation"),
    }
    assert house.get(f"/work_pools/{name}")["concurrency_limit"] == 4
    assert house.get(path)["entrypoint"] == "millrace.flows.assignment.assignment"
    assert house.deploy() == ()


def test_a_paused_pool_or_schedule_stays_paused(house: House) -> None:
    house.deploy(named=True)
    name = f"{house.name}-studio"
    house.client.request("PATCH", f"/work_pools/{name}", json={"is_paused": True})
    night = house.nightly()
    schedule = f"/deployments/{night['id']}/schedules/{night['schedules'][0]['id']}"
    house.client.request("PATCH", schedule, json={"active": False})
    house.client.request("PATCH", f"/work_pools/{name}", json={"concurrency_limit": 9})
    house.client.request("PATCH", f"/deployments/{night['id']}", json={"version": "old"})
    assert marks(house.deploy()) == {
        ("~", name),
        ("~", f"millrace-pipeline/{house.name}-nightly"),
    }
    assert house.get(f"/work_pools/{name}")["is_paused"] is True
    assert observe([name])[name].paused
    assert house.nightly()["schedules"][0]["active"] is False


def test_pruning_removes_what_is_no_longer_declared_and_leaves_other_peoples_things(
    house: House,
) -> None:
    house.deploy(named=True)
    theirs = {"name": f"{house.name}-theirs", "type": "process"}
    house.client.request("POST", "/work_pools/", json=theirs)
    flow = house.client.request("POST", "/flows/", json={"name": "millrace-pipeline"}).json()["id"]
    body = {"name": theirs["name"], "flow_id": flow, "tags": ["millrace"]}
    house.client.request("POST", "/deployments/", json=body)
    house.write(FLEET.replace("  NAME-pods: {<<: *desk, runs: work, type: kubernetes}\n", ""))
    house.document.unlink()

    assert house.deploy() == ()
    removed = {name for mark, name in marks(house.deploy(prune=True)) if mark == "-"}
    assert removed == {
        f"{house.name}-pods",
        *(f"{house.name}-pods/own-{priority}" for priority in ("high", "normal", "low")),
        f"millrace-assignment/{house.name}-pods",
        f"millrace-pipeline/{house.name}-nightly",
        f"{house.name}-nightly",
    }
    assert not observe([f"{house.name}-pods"])[f"{house.name}-pods"].exists
    assert deployed.listed(settings()) == []
    assert house.get(f"/work_pools/{theirs['name']}")["name"] == theirs["name"]
    assert house.get(f"/deployments/name/millrace-pipeline/{theirs['name']}")["tags"] == [
        "millrace"
    ]
    assert house.deploy(prune=True) == ()


def test_somebody_elses_pool_and_another_fleets_server_are_not_taken_over(
    house: House, tmp_path: Path
) -> None:
    pool = {"name": f"{house.name}-studio", "type": "process", "description": "ours since 2019"}
    house.client.request("POST", "/work_pools/", json=pool)
    with pytest.raises(UsageError, match="not this fleet's"):
        house.deploy()
    assert house.get(f"/work_pools/{pool['name']}")["description"] == "ours since 2019"
    assert not observe([f"{house.name}-desk"])[f"{house.name}-desk"].exists

    # Given to the fleet, it is the fleet's.
    given = {"description": f"Millrace fleet {house.name}"}
    house.client.request("PATCH", f"/work_pools/{pool['name']}", json=given)
    house.deploy()
    (tmp_path / "other").mkdir()
    other = House(tmp_path / "other", f"{house.name}x", house.client)
    with pytest.raises(UsageError, match="that is not this fleet's") as refused:
        other.deploy()
    assert "one fleet" in refused.value.hint
    assert house.deploy() == ()


def test_containers_start_our_entry_point_alone_and_the_server_takes_nothing_but_ids(
    house: House,
) -> None:
    from prefect.exceptions import PrefectHTTPStatusError

    house.deploy()
    template = house.get(f"/work_pools/{house.name}-pods")["base_job_template"]
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == "python -m millrace.flows.entry"
    assert "command" not in template["variables"]["properties"]
    assert "{{ command }}" not in str(template)

    name = f"/deployments/name/millrace-assignment/{house.name}-studio"
    path = f"/deployments/{house.get(name)['id']}/create_flow_run"
    for bad in ("../../etc/passwd", "a b", "$(reboot)", ""):
        body = {"parameters": {"run_id": bad, "assignment_id": "a0001"}}
        with pytest.raises(PrefectHTTPStatusError, match="409"):
            house.client.request("POST", path, json=body)


def test_a_container_carries_out_the_flow_run_that_prefects_own_worker_names(house: House) -> None:
    house.deploy()
    found = house.get(f"/deployments/name/millrace-assignment/{house.name}-pods")
    body = {"parameters": {"run_id": "20261102-101010-abcd", "assignment_id": "a0001"}}
    path = f"/deployments/{found['id']}/create_flow_run"
    made = house.client.request("POST", path, json=body).json()
    ended = subprocess.run(
        [sys.executable, "-m", "millrace.flows.entry"],
        env=os.environ | {"PREFECT__FLOW_RUN_ID": made["id"]},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    after = house.get(f"/flow_runs/{made['id']}")["state"]
    assert (after["type"], after["message"]) == ("FAILED", "UsageError")  # there is no such run


def test_the_load_and_the_workers_of_a_pool_are_seen_by_the_servers_clock(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy()
    name = f"{house.name}-studio"
    house.client.send_worker_heartbeat(name, "first", 30)
    deployment = house.get(f"/deployments/name/millrace-assignment/{name}")["id"]
    now = datetime.datetime.now(datetime.UTC)
    for minutes in (-5, -0.05, 60):
        due = (now + datetime.timedelta(minutes=minutes)).isoformat()
        body = {
            "parameters": {"run_id": "20261102-101010-abcd", "assignment_id": "a0001"},
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": due}},
        }
        path = f"/deployments/{deployment}/create_flow_run"
        house.client.request("POST", path, json=body)
    monkeypatch.setattr("time.time", lambda: 4e9)  # this host's clock is wrong by decades
    seen = observe([name, "no-such-pool"])
    assert not seen["no-such-pool"].exists
    assert (seen[name].pending, seen[name].late, seen[name].running) == (2, 1, 0)
    (worker,) = seen[name].workers
    assert (worker.name, worker.alive) == ("first", True)
    assert worker.age < 60


@pytest.mark.soak
@pytest.mark.timeout(420)
def test_a_flow_run_whose_process_was_killed_is_marked_crashed_by_the_server(
    house: House, tmp_path: Path
) -> None:
    house.deploy()
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    tag = f"fleet:{house.name}"
    names = (tag, "other")
    sleepers = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "sleeper.py"), name],
            env=os.environ | {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"},
        )
        for name in names
    ]
    try:
        _until(lambda: all(_state(house, name) == "Running" for name in names), 90)
        time.sleep(5)  # the first heartbeat follows the start
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
    _until(lambda: _state(house, tag) == "Crashed", 240)
    assert _state(house, "other") == "Running"  # no concern of ours


SLEEPER = """
import sys, time
from prefect import flow, tags

@flow(name="sleeper")
def sleeper():
    time.sleep(600)

with tags(sys.argv[1]):
    sleeper()
"""


def _state(house: House, tag: str) -> str:
    body = {"flow_runs": {"tags": {"all_": [tag]}}, "flows": {"name": {"any_": ["sleeper"]}}}
    found = house.client.request("POST", "/flow_runs/filter", json=body).json()
    return str(found[0]["state_name"]) if found else ""


def _until(done: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(1)
