"""What `scripts/setup.sh` does on machines unlike this one.

The script runs for real in a folder of its own; uv, apt-get, sudo and id are stand-ins that write
down how they were called. `scripts/bare-root-check.sh` proves the same on a bare Debian.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = ("bash", "cat", "cut", "dirname", "env", "mkdir", "rm", "sed", "sha256sum", "uname")


@dataclass(frozen=True)
class Machine:
    """A checkout, and a folder that is its whole PATH."""

    checkout: Path
    programs: Path

    @property
    def calls(self) -> list[str]:
        log = self.programs / "calls"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def add(self, name: str, body: str = "", *, folder: Path | None = None) -> None:
        script = (folder or self.programs) / name
        log = self.programs / "calls"
        script.write_text(f'#!/bin/bash\necho "{name} $*" >>"{log}"\n{body}\n', encoding="utf-8")
        script.chmod(0o755)

    def set_up(self, *purpose: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", str(self.checkout / "scripts" / "setup.sh"), *purpose],
            env={"PATH": str(self.programs), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def machine(repository: Path, tmp_path: Path) -> Machine:
    """A machine with Python 3.11 that has FFmpeg, and uv at the version the script wants."""
    made = Machine(tmp_path / "a checkout", tmp_path / "programs")
    for folder in (made.programs, made.checkout / "scripts", made.checkout / ".bootstrap" / "bin"):
        folder.mkdir(parents=True)
    for name in ("uv.lock", "pyproject.toml", "scripts/setup.sh"):
        shutil.copy(repository / name, made.checkout / name)
    for name in TOOLS:
        (made.programs / name).symlink_to(str(shutil.which(name)))
    (made.programs / "python3.11").symlink_to(sys.executable)
    for name in ("ffmpeg", "ffprobe", "tesseract", "java", "mvn"):
        made.add(name)
    # What it does is held by its own tests.
    (made.checkout / "scripts" / "jars.sh").write_text("", encoding="utf-8")
    made.add("uv", f'if [ "$1" = --version ]; then echo "uv {uv_pin(repository)}"; '
             'else mkdir -p .venv; fi', folder=made.checkout / ".bootstrap" / "bin")  # fmt: skip
    return made


def uv_pin(repository: Path) -> str:
    script = (repository / "scripts" / "setup.sh").read_text(encoding="utf-8")
    found = re.search(r"^uv_version=(\S+)$", script, re.MULTILINE)
    assert found
    return found[1]


def syncs(machine: Machine) -> int:
    return sum(call.startswith("uv sync --frozen") for call in machine.calls)


def test_the_second_time_nothing_is_installed_and_it_costs_less_than_a_second(
    machine: Machine,
) -> None:
    assert machine.set_up().returncode == 0
    assert syncs(machine) == 1
    before = machine.calls
    begun = time.monotonic()
    again = machine.set_up()
    assert time.monotonic() - begun < 1
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert machine.calls == before


def test_a_changed_lock_brings_the_environment_up_to_date(machine: Machine) -> None:
    machine.set_up()
    with (machine.checkout / "uv.lock").open("a", encoding="utf-8") as lock:
        lock.write("# another package\n")
    machine.set_up()
    assert syncs(machine) == 2


def test_a_moved_checkout_gets_a_new_environment(machine: Machine) -> None:
    machine.set_up()
    (machine.checkout / ".venv" / "old").touch()
    moved = Machine(machine.checkout.rename(machine.checkout.with_name("moved")), machine.programs)
    assert moved.set_up().returncode == 0
    assert syncs(moved) == 2
    assert not (moved.checkout / ".venv" / "old").exists()


def test_a_failed_environment_is_made_again_the_next_time(machine: Machine) -> None:
    folder = machine.checkout / ".bootstrap" / "bin"
    working = (folder / "uv").read_text(encoding="utf-8")
    (folder / "uv").write_text(working.replace("mkdir -p .venv", "exit 2"), encoding="utf-8")
    assert machine.set_up().returncode != 0
    (folder / "uv").write_text(working, encoding="utf-8")
    assert machine.set_up().returncode == 0
    assert syncs(machine) == 2


def test_without_root_and_sudo_the_one_line_to_run_is_printed(machine: Machine) -> None:
    (machine.programs / "ffprobe").unlink()
    machine.add("id", "echo 1000")
    machine.add("sudo", "exit 1")
    machine.add("apt-get")
    ended = machine.set_up()
    assert ended.returncode == 1
    line = ended.stderr.splitlines()[-1].strip()
    assert line == ("sudo apt-get update && sudo apt-get install -y --no-install-recommends ffmpeg")
    assert not any(call.startswith("apt-get") for call in machine.calls)


def test_root_installs_what_is_missing_and_waits_for_another_apt(machine: Machine) -> None:
    (machine.programs / "ffmpeg").unlink()
    machine.add("id", "echo 0")
    machine.add("apt-get")
    assert machine.set_up().returncode == 0
    installs = [call for call in machine.calls if call.startswith("apt-get") and "install" in call]
    assert len(installs) == 1
    assert "DPkg::Lock::Timeout=300" in installs[0]
    assert installs[0].endswith(" ffmpeg")


def test_only_tests_ask_for_postgresql(machine: Machine, tmp_path: Path) -> None:
    machine.add("id", "echo 1000")
    machine.add("sudo", "exit 1")
    machine.add("apt-get")
    absent = {"POSTGRES_PROGRAMS": str(tmp_path / "none")}
    ended = machine.set_up("tests", **absent)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith(" postgresql")
    assert machine.set_up(**absent).returncode == 0
    programs = tmp_path / "postgresql" / "17" / "bin"
    programs.mkdir(parents=True)
    (programs / "initdb").touch()
    assert machine.set_up("tests", POSTGRES_PROGRAMS=str(programs.parent.parent)).returncode == 0


def test_a_system_without_apt_is_told_what_to_install(machine: Machine) -> None:
    (machine.programs / "ffmpeg").unlink()
    ended = machine.set_up()
    assert ended.returncode == 1
    assert "package manager" in ended.stderr
    assert ended.stderr.splitlines()[-1].strip() == "ffmpeg"


def test_the_image_and_the_checkout_use_the_same_uv(repository: Path) -> None:
    image = (repository / "Dockerfile").read_text(encoding="utf-8")
    assert f"uv=={uv_pin(repository)}" in image.split()
