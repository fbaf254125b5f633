"""What the environment says of a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.errors import StoreError, UsageError
from millrace.engine.ledger import Ledger
from millrace.engine.settings import settings


def test_the_ledger_is_a_file_of_the_home_unless_a_database_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings().ledger == home / "ledger.db"
    monkeypatch.setenv("MILLRACE_LEDGER", "postgresql+psycopg://ledger:secret@127.0.0.1:9/ledger")
    here = settings()
    assert here.ledger == "postgresql+psycopg://ledger:secret@127.0.0.1:9/ledger"
    assert "secret" not in repr(here)
    with pytest.raises(StoreError) as caught:
        Ledger(here.ledger).rows()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MILLRACE_CACHE", "many", "MILLRACE_CACHE is no size: 'many'"),
        ("MILLRACE_CLEARANCE", "secret", "'secret' is no label"),
        ("MILLRACE_FLEET", "/nowhere/pools.yaml", "no fleet file /nowhere/pools.yaml"),
    ],
)
def test_a_slip_in_the_environment_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=words) as caught:
        settings()
    assert "\n" not in caught.value.message
