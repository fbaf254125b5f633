"""That images hold what they say, and that containers do one thing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

TARGETS = ("worker-cpu", "worker-gpu", "worker-documents")


@pytest.fixture
def stages(repository: Path, imagecheck: Any) -> dict[str, Any]:
    found: dict[str, Any] = imagecheck.dockerfile.stages((repository / "Dockerfile").read_text())
    return found


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of stand-ins for what a container starts; each tells how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("millrace", "python"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $* [${{MILLRACE_FLOW_RUN:-}}]"\n')
        script.chmod(0o755)
    return folder


def start(
    repository: Path, programs: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [repository / "deployments" / "images" / "start.sh", *arguments],
        env={"PATH": f"{programs}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def chain(stages: dict[str, Any], target: str) -> list[Any]:
    """The instructions of a target, those of the stages it stands on first."""
    below = chain(stages, stages[target].base) if stages[target].base in stages else []
    return [*below, *stages[target].instructions]


def test_a_container_works_for_the_pool_it_is_given(repository: Path, programs: Path) -> None:
    ended = start(repository, programs, "studio", "--basis", "own")
    assert ended.stdout == "millrace worker start studio --basis own []\n"


def test_a_container_carries_out_the_flow_run_that_prefects_worker_names(
    repository: Path, programs: Path
) -> None:
    ended = start(repository, programs, "python", "-m", "millrace.flows.entry",
                  PREFECT__FLOW_RUN_ID="an-id")  # fmt: skip
    assert ended.stdout == "python -m millrace.flows.entry [an-id]\n"


def test_without_a_flow_run_it_says_so_and_starts_nothing(repository: Path, programs: Path) -> None:
    ended = start(repository, programs, "python", "-m", "millrace.flows.entry")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "PREFECT__FLOW_RUN_ID" in ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["python", "-c", "evil"],
        ["python", "-m", "millrace.flows.entry", "-c", "evil"],
        ["sh", "-c", "evil"],
        ["python -m millrace.flows.entry; evil"],
    ],
)
def test_whatever_else_it_is_told_it_does_not_run(
    repository: Path, programs: Path, command: list[str]
) -> None:
    ended = start(repository, programs, *command)
    assert ended.stdout.startswith("millrace worker start ")
    assert command[-1] in ended.stdout


def test_secrets_are_read_from_the_files_that_variables_name(
    repository: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("user:p$(touch evil)'\"`w")
    script = repository / "deployments" / "images" / "with-secrets.sh"
    environment = {"PATH": "/usr/bin:/bin", "PREFECT_API_AUTH_STRING_FILE": str(secret)}
    ended = subprocess.run([script, "env"], env=environment, cwd=tmp_path, text=True,
                           capture_output=True, check=True)  # fmt: skip
    assert f"PREFECT_API_AUTH_STRING={secret.read_text()}\n" in ended.stdout
    assert "_FILE" not in ended.stdout
    assert not (tmp_path / "evil").exists()
    secret.unlink()
    ended = subprocess.run([script, "env"], env=environment, text=True, capture_output=True,
                           check=False)  # fmt: skip
    assert ended.returncode == 2
    assert str(secret) in ended.stderr


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, int]]]:
    """A server whose answer to /api/health is what `says["status"]` holds."""
    says = {"status": 200}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(says["status"] if self.path == "/api/health" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}/api", says
    listening.shutdown()
    listening.server_close()


def test_a_container_is_healthy_while_its_server_answers(
    repository: Path, server: tuple[str, dict[str, int]]
) -> None:
    address, says = server
    script = repository / "deployments" / "images" / "health.py"

    def health(**environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", script]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert health(PREFECT_API_URL=address).returncode == 0
    assert health(PREFECT_API_URL=f"{address}/").returncode == 0
    says["status"] = 503
    unwell = health(PREFECT_API_URL=address)
    assert unwell.returncode == 1
    assert "503" in unwell.stderr
    assert health().returncode == 1
    assert health(PREFECT_API_URL="http://127.0.0.1:9/api").returncode == 1


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_in_particular_and_starts_through_one_door(
    stages: dict[str, Any], target: str
) -> None:
    last = {each.word: each for each in chain(stages, target)}
    assert last["USER"].text == "10001"
    assert json.loads(last["ENTRYPOINT"].text) == ["tini", "--", "with-secrets", "millrace-start"]
    assert "millrace-health" in last["HEALTHCHECK"].text
    assert last["STOPSIGNAL"].text == "SIGTERM"
    assert "org.opencontainers.image.licenses" in last["LABEL"].text


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_takes_from_a_build_stage_the_environment_alone(
    stages: dict[str, Any], target: str
) -> None:
    for each in chain(stages, target):
        if each.word == "COPY" and each.options.get("from", "").startswith("build"):
            assert each.text == "/opt/millrace /opt/millrace"
        assert each.options.get("from") != "tools"


def test_dependencies_come_from_the_lock_or_are_named_by_digest(
    stages: dict[str, Any], repository: Path
) -> None:
    installs = [
        each.text for stage in stages.values() for each in stage.instructions
        if each.word == "RUN" and "uv sync" in each.text
    ]  # fmt: skip
    assert len(installs) == 6
    for text in installs:
        assert "uv sync --frozen --no-dev" in text
        assert "uv pip install" not in text or "--require-hashes" in text
    assert "--hash=sha256:" in (repository / "deployments/images/gpu.txt").read_text()


def test_no_image_holds_what_may_not_be_passed_on_with_it(stages: dict[str, Any]) -> None:
    text = " ".join(each.text for stage in stages.values() for each in stage.instructions)
    for name in ("--extra render", "--extra all", "bpy", "neo4j:", "tensorrt"):
        assert name not in text


def test_the_build_context_holds_the_sources_and_no_secret(
    repository: Path, imagecheck: Any, stages: dict[str, Any]
) -> None:
    builder = imagecheck.layers.Builder(repository, repository)
    for stage in stages.values():
        for each in stage.instructions:
            if each.word == "COPY" and "from" not in each.options:
                for source in each.text.split()[:-1]:
                    assert list(builder.files(source)), f"{source} is not in the context"
    for name in ("deployments/compose/secrets/key", "deployments/.env", ".git/config", "shared/x"):
        assert not imagecheck.layers.kept(Path(name), builder.ignore), name
    assert not imagecheck.layers.kept(Path("millrace/__pycache__/a.pyc"), builder.ignore)
    assert imagecheck.layers.kept(Path("millrace/engine/plan.py"), builder.ignore)


def test_the_checker_reads_instructions_as_docker_does(imagecheck: Any) -> None:
    text = """# syntax=docker/dockerfile:1
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS one
RUN a \\
    # a comment in between
    && b
