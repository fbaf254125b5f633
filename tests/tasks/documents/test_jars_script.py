"""`scripts/jars.sh`: jars come once, and only the pinned ones. Maven is a stand-in."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAVEN = """#!/bin/bash
echo called >>"$CALLS"
for word in "$@"; do case $word in -DoutputDirectory=*) folder=${word#*=};; esac; done
printf '%s' "$CONTENT" >"$folder/tool.jar"
"""


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    made = tmp_path / "a checkout"
    for folder in (made / "scripts", made / "deployments" / "tool", made / "bin"):
        folder.mkdir(parents=True)
    shutil.copy(repository / "scripts" / "jars.sh", made / "scripts")
    (made / "deployments" / "tool" / "pom.xml").write_text("<project/>", encoding="utf-8")
    digest = hashlib.sha256(b"good").hexdigest()
    pins = made / "deployments" / "tool" / "jars.sha256"
    pins.write_text(f"{digest}  tool.jar\n", encoding="utf-8")
    maven = made / "bin" / "mvn"
    maven.write_text(MAVEN, encoding="utf-8")
    maven.chmod(0o755)
    return made


def fetch(
    checkout: Path, *arguments: str, content: str = "good"
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}", "CONTENT": content,
        "CALLS": str(checkout / "calls"),
    }  # fmt: skip
    return subprocess.run(
        ["bash", str(checkout / "scripts" / "jars.sh"), *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def calls(checkout: Path) -> int:
    return len((checkout / "calls").read_text(encoding="utf-8").splitlines())


def test_jars_are_fetched_once_and_again_when_the_pom_changes(checkout: Path) -> None:
    for _ in range(2):
        assert fetch(checkout, "tool").returncode == 0
    assert (checkout / ".tools" / "tool-jars" / "tool.jar").read_text(encoding="utf-8") == "good"
    assert calls(checkout) == 1
    (checkout / "deployments" / "tool" / "pom.xml").write_text("<project></project>")
    assert fetch(checkout, "tool").returncode == 0
    assert calls(checkout) == 2


def test_a_jar_that_is_not_the_pinned_one_is_not_installed(checkout: Path) -> None:
    done = fetch(checkout, "tool", content="evil")
    assert done.returncode == 1
    assert "not the ones pinned" in done.stderr
    assert not (checkout / ".tools" / "tool-jars").exists()
    assert [path.name for path in (checkout / ".tools").iterdir()] == ["tool-jars.lock"]


def test_a_folder_with_something_else_in_it_is_left_alone(checkout: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "letter.txt").touch()
    done = fetch(checkout, "tool", str(own))
    assert done.returncode == 1
    assert "something else" in done.stderr
    assert [path.name for path in own.iterdir()] == ["letter.txt"]


def test_pinning_writes_the_digests_of_what_was_fetched(checkout: Path) -> None:
    assert fetch(checkout, "--pin", "tool", content="newer").returncode == 0
    assert fetch(checkout, "tool", content="newer").returncode == 0
    pins = (checkout / "deployments" / "tool" / "jars.sha256").read_text(encoding="utf-8")
    assert pins.split() == [hashlib.sha256(b"newer").hexdigest(), "tool.jar"]
