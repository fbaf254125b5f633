"""What makes a new machine a worker: the script tells no secret, and does what it says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from millrace.cli.joining import cloud_init, script
from millrace.cli.joining_machine import Asked, constraints
from millrace.engine.errors import UsageError
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.settings import settings

Millrace = Callable[..., "subprocess.CompletedProcess[str]"]

FLEET = """\
version: 1
name: house
stores:
  home: {clearance: restricted}
  bucket: {url: "s3://acme/exchange", clearance: internal, endpoint: "https://s3.example.org"}
pools:
  desk: &desk
    where: local
    cores: 4
    memory: 8 GiB
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
  studio: {<<: *desk, runs: work, slots: 2}
  pods: {<<: *desk, runs: work, type: kubernetes}
  burst:
    where: cloud
    clearance: internal
    device: l4
    cores: 8
    memory: 32 GiB
    machines: {min: 0, max: 3}
    store: bucket
    prices:
      on_demand: &rate {amount: 1, currency: EUR, source: list, date: 2026-11-02}
      spot: {<<: *rate, amount: 0.4, interruptions_per_hour: 0.1}
"""
SERVER = "https://prefect.example.org/api"
SPOT = Asked(source="index", server=SERVER, basis="spot", idle_off=10)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A fleet with a pool of each sort."""
    (tmp_path / "pools.yaml").write_text(FLEET)
    return load_fleet(tmp_path / "pools.yaml")


def variables(text: str) -> dict[str, str]:
    """Returns the variables that a script sets, as bash reads them."""
    head = text.split("# What follows is the same", 1)[0]
    names = re.findall(r"^([a-z_0-9]+)=", head, re.MULTILINE)
    show = "; ".join(f"printf '%s\\0' \"${name}\"" for name in names)
    told = subprocess.run(
        ["bash", "-c", f"{head}\n{show}"], capture_output=True, text=True, check=True
    ).stdout
    return dict(zip(names, told.split("\0"), strict=False))


