"""Where the tests' files are, and a home of its own for every test.

Tests stand on `sample_data/`, which every clone has. Those that ask for the fixture `data` need the
larger set of real files: MILLRACE_TEST_DATA, or `shared/data` beside the repository. Where that is
absent they are deselected, and the header of the run says so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
VARIABLE = "MILLRACE_TEST_DATA"


def real_data() -> Path | None:
    """Returns the folder of the real files, or None where this machine has none."""
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if folder.is_dir():
        return folder.resolve()
    if named:
        raise pytest.UsageError(f"{VARIABLE} names {named}, which is not a folder")
    return None


def pytest_report_header() -> str:
    found = real_data()
    if found:
        return f"real data: {found}"
    return f"real data: none; tests that need it are deselected (set {VARIABLE} to its folder)"


PROCESSES = {"recorded", "api", "prefect_home", "neo4j", "spark"}
"""Fixtures whose tests drive servers, workers or a JVM: other processes, on a machine that may be
busy with something else."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if PROCESSES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.flaky(reruns=1))  # the report says which were tried again
    if real_data():
        return
    without = [item for item in items if "data" in getattr(item, "fixturenames", ())]
    items[:] = [item for item in items if item not in without]
    config.hook.pytest_deselected(items=without)


@pytest.fixture(scope="session")
def data() -> Path:
    """The real files: `clips/`, `images/`, `scenes/`, … Read only."""
    found = real_data()
    assert found, "tests with this fixture are deselected where there is no real data"
    return found


@pytest.fixture(scope="session")
def sample() -> Path:
    """The repository's `sample_data/`. Read only."""
    return REPOSITORY / "sample_data"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository. Read only."""
    return REPOSITORY


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Millrace home for this test alone, so that no test meets another's store, or the user's."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MILLRACE_HOME", str(folder))
    return folder
