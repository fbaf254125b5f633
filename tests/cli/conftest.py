"""A Prefect server for the tests that run the command for real, and the command itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millrace.engine.labels import Label
from millrace.engine.recording import server
from millrace.engine.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
Millrace = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of one Prefect server that all these tests share."""
    here = Settings(tmp_path_factory.mktemp("server"), Label.RESTRICTED, 0.06)
    state = server.start(here)
    yield {"PREFECT_API_URL": state.url, "PREFECT_API_AUTH_STRING": state.auth}
    server.stop(here)


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a person with no configuration and the kinds of the tests installed."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PREFECT_", "MILLRACE_"))}
    kinds = str(REPOSITORY / "tests" / "plugins" / "faults")
    return kept | {
        "MILLRACE_HOME": str(home),
        "PREFECT_HOME": str(tmp_path / "no-profiles"),
        "PYTHONPATH": kinds,
        "COLUMNS": "140",
    }


@pytest.fixture
def millrace(environment: dict[str, str], tmp_path: Path) -> Millrace:
    """Runs the command in a folder of its own; returns the finished process."""

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "millrace", *words],
            env=environment | more,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run
