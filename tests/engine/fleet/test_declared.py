"""What a fleet and its pipelines need on a Prefect server, and the steps from what is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.errors import UsageError
from millrace.engine.fleet import deployed
from millrace.engine.fleet.declared import Thing, declared, difference, queues
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.settings import settings

FLEET = """\
version: 1
name: house
stores:
  home: {clearance: restricted}
  bucket: {url: "s3://acme/exchange", clearance: internal}
pools:
  desk:
    where: local
    cores: 4
    memory: 8 GiB
    slots: 3
    store: home
    clearance: restricted
    runs: conductors
    prices: &own
      own: {hardware: 900, years: 5, watts: 60, energy: 0.3, currency: EUR, source: bill, date: 2026-11-02}
  studio: {where: local, cores: 8, memory: 16 GiB, store: home, clearance: restricted, prices: *own}
  burst:
    where: cloud
    clearance: internal
    device: l4
    cores: 8
    memory: 32 GiB
    machines: {min: 0, max: 3}
    store: bucket
    prices:
      on_demand: {amount: 1, currency: EUR, source: list, date: 2026-11-02}
      spot: {amount: 0.4, currency: EUR, source: list, date: 2026-11-02, interruptions_per_hour: 0.1}
"""  # noqa: E501

PIPELINE = """\
version: 1
name: nightly
label: internal
parameters:
  out: {type: path, default: out}
inputs:
  clips: {files: "*.mp4"}
stages:
  small:
    uses: video.encode
    each: clips
outputs:
  made: {from: small, to: "${out}/{source.path}.mp4"}
schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}
"""

TEMPLATE: dict[str, Any] = {
    "job_configuration": {"command": "{{ command }}"},
    "variables": {"properties": {"env": {}, "command": {}}},
}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A conductor's desk, a local pool and a cloud pool."""
    (tmp_path / "pools.yaml").write_text(FLEET)
    return load_fleet(tmp_path / "pools.yaml")


@pytest.fixture
def nightly(tmp_path: Path) -> deployed.Deployed:
    """A pipeline with a schedule."""
    (tmp_path / "nightly.yaml").write_text(PIPELINE)
    return deployed.read(tmp_path / "nightly.yaml", {"out": "elsewhere"})


def things(fleet: Fleet, *pipelines: deployed.Deployed) -> dict[str, Thing]:
    """What is declared, by sort and name."""
    made = declared(fleet, pipelines, dict.fromkeys(fleet.pools, TEMPLATE))
    return {f"{thing.sort} {thing.name}": thing for thing in made}


def test_a_pool_has_a_queue_for_each_basis_and_priority_the_urgent_before_the_others(
    fleet: Fleet,
) -> None:
    assert queues(fleet.pools["burst"]) == (
        "on_demand-high",
        "spot-high",
        "on_demand-normal",
        "spot-normal",
        "on_demand-low",
        "spot-low",
    )
    made = things(fleet)
    ranks = [made[f"queue burst/{name}"].facts["priority"] for name in queues(fleet.pools["burst"])]
    assert ranks == [1, 2, 3, 4, 5, 6]


def test_a_pool_may_hold_as_many_flow_runs_as_its_machines_have_slots_and_as_many_that_wait(
    fleet: Fleet,
) -> None:
    made = things(fleet)
    assert made["pool burst"].facts["limit"] == 6
    assert made["pool desk"].facts["limit"] == 3  # conductors do not wait
    assert made["pool studio"].facts["limit"] == 2


def test_pools_for_work_get_assignments_and_the_pool_of_conductors_gets_pipelines(
    fleet: Fleet, nightly: deployed.Deployed
) -> None:
    made = things(fleet, nightly)
    deployments = {name: t for name, t in made.items() if t.sort == "deployment"}
    assert set(deployments) == {
        "deployment millrace-assignment/studio",
        "deployment millrace-assignment/burst",
        "deployment millrace-pipeline/run",
        "deployment millrace-pipeline/nightly",
    }
    night = made["deployment millrace-pipeline/nightly"].facts
    assert (night["pool"], night["cron"], night["timezone"]) == (
        "desk",
        "30 2 * * *",
        "Europe/Berlin",
    )
    assert night["parameters"] == {"scheduled": "nightly"}
    assert made["deployment millrace-pipeline/run"].facts["cron"] is None


def test_nothing_that_prefect_is_told_says_what_a_pipeline_holds(
    fleet: Fleet, nightly: deployed.Deployed
) -> None:
    made = things(fleet, nightly)
    told = [t for t in made.values() if t.sort != "pipeline"]  # that one stays in the home store
    assert "elsewhere" in str(made["pipeline nightly"])
    for word in ("elsewhere", "clips", "mp4", "nightly.yaml", "s3://"):
        assert word not in str(told)


