"""One real Prefect server for all tests of flows: it takes 15 seconds to start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.engine.labels import Label
from millrace.engine.recording import server
from millrace.engine.settings import Settings

FAULTS = Path(__file__).parents[1] / "plugins" / "faults"


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The home of a running local server."""
    home = Settings(tmp_path_factory.mktemp("server-home"), Label.RESTRICTED, 0.06)
    server.start(home)
    yield home
    server.stop(home)


@pytest.fixture
def recorded(prefect_home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> server.Api:
    """The server as a person has it: set by PREFECT_API_URL. Also the kind `faults.bytes`."""
    api = server.ensure(prefect_home)
    for name, value in server.environment(api).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(FAULTS))
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{FAULTS}{os.pathsep}{inherited}".rstrip(os.pathsep))
    return api
