"""The commands about the fleet that ask nobody: check, schema, devices, advise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from millrace.cli import options, pools
from millrace.engine.errors import DocumentError, UsageError
from millrace.engine.ledger import Ledger, Row
from millrace.engine.settings import settings

BROKEN = Path(__file__).parent.parent / "engine" / "fleet" / "broken"


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder of somebody who has declared no fleet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MILLRACE_FLEET", raising=False)
    return tmp_path


@pytest.fixture
def shipped(workplace: Path, repository: Path) -> Path:
    """The fleet that ships, where a person keeps theirs."""
    (workplace / "deployments").mkdir()
    return Path(shutil.copy(repository / "deployments" / "pools.yaml", workplace / "deployments"))


def run(*arguments: str) -> Result:
    app = typer.Typer()
    pools.register(app)
    return CliRunner().invoke(app, ["pools", *arguments])


def test_check_prints_every_problem_and_exits_with_two() -> None:
    result = run("check", str(BROKEN / "everything_at_once.yaml"))
    assert result.exit_code == 2
    assert "did you mean 'rtx-4090'" in result.stdout
    assert "hunter2" not in result.stdout
    assert result.stdout.splitlines()[-1].endswith("everything_at_once.yaml: 6 problems")


def test_check_shows_warnings_and_exits_with_zero() -> None:
    result = run("check", str(BROKEN / "warning_spot_alone.yaml"))
    assert result.exit_code == 0
    assert "warning: " in result.stdout
    assert "is valid" in result.stdout.splitlines()[-1]


def test_check_looks_where_the_fleet_is_expected(shipped: Path) -> None:
    result = run("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith(f"{shipped} is valid")


def test_check_of_no_fleet_names_the_file() -> None:
    result = run("check")
    assert result.exit_code == 2
    assert "there is no file" in result.stdout
    assert "deployments/pools.yaml" in result.stdout


def test_check_gives_scripts_the_places_of_problems() -> None:
    result = run("check", "--json", str(BROKEN / "price_zero.yaml"))
    found = json.loads(result.stdout)
    assert (found["valid"], len(found["problems"])) == (False, 1)
    assert found["problems"][0]["where"] == "pools.burst.prices.on_demand.amount"


def test_schema_writes_a_schema_and_says_where(workplace: Path) -> None:
    result = run("schema", "-o", "pools.schema.json")
    assert result.exit_code == 0
    written = json.loads((workplace / "pools.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(written)
    assert json.loads(run("schema").stdout) == written


def test_devices_lists_the_catalogue_and_shows_one_with_its_sources() -> None:
    everything = run("devices").stdout
    assert "rtx-4070-ti" in everything and "1,008 GB/s" in everything
    one = run("devices", "NVIDIA H100 80GB HBM3").stdout
    assert "3,350 GB/s" in one and "https://" in one and "rtx-4090" not in one
    assert {entry["name"] for entry in json.loads(run("devices", "--json").stdout)} >= {
        "h200",
        "cpu",
    }
    assert "did you mean 'rtx-4090'" in str(run("devices", "rtx-4900").exception)


def test_advice_without_a_fleet_judges_the_classes_alone() -> None:
    result = run("advise", "documents")
    assert result.exit_code == 0
    assert "no pools are declared" in result.stdout
    assert "12 GB or more" in result.stdout


def test_advice_judges_the_pools_with_prices_and_what_was_measured(shipped: Path) -> None:
    Ledger(settings().ledger).record(
        [Row(at=1, kind="video.encode", version=1, device="RTX 4090", seconds=2, units=100)]
    )
    found = json.loads(run("advise", "video", "--json").stdout)
    assert (found["workload"], found["currency"]) == ("video", "EUR")
    studio = next(one for one in found["pools"] if one["name"] == "studio")
    assert studio["verdict"] == "best"
    assert studio["price_per_hour"] == {"own": pytest.approx(0.507)}
    assert studio["measured"][0]["units_per_second"] == 50
    burst = next(one for one in found["pools"] if one["name"] == "burst")
    assert "no NVENC" in " ".join(burst["reasons"])
    table = run("advise", "video").stdout
    assert "50 frames/s (1 batch)" in table
    assert "0.51 own" in table


def test_advice_of_an_unknown_workload_names_the_nearest() -> None:
    error = run("advise", "rendr").exception
    assert isinstance(error, UsageError)
    assert "did you mean 'render'" in str(error)


def test_a_broken_fleet_stops_advice_with_its_problems(shipped: Path) -> None:
    shutil.copy(BROKEN / "unknown_store.yaml", shipped)
    error = run("advise", "render").exception
    assert isinstance(error, DocumentError)
    assert "no store is called 'buckte'" in str(error)


def test_pools_without_a_fleet_says_how_to_get_one() -> None:
    error = run().exception
    assert isinstance(error, UsageError)
    assert "there is no fleet" in str(error)
    assert "docs/pools.md" in error.hint


def test_names_are_completed(shipped: Path) -> None:
    assert options.complete_pools("b") == ["box", "burst"]
    assert options.complete_places("") == ["here", "fleet", "studio", "box", "burst"]
    assert pools.complete_workloads("d") == ["documents"]
    assert pools.complete_devices("rtx-4") == ["rtx-4070-ti", "rtx-4090"]
    shipped.unlink()
    assert options.complete_pools("") == []