ENV A="x y" \\
    B=$A/bin

FROM one
COPY --from=one /a /b/
"""
    found = imagecheck.dockerfile.stages(text)
    assert [stage.base for stage in found.values()] == ["debian:bookworm-slim", "one"]
    assert found["one"].instructions[0].text.split() == ["a", "&&", "b"]
    assert imagecheck.dockerfile.assignments('A="x y" B=c') == {"A": "x y", "B": "c"}
    assert found["stage-1"].instructions[0].options == {"from": "one"}
    assert imagecheck.dockerfile.needed(found, "stage-1") == ("one", "stage-1")


@pytest.mark.parametrize(
    "text", ["FROM a\nADD b c", "FROM a\nONBUILD RUN b", "FROM a\nCOPY --chown=1 b c", "RUN b"]
)
def test_the_checker_passes_over_nothing_that_it_does_not_know(imagecheck: Any, text: str) -> None:
    with pytest.raises(imagecheck.dockerfile.Unreadable):
        imagecheck.dockerfile.stages(text)


def test_scripts_of_images_and_deployments_can_be_executed(repository: Path) -> None:
    for name in ("images/start.sh", "images/with-secrets.sh", "compose/secrets.sh",
                 "compose/databases.sh"):  # fmt: skip
        assert os.access(repository / "deployments" / name, os.X_OK), name