def test_a_fleet_without_a_place_for_conductors_is_refused_with_the_next_step(
    tmp_path: Path,
) -> None:
    text = FLEET.replace("    runs: conductors\n", "")
    (tmp_path / "pools.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"no pool .* takes conductors") as refused:
        things(load_fleet(tmp_path / "pools.yaml"))
    assert "runs: conductors" in refused.value.hint


def test_what_is_as_declared_needs_no_step(fleet: Fleet, nightly: deployed.Deployed) -> None:
    made = tuple(things(fleet, nightly).values())
    assert difference(made, made, prune=True) == ()


def test_on_an_empty_server_pools_come_before_what_stands_in_them(
    fleet: Fleet, nightly: deployed.Deployed
) -> None:
    steps = difference(things(fleet, nightly).values(), ())
    assert {step.mark for step in steps} == {"+"}
    sorts = [step.sort for step in steps]
    assert sorts == sorted(
        sorts, key=["pool", "queue", "pipeline", "deployment", "automation"].index
    )


def test_a_change_says_what_it_was_and_will_be(fleet: Fleet, nightly: deployed.Deployed) -> None:
    made = things(fleet, nightly)
    there = dict(made)
    pool, night = made["pool burst"], made["deployment millrace-pipeline/nightly"]
    kept = made["pipeline nightly"]
    there["pool burst"] = replace(pool, facts={**pool.facts, "limit": 9})
    there[f"deployment {night.name}"] = replace(night, facts={**night.facts, "cron": "0 1 * * *"})
    there["pipeline nightly"] = replace(
        kept, facts={**kept.facts, "document": "0" * 64, "set": {"out": "here"}}
    )
    steps = difference(made.values(), there.values())
    assert {(s.mark, s.name): s.details for s in steps} == {
        ("~", "burst"): ("limit 9 → 6",),
        ("~", "nightly"): ("the document changed", "set differs: out"),
        ("~", "millrace-pipeline/nightly"): ("cron 0 1 * * * → 30 2 * * *",),
    }


def test_only_pruning_removes_and_never_what_others_made(fleet: Fleet) -> None:
    made = things(fleet)
    old = Thing("pool", "old", {}, ours=True)
    queue = Thing("queue", "old/own-high", {}, ours=True)
    theirs = Thing("pool", "theirs", {}, ours=False)
    there = [*made.values(), old, queue, theirs]
    assert difference(made.values(), there) == ()
    removed = difference(made.values(), there, prune=True)
    assert [(s.mark, s.sort, s.name) for s in removed] == [
        ("-", "queue", "old/own-high"),
        ("-", "pool", "old"),
    ]


def test_a_name_that_somebody_else_has_taken_is_an_error_and_not_overwritten(fleet: Fleet) -> None:
    made = things(fleet)
    theirs = replace(made["pool studio"], ours=False)
    with pytest.raises(UsageError, match="'studio' that is not this fleet's") as refused:
        difference(made.values(), [theirs])
    assert "Millrace fleet house" in refused.value.hint


def test_a_pool_of_another_type_is_never_deleted_behind_a_persons_back(fleet: Fleet) -> None:
    made = things(fleet)
    pool = made["pool studio"]
    docker = replace(pool, facts={**pool.facts, "type": "docker"})
    with pytest.raises(UsageError, match="of type docker on the server, process in"):
        difference(made.values(), [docker])


def test_a_deployed_pipeline_is_kept_as_it_was_until_it_is_deployed_again(
    nightly: deployed.Deployed, tmp_path: Path
) -> None:
    here = settings()
    deployed.save(here, nightly)
    assert not deployed.load(here, "nightly").changed
    document = tmp_path / "nightly.yaml"
    document.write_text(PIPELINE.replace("30 2", "45 3"))
    kept = deployed.load(here, "nightly")
    assert kept.changed
    assert kept.order.model_dump_json() == nightly.order.model_dump_json()
    assert Path(str(kept.order.pipeline.values["out"])).name == "elsewhere"
    assert (kept.order.on, kept.order.scheduled) == ("fleet", "nightly")
    assert kept.order_digest == nightly.order_digest
    deployed.remove(here, "nightly")
    with pytest.raises(UsageError, match="no pipeline 'nightly' is deployed here"):
        deployed.load(here, "nightly")


@pytest.mark.parametrize("name", ["run", "a b", "../x", "x" * 65])
def test_a_name_that_is_no_deployments_is_refused_before_anything_is_kept(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("nightly", name))
    with pytest.raises(UsageError, match="cannot be deployed"):
        deployed.read(tmp_path / "p.yaml", {})
    assert deployed.listed(settings()) == []


def test_a_damaged_record_neither_hides_the_others_nor_passes_for_one(
    nightly: deployed.Deployed,
) -> None:
    here = settings()
    deployed.save(here, nightly)
    (here.store / "deployed" / "broken.json").write_text("{")
    assert [each.name for each in deployed.listed(here)] == ["nightly"]
    with pytest.raises(UsageError, match="broken cannot be read"):
        deployed.load(here, "broken")