def test_a_script_tells_pool_clearance_store_and_server_and_no_secret(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hunter2-and-more")
    text = script(fleet, "burst", SPOT, settings())
    told = variables(text)
    assert told["pool"] == "burst"
    assert told["clearance"] == "internal"
    assert told["exchange"] == "s3://acme/exchange"
    assert told["endpoint"] == "https://s3.example.org"
    assert told["api"] == SERVER
    assert told["flags"] == " --basis spot --limit 1"
    assert told["idle_off"] == "10"
    assert told["requirement"].endswith(f"]=={version('millrace')}")
    assert "s3" in told["requirement"]
    assert "hunter2" not in text


def test_a_script_is_sound_bash(fleet: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "join.sh"
    path.write_text(script(fleet, "burst", SPOT, settings()))
    subprocess.run(["bash", "-n", str(path)], check=True)
    if shutil.which("shellcheck"):
        found = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True)
        assert found.returncode == 0, found.stdout


def test_words_from_outside_stay_words(fleet: Fleet, tmp_path: Path) -> None:
    evil = "$(touch " + str(tmp_path / "pwned") + ")'; `id`"
    text = script(fleet, "burst", replace(SPOT, secrets_by=evil), settings())
    assert variables(text)["secrets_by"] == evil
    assert not (tmp_path / "pwned").exists()


def test_cloud_init_carries_the_very_same_script_within_a_clouds_limit(fleet: Fleet) -> None:
    text = script(fleet, "burst", SPOT, settings())
    data = cloud_init(text)
    assert data.startswith("#cloud-config\n")
    assert len(data.encode()) < 16 * 1024  # what AWS takes as user data
    document = YAML(typ="safe").load(data)
    (file,) = document["write_files"]
    assert file["content"] == text
    assert file["permissions"] == "0700"
    assert document["runcmd"] == [["bash", file["path"]]]


def test_the_versions_of_this_installation_are_those_of_the_new_one() -> None:
    pinned = constraints([])
    assert f"prefect=={version('prefect')}" in pinned
    assert f"pydantic-core=={version('pydantic-core')}" in pinned  # what stands under others, too
    assert not any(line.startswith(("millrace", "pytest", "mypy")) for line in pinned)
    assert not any(line.startswith("s3fs==") for line in pinned)
    assert any(line.startswith("s3fs==") for line in constraints(["s3"]))


def test_a_pool_of_the_home_store_shares_it_and_a_conductor_conducts(fleet: Fleet) -> None:
    asked = Asked(source="index", server="http://127.0.0.1:4200/api")
    told = variables(script(fleet, "studio", asked, settings()))
    assert (told["shares_store"], told["home"]) == ("yes", str(settings().home))
    assert told["exchange"] == ""
    assert told["flags"] == " --basis own --limit 2"
    assert (told["secret_names"], told["fleet"]) == ("PREFECT_API_AUTH_STRING", "")
    conductor = variables(script(fleet, "desk", asked, settings()))
    assert conductor["flags"].endswith(" --conductor")
    assert conductor["fleet"] == str(fleet.path)  # and the keys of all stores that it serves
    assert {"AWS_ACCESS_KEY_ID", "MILLRACE_LEDGER"} <= set(conductor["secret_names"].split())
    assert "millrace[" in conductor["requirement"] and "s3" in conductor["requirement"]


@pytest.mark.parametrize(
    ("pool", "changes", "words"),
    [
        ("burst", {"server": "http://127.0.0.1:4200/api"}, "reached from this machine alone"),
        ("burst", {"server": "https://a:b@host/api"}, "holds credentials"),
        ("burst", {"server": ""}, "no Prefect server is configured"),
        ("burst", {"basis": None}, "paid for in several ways"),
        ("burst", {"basis": "own"}, "has no price for own"),
        ("burst", {"source": "https://a:b@host/m.whl"}, "--source holds credentials"),
        ("burst", {"source": "no-such.whl"}, "is neither a wheel"),
        ("pods", {"basis": None}, "are containers"),
        ("brust", {}, "no pool is called 'brust'; did you mean 'burst'"),
    ],
)
def test_what_could_not_work_is_refused_with_the_next_step(
    fleet: Fleet,
    pool: str,
    changes: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    asked = Asked(**{**vars(SPOT), **changes})
    with pytest.raises(UsageError, match=re.escape(words)) as refused:
        script(fleet, pool, asked, settings())
    assert refused.value.hint or "--source" in words or "neither" in words


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The wheel of the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=repository, check=True, capture_output=True, timeout=240)
    (found,) = folder.glob("*.whl")
    return found


def run_script(text: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a script into a bare folder, as on a machine that knows nothing of this one."""
    (folder / "join.sh").write_text(text)
    network = ("PIP_", "UV_", "SSL_CERT", "REQUESTS_CA")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME") or name.startswith(network) or name.lower().endswith("proxy")
    }
    return subprocess.run(
        ["bash", "join.sh"],
        cwd=folder,
        env=kept | {"MILLRACE_ROOT": str(folder / "machine")} | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def environment_file(path: Path) -> dict[str, str]:
    """Reads a file as systemd does: quoted values, in which only a backslash escapes."""
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if line)
    return {name: re.sub(r"\\(.)", r"\1", value[1:-1]) for name, value in pairs}


@pytest.mark.slow
def test_the_script_installs_a_worker_that_works_for_its_pool(
    fleet: Fleet,
    wheel: Path,
    millrace: Millrace,
    environment: dict[str, str],
    api: dict[str, str],
    tmp_path: Path,
) -> None:
    more = api | {"MILLRACE_FLEET": str(fleet.path)}
    deployed = millrace("deploy", **more)
    assert deployed.returncode == 0, deployed.stderr
    (settings().store).mkdir(parents=True, exist_ok=True)
    joined = millrace("pools", "join", "studio", "--source", str(wheel), "--idle-off", "5", **more)
    assert joined.returncode == 0, joined.stderr
    secret = api["PREFECT_API_AUTH_STRING"]
    assert secret not in joined.stdout

    tricky = 'user:pa"ss\\wo$rd'
    told = run_script(joined.stdout, tmp_path, PREFECT_API_AUTH_STRING=tricky)
    assert told.returncode == 0, told.stderr
    assert "pa" + '"' not in told.stdout + told.stderr
    machine = tmp_path / "machine"
    secrets = machine / "etc" / "millrace" / "secrets.env"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert environment_file(secrets) == {"PREFECT_API_AUTH_STRING": tricky}

    # A second time upgrades and keeps the secret where none is given; another wheel is refused.
    joined_again = run_script(joined.stdout, tmp_path)
    assert joined_again.returncode == 0, joined_again.stderr
    assert environment_file(secrets) == {"PREFECT_API_AUTH_STRING": tricky}
    swapped = joined.stdout.replace(variables(joined.stdout)["sha256"], "0" * 64)
    refused = run_script(swapped, tmp_path)
    assert refused.returncode == 1
    assert "is not the wheel that was meant" in refused.stderr

    unit = machine / "etc" / "systemd" / "system" / "millrace-worker.service"
    if shutil.which("systemd-analyze"):
        verified = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True
        )
        assert verified.returncode == 0, verified.stderr
    (start,) = re.findall(r"^ExecStart=(.+)$", unit.read_text(), re.MULTILINE)
    assert start.endswith("worker start studio --basis own --limit 2 --idle-off 5")
    set_up = environment_file(machine / "etc" / "millrace" / "worker.env")
    assert set_up["MILLRACE_CLEARANCE"] == "restricted"
    worker = subprocess.run(
        [*shlex.split(start), "--once"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        | set_up
        | {"PREFECT_API_AUTH_STRING": secret, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert worker.returncode == 0, worker.stderr
    assert "works for studio" in worker.stderr
    seen = millrace("pools", "--json", **more)
    assert seen.returncode == 0, seen.stderr
    (studio,) = [p for p in YAML(typ="safe").load(seen.stdout) if p["pool"] == "studio"]
    assert (studio["health"], studio["slots"]) == ("no worker", 2)  # it has taken its leave
    page = millrace("pools", **more | {"COLUMNS": "80"})
    assert max(map(len, page.stdout.splitlines())) <= 80
    assert "not deployed" not in page.stdout
