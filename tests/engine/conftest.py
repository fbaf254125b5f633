"""Stage kinds of a stranger's package, for tests that ask for them."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTKINDS = Path(__file__).parent.parent / "plugins" / "testkinds"


@pytest.fixture
def testkinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kinds of tests/plugins/testkinds, installed for one test."""
    monkeypatch.syspath_prepend(str(TESTKINDS))
