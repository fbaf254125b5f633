"""That the fleet on one host is wired so that each part sees only what it needs."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from millrace.engine.fleet.reading import load_fleet
from millrace.engine.labels import Label

SCHEMA = Path(__file__).parent / "schemas" / "compose-spec.json"
OURS = "millrace/"
SECRET = re.compile(r"(PASSWORD|SECRET|AUTH_STRING|_KEY|KEY_ID|LEDGER)")


def networks(compose: dict[str, Any], service: str) -> set[str]:
    return set(compose["services"][service].get("networks", []))


def test_the_file_is_valid(compose: dict[str, Any]) -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    problems = [f"{list(each.path)}: {each.message}" for each in validator.iter_errors(compose)]
    assert not problems, problems


def test_a_mistake_in_the_file_is_found(compose: dict[str, Any]) -> None:
    wrong = json.loads(json.dumps(compose))
    wrong["services"]["studio"]["netwroks"] = ["control"]
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert any("netwroks" in each.message for each in validator.iter_errors(wrong))


def test_its_pools_are_those_of_the_fleet_that_ships(
    compose: dict[str, Any], deployments: Path
) -> None:
    fleet = load_fleet(deployments / "pools.yaml")
    for name in ("conductor", "box", "studio", "burst"):
        assert compose["services"][name]["command"][0] == name
        pool = fleet.pools[name]
        clearance = compose["services"][name]["environment"]["MILLRACE_CLEARANCE"]
        assert Label.parse(clearance) == pool.spec.clearance
        assert ("--conductor" in compose["services"][name]["command"]) == (pool.spec.runs != "work")


def test_only_the_server_and_conductors_reach_the_database(compose: dict[str, Any]) -> None:
    there = {name for name in compose["services"] if "database" in networks(compose, name)}
    assert there == {"postgres", "prefect", "conductor", "deploy"}
    assert not networks(compose, "burst") & networks(compose, "postgres")


def test_a_pool_of_lower_trust_has_nothing_of_the_house(compose: dict[str, Any]) -> None:
    burst = compose["services"]["burst"]
    assert networks(compose, "burst") == {"control", "store"}
    assert [volume.partition(":")[0] for volume in burst["volumes"]] == ["burst"]
    assert not any("LEDGER" in name for name in burst["environment"])
    assert "ledger_url" not in burst["secrets"]
    assert burst["environment"]["MILLRACE_CLEARANCE"] != "restricted"


def test_workers_have_no_ledger_and_local_pools_no_keys_of_the_store(
    compose: dict[str, Any],
) -> None:
    for name in ("box", "studio", "documents"):
        environment = compose["services"][name]["environment"]
        assert not any(key.startswith(("AWS_", "MILLRACE_LEDGER")) for key in environment), name


def test_nothing_is_published_but_on_the_loopback(compose: dict[str, Any]) -> None:
    published = {
        name: service["ports"]
        for name, service in compose["services"].items()
        if "ports" in service
    }
    assert set(published) == {"prefect"}
    assert all(port.startswith("127.0.0.1:") for port in published["prefect"])
    for network in ("database", "store", "graph"):
        assert compose["networks"][network] == {"internal": True}


def test_every_service_is_limited_watched_and_started_again(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= limits.keys(), name
        assert service["restart"] in ("unless-stopped", "no"), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"privileged", "pid", "ipc"} & service.keys(), name
        assert "docker.sock" not in json.dumps(service), name
        if service["image"].startswith(OURS):
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
    for name in ("postgres", "neo4j"):
        assert "test" in compose["services"][name]["healthcheck"]


def test_secrets_come_from_files_or_must_be_given(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            if SECRET.search(key):
                from_file = key.endswith("_FILE") and str(value).startswith("/run/secrets/")
                assert from_file or ":?" in str(value), (name, key)
                if from_file:
                    assert Path(value).name in service["secrets"], (name, key)


def test_our_images_are_of_this_version_and_exist_in_the_dockerfile(
    compose: dict[str, Any], repository: Path, imagecheck: Any
) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    stages = imagecheck.dockerfile.stages((repository / "Dockerfile").read_text())
    for service in compose["services"].values():
        image = service["image"]
        if image.startswith(OURS):
            target, _, tag = image.removeprefix(OURS).partition(":")
            assert target in stages
            assert tag == f"${{MILLRACE_VERSION:-{project['version']}}}"
        else:
            assert re.search(r":v?\d", image), f"{image} is not pinned"


def test_secrets_are_made_once_and_kept(
    deployments: Path, compose: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(deployments / "compose", tmp_path / "compose")
    for _ in range(2):
        subprocess.run([tmp_path / "compose" / "secrets.sh"], check=True, capture_output=True)
        made = {path.name: path.read_text() for path in (tmp_path / "compose/secrets").iterdir()}
        (tmp_path / "first").exists() or (tmp_path / "first").write_text(json.dumps(made))
    assert json.loads((tmp_path / "first").read_text()) == made
    wanted = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    assert set(made) == wanted
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE((tmp_path / "compose/secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert f"STORE_KEY={made['store_key']}" in (tmp_path / ".env").read_text()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A PostgreSQL server that listens on a socket alone; the variables of its superuser."""
    programs = max(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    folder = tmp_path_factory.mktemp("pg")
    own: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        for path in (folder, *list(folder.parents)[:3]):
            path.chmod(path.stat().st_mode | 0o055)
        os.chown(folder, user.pw_uid, user.pw_gid)
        own = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"],
        check=True, capture_output=True, cwd=folder, **own,
    )  # fmt: skip
    (data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control = [programs / "pg_ctl", "-D", data, "-w", "-t", "60"]
    subprocess.run(
        [*control, "-o", options, "-l", folder / "log", "start"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **own,
    )  # fmt: skip
    try:
        yield {"PGHOST": str(folder), "PATH": f"{programs}:{os.environ['PATH']}"}
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True,
                       cwd=folder, **own)  # fmt: skip


@pytest.mark.slow
def test_each_database_has_an_owner_who_cannot_enter_the_other(
    cluster: dict[str, str], deployments: Path, tmp_path: Path
) -> None:
    for name in ("prefect_database_password", "ledger_password"):
        (tmp_path / name).write_text(f"it's {name}")
    environment = {**os.environ, **cluster, "SECRETS": str(tmp_path)}
    script = deployments / "compose" / "databases.sh"
    subprocess.run([script], env=environment, check=True, capture_output=True)

    def enter(user: str, database: str, password: str) -> str:
        command = ["psql", "-U", user, "-d", database, "-w", "-c", "CREATE TABLE mine (a int)"]
        given = {**environment, "PGPASSWORD": password}
        ended = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
        return ended.stderr if ended.returncode else "entered"

    assert enter("prefect", "prefect", "it's prefect_database_password") == "entered"
    assert enter("ledger", "ledger", "it's ledger_password") == "entered"
    assert "permission denied" in enter("prefect", "ledger", "it's prefect_database_password")
    assert "authentication failed" in enter("ledger", "ledger", "guessed")
