"""What a worker does on its machine before it takes any work."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from millrace.cli import worker
from millrace.engine.errors import UsageError
from millrace.engine.labels import Label
from millrace.engine.settings import Settings
from millrace.flows import serving
from millrace.flows.serving import Duty, serve
from millrace.flows.worker import Station


def ignore(text: str) -> None:
    """What a worker says is not of interest here."""


STATION = Station(pool="burst", name="w", home=Path())


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Lets workers end as soon as they begin; returns the environments they began with."""
    begun: list[dict[str, str]] = []

    async def serve(*_: object) -> None:
        begun.append(dict(os.environ))

    monkeypatch.setattr(serving, "_serve", serve)
    return begun


def leavings(home: Path) -> Path:
    """Leaves what a killed assignment leaves, ten minutes ago; returns its input."""
    run = home / "store" / "runs" / "20260101-000000-abcd"
    for name in ("locks/a0001.lock", "inputs/a0001/film.mp4", "assignments/a0001.json"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("left")
    os.utime(run / "locks" / "a0001.lock", (time.time() - 600,) * 2)
    return run / "inputs" / "a0001" / "film.mp4"


@pytest.mark.usefixtures("works")
def test_a_worker_removes_at_its_start_what_a_killed_assignment_has_left(home: Path) -> None:
    left = leavings(home)
    serve(STATION, Duty(), Settings(home, Label.PUBLIC, 0.06, exchange=f"{home}/x"), ignore)
    assert not left.parents[2].exists()


@pytest.mark.usefixtures("works")
def test_a_worker_in_the_conductors_store_removes_nothing_of_a_run(home: Path) -> None:
    left = leavings(home)
    serve(STATION, Duty(), Settings(home, Label.PUBLIC, 0.06), ignore)
    assert left.exists()


@pytest.mark.parametrize("url", ["nowhere://x", "s3://key:secret@bucket/x", "relative/folder"])
def test_a_worker_with_an_exchange_that_is_none_does_not_begin(
    works: list[dict[str, str]], home: Path, url: str
) -> None:
    with pytest.raises(UsageError) as caught:
        serve(STATION, Duty(), Settings(home, Label.PUBLIC, 0.06, exchange=url), ignore)
    assert "secret" not in str(caught.value)
    assert works == []


def test_a_worker_names_its_home_and_fleet_in_full_for_what_starts_elsewhere(
    works: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "pools.yaml").write_text("version: 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLRACE_HOME", "home")
    monkeypatch.setenv("MILLRACE_CLEARANCE", "public")
    monkeypatch.setenv("MILLRACE_FLEET", "")
    monkeypatch.setattr(worker, "recording", lambda *_: nullcontext())
    worker.start("studio", limit=1)
    assert works[0]["MILLRACE_HOME"] == str(tmp_path / "home")
    assert works[0]["MILLRACE_FLEET"] == str(tmp_path / "deployments" / "pools.yaml")
