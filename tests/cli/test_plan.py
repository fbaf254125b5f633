"""The command plan on a fleet, as a person and a script see it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Millrace
from tests.engine.fleet.fleets import STUDIO_AND_BURST

PIPELINE = """
version: 1
name: copy
label: public
inputs:
  open: {files: "in/*.txt"}
  secret: {files: "secret/*.txt", label: restricted}
stages:
  one: {uses: faults.bytes, each: open}
  two: {uses: faults.bytes, each: secret}
goal: {prefer: cheapest, within: 6h, budget: 5 EUR}
"""


@pytest.fixture(autouse=True)
def pipeline(tmp_path: Path) -> None:
    for name in ("in/a.txt", "in/b.txt", "secret/c.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name * 400)
    (tmp_path / "p.yaml").write_text(PIPELINE)
    (tmp_path / "deployments").mkdir()
    fleet(tmp_path, STUDIO_AND_BURST)


def fleet(folder: Path, text: str) -> None:
    (folder / "deployments" / "pools.yaml").write_text(text)


def test_a_plan_on_the_fleet_shows_every_pool_with_its_price_time_cost_and_verdict(
    millrace: Millrace,
) -> None:
    reply = millrace("plan", "p.yaml", "--on", "fleet", COLUMNS="200")
    assert reply.returncode == 0, reply.stderr
    lines = [" ".join(line.split()) for line in reply.stdout.splitlines()]
    assert lines[0].startswith("copy (data public; on fleet, as declared; no server asked; goal:")
    two = lines[next(n for n, line in enumerate(lines) if line.startswith("two:")) :]
    assert two[0].endswith("restricted, on processors")
    verdicts = {line.split()[0]: line for line in two[2:6]}
    assert set(verdicts) == {"burst", "gpus", "rented", "studio"}
    assert "clearance: may see internal data, this is restricted" in verdicts["burst"]
    assert "clearance: may see public data, this is restricted" in verdicts["rented"]
    assert "0.49 EUR own" in verdicts["gpus"]
    assert "price: it fits, others cost less" in verdicts["gpus"]
    assert "takes 6" in verdicts["studio"]
    assert "deadline: met" in lines
    assert "budget: kept (5.00 EUR)" in lines
    assert any(re.match(r"done after about [\d.]+ s, for 0\.000\d+ EUR \(", x) for x in lines)
    assert "warning: the pools are taken as declared: no server is running" in lines


def test_the_same_plan_as_json_says_the_same_twice_and_writes_nothing(
    millrace: Millrace, home: Path
) -> None:
    words = ("plan", "p.yaml", "--on", "fleet", "--declared", "--json")
    one, two = (json.loads(millrace(*words).stdout) for _ in range(2))
    for told in (one, two):
        del told["disk"]["free"]
    assert one == two
    assert {g["stage"]: g["label"] for g in one["groups"]} == {"one": "public", "two": "restricted"}
    verdicts = one["groups"][0]["pools"]
    assert [v["pool"] for v in verdicts] == ["burst", "gpus", "rented", "studio"]
    assert set(verdicts[0]) == {
        "pool",
        "rule",
        "reason",
        "basis",
        "price",
        "seconds",
        "queue",
        "cost",
        "chosen",
        "source",
    }
    assert [p for p in (home / "store").rglob("*") if p.is_file()] == []


def test_a_stage_that_no_pool_may_run_is_shown_and_is_exit_code_3_with_the_rule(
    millrace: Millrace,
) -> None:
    reply = millrace("plan", "p.yaml", "--on", "burst", "--declared", "--json")
    assert reply.returncode == 3
    assert "two: no pool may run its restricted work: clearance: burst" in reply.stderr
    groups = {group["stage"]: group for group in json.loads(reply.stdout)["groups"]}
    assert (groups["one"]["rule"], groups["two"]["rule"]) == ("", "clearance")


def test_mistakes_in_where_to_plan_are_told_in_a_sentence(
    millrace: Millrace, tmp_path: Path
) -> None:
    wrong = millrace("plan", "p.yaml", "--on", "brust")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean 'burst'?" in wrong.stderr
    fleet(tmp_path, STUDIO_AND_BURST.replace("clearance: public", "clearance: pubic"))
    broken = millrace("plan", "p.yaml", "--on", "fleet")
    assert broken.returncode == 2
    assert "pools.yaml:" in broken.stderr
    (tmp_path / "deployments" / "pools.yaml").unlink()
    none = millrace("plan", "p.yaml", "--on", "fleet")
    assert none.returncode == 2
    assert "there is no fleet" in none.stderr


def test_a_plan_warns_of_prices_that_are_older_than_90_days(
    millrace: Millrace, tmp_path: Path
) -> None:
    old = STUDIO_AND_BURST.replace("date: 2026-11-01}\n", "date: 2025-01-01}\n")
    fleet(tmp_path, old)
    reply = millrace("plan", "p.yaml", "--on", "fleet", "--declared", "--json")
    warnings = json.loads(reply.stdout)["warnings"]
    assert any("this price is" in told and "pools.yaml:" in told for told in warnings)


def test_a_plan_asks_the_server_that_runs_and_starts_none(
    millrace: Millrace, api: dict[str, str], home: Path, tmp_path: Path
) -> None:
    mine = {name: f"asked-{name}" for name in ("studio", "burst")}  # others deploy the usual names
    path = tmp_path / "deployments" / "pools.yaml"
    text = path.read_text()
    for name, own in mine.items():
        text = text.replace(f"\n  {name}:", f"\n  {own}:")
    path.write_text(text)
    reply = millrace("plan", "p.yaml", "--on", "fleet", "--json", **api)
    assert reply.returncode == 0, reply.stderr
    made = json.loads(reply.stdout)
    assert made["asked"]
    assert {p["why_down"] for p in made["pools"]} == {"no such work pool: run `millrace deploy`"}
    assert all(sum(g["waiting"].values()) == g["batches"] for g in made["groups"])
    assert not (home / "server").exists()
