"""Which server a person has chosen, in Prefect's own order, without importing Prefect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from millrace.engine.errors import ServerError
from millrace.engine.recording.prefect_profile import configured


@pytest.fixture
def profiles(tmp_path: Path) -> dict[str, str]:
    """An environment with a Prefect home whose active profile names a server."""
    home = tmp_path / "prefect"
    home.mkdir()
    (home / "profiles.toml").write_text(
        'active = "team"\n'
        "[profiles.team]\n"
        'PREFECT_API_URL = "http://team:4200/api/"\n'
        'PREFECT_API_AUTH_STRING = "ann:secret"\n'
        "[profiles.other]\n"
        'PREFECT_API_URL = "http://other:4200/api"\n'
    )
    return {"PREFECT_HOME": str(home)}


def test_nothing_configured_is_none(tmp_path: Path) -> None:
    assert configured({"PREFECT_HOME": str(tmp_path)}, tmp_path) is None


def test_the_active_profile_is_read(profiles: dict[str, str], tmp_path: Path) -> None:
    found = configured(profiles, tmp_path)
    assert found is not None
    assert (found.url, found.auth) == ("http://team:4200/api", "ann:secret")
    assert "secret" not in repr(found)


def test_prefect_profile_chooses_another(profiles: dict[str, str], tmp_path: Path) -> None:
    found = configured(profiles | {"PREFECT_PROFILE": "other"}, tmp_path)
    assert found is not None
    assert found.url == "http://other:4200/api"


def test_an_empty_variable_counts_as_unset(profiles: dict[str, str], tmp_path: Path) -> None:
    found = configured(profiles | {"PREFECT_API_URL": ""}, tmp_path)
    assert found is not None
    assert found.url == "http://team:4200/api"
    assert configured({"PREFECT_API_URL": "", "PREFECT_HOME": str(tmp_path)}, tmp_path) is None


def test_the_environment_comes_before_files_and_files_before_the_profile(
    profiles: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.prefect.api]\nurl = "http://pyproject/api"\n')
    assert configured(profiles, tmp_path).url == "http://pyproject/api"  # type: ignore[union-attr]
    (tmp_path / "prefect.toml").write_text('[api]\nurl = "http://toml/api"\n')
    assert configured(profiles, tmp_path).url == "http://toml/api"  # type: ignore[union-attr]
    (tmp_path / ".env").write_text("export PREFECT_API_URL='http://dotenv/api'\n")
    assert configured(profiles, tmp_path).url == "http://dotenv/api"  # type: ignore[union-attr]
    given = profiles | {"PREFECT_API_URL": "http://environment/api"}
    found = configured(given, tmp_path)
    assert found is not None
    assert (found.url, found.source) == ("http://environment/api", "the environment")


def test_a_broken_profile_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text("active = \n")
    with pytest.raises(ServerError, match=r"profiles\.toml"):
        configured({"PREFECT_HOME": str(tmp_path)}, tmp_path)


@pytest.mark.slow
def test_prefect_itself_chooses_the_same(profiles: dict[str, str], tmp_path: Path) -> None:
    asked = "from prefect.settings import get_current_settings as s; print(s().api.url)"
    for extra in ({}, {"PREFECT_PROFILE": "other"}, {"PREFECT_API_URL": "http://environment/api"}):
        environment = {**profiles, **extra}
        reply = subprocess.run(
            [sys.executable, "-c", asked],
            env=environment | {"PATH": "/usr/bin:/bin"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        found = configured(environment, tmp_path)
        assert found is not None
        assert reply.stdout.strip().rstrip("/") == found.url
