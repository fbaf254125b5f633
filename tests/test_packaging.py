"""What an installation holds, and that a person's own `flows/` and `tasks/` never shadow ours.

A wheel of pure Python is installed by unpacking it; that is what these tests do, so that they need
neither pip nor a network.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# The packages that the customer fixed, by the names under which uv.lock has them.
FIXED = {"prefect", "ffmpeg-python", "pytesseract", "spark-nlp", "pyspark", "neo4j", "bpy"}
EXTRAS = {"all", "azure", "documents", "gcs", "postgres", "render", "s3", "video"}

IMPORTS = """
import flows, tasks
import millrace, millrace.flows, millrace.tasks.video
assert flows.OWNER == tasks.OWNER == "a person", (flows.__file__, tasks.__file__)
print(millrace.__file__, millrace.flows.__file__, millrace.tasks.video.__file__, sep="\\n")
"""


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A person's own project, which has `flows/` and `tasks/` as every Prefect project has."""
    for name in ("flows", "tasks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('OWNER = "a person"\n', encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the build backend makes of the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    built = run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
                repository)  # fmt: skip
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def imported_from(project: Path, **environment: str) -> list[Path]:
    result = run([sys.executable, "-c", IMPORTS], project, **environment)
    assert result.returncode == 0, result.stderr
    return [Path(line) for line in result.stdout.splitlines()]


def test_a_persons_own_flows_and_tasks_do_not_shadow_ours_in_the_editable_install(
    project: Path, repository: Path
) -> None:
    for module in imported_from(project):
        assert module.is_relative_to(repository / "millrace")


def test_a_persons_own_flows_and_tasks_do_not_shadow_ours_in_the_wheel(
    project: Path, installed: Path
) -> None:
    for module in imported_from(project, PYTHONPATH=str(installed)):
        assert module.is_relative_to(installed / "millrace")


def test_the_wheel_holds_every_module_and_network_as_a_real_file(
    wheel: Path, repository: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = {item.filename: item for item in archive.infolist()}
    for name in ("flows", "tasks"):
        for path in (repository / name).rglob("*"):
            if path.suffix in {".py", ".onnx", ".md"}:
                inside = f"millrace/{path.relative_to(repository)}"
                assert inside in members, f"{inside} is not in the wheel"
                assert members[inside].file_size == path.stat().st_size
    links = [name for name, item in members.items() if stat.S_ISLNK(item.external_attr >> 16)]
    assert links == []
    assert "millrace/py.typed" in members


def test_the_wheel_holds_every_document_schema_as_a_real_file(
    wheel: Path, repository: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = sorted((repository / "deployments" / "schemas").glob("*.yaml"))
    assert shipped
    for path in shipped:
        assert f"millrace/tasks/documents/schemas/{path.name}" in names


def test_the_wheel_holds_no_tests_and_no_sample_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"millrace"}
    assert len(tops) == 2


def test_every_entry_point_names_a_module_of_the_wheel(installed: Path, repository: Path) -> None:
    project = read_toml(repository / "pyproject.toml")["project"]
    targets = list(project["scripts"].values())
    for group in project["entry-points"].values():
        targets += group.values()
    for target in targets:
        module = installed / target.split(":")[0].replace(".", "/")
        assert module.with_suffix(".py").is_file() or (module / "__init__.py").is_file(), target


def test_a_clone_checks_the_two_links_out_as_links(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "a clone"
    made = run(["git", "clone", "-q", "--no-hardlinks", str(repository), str(clone)], tmp_path)
    assert made.returncode == 0, made.stderr
    for name in ("flows", "tasks"):
        assert (clone / "millrace" / name).readlink() == Path("..") / name


@pytest.mark.slow
def test_a_type_checker_follows_the_links_from_a_persons_project(
    project: Path, repository: Path
) -> None:
    (project / "own.py").write_text(
        "import tasks\n"
        "from millrace.tasks.video import nowhere\n"
        "reveal_type(tasks.OWNER)\n",
        encoding="utf-8",
    )  # fmt: skip
    command = [sys.executable, "-m", "mypy", "--python-executable", sys.executable, "own.py"]
    said = run(command, project).stdout
    assert 'Module "millrace.tasks.video" has no attribute "nowhere"' in said
    assert 'Revealed type is "str"' in said
    assert "import-untyped" not in said


@pytest.mark.slow
def test_an_import_against_the_arrows_breaks_the_boundaries(
    repository: Path, tmp_path: Path
) -> None:
    for name in ("pyproject.toml", "flows", "tasks", "millrace"):
        copied = run(["cp", "-a", str(repository / name), str(tmp_path)], tmp_path)
        assert copied.returncode == 0, copied.stderr
    lint = str(Path(sys.executable).with_name("lint-imports"))
    kept = run([lint, "--no-cache"], tmp_path, PYTHONPATH=str(tmp_path))
    assert kept.returncode == 0, kept.stdout
    (tmp_path / "tasks" / "video" / "rogue.py").write_text("import millrace.cli\n")
    (tmp_path / "millrace" / "engine" / "rogue.py").write_text("import millrace.tasks.video\n")
    broken = run([lint, "--no-cache"], tmp_path, PYTHONPATH=str(tmp_path))
    assert broken.returncode != 0
    assert "millrace.tasks.video.rogue -> millrace.cli" in broken.stdout
    assert "millrace.engine.rogue -> millrace.tasks.video" in broken.stdout


def test_the_fast_loop_checks_style_types_and_boundaries(repository: Path) -> None:
    planned = run(["make", "--dry-run", "check"], repository).stdout
    for command in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        assert command in planned
    assert "make test" in (repository / ".ci" / "run").read_text(encoding="utf-8")


def locked(repository: Path) -> dict[str, dict[str, Any]]:
    packages = read_toml(repository / "uv.lock")["package"]
    return {package["name"]: package for package in packages}


def test_the_packages_the_customer_fixed_are_locked(repository: Path) -> None:
    assert locked(repository).keys() >= FIXED


def test_every_extra_resolves_in_the_lock(repository: Path) -> None:
    packages = locked(repository)
    extras = packages["millrace"]["optional-dependencies"]
    assert extras.keys() == EXTRAS
    for extra, wanted in extras.items():
        assert wanted, extra
        assert {package["name"] for package in wanted} <= packages.keys()


def test_the_lock_satisfies_what_the_project_asks_for(repository: Path) -> None:
    project = read_toml(repository / "pyproject.toml")["project"]
    packages = locked(repository)
    asked = [*project["dependencies"]]
    for group in project["optional-dependencies"].values():
        asked += group
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name != canonicalize_name(project["name"]):  # `all` names the other extras
            version = packages[name]["version"]
            assert requirement.specifier.contains(version), f"{requirement}: locked {version}"
