"""A shop with a fleet: the workshop of whole runs, and a proving ground for its pools."""

from __future__ import annotations

import pytest

from tests.engine.fleet.ground import Ground, Yard
from tests.engine.runs.conftest import Workshop, shop

__all__ = ["shop"]


@pytest.fixture
def ground() -> Ground:
    return Ground()


@pytest.fixture
def yard(shop: Workshop, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setattr("millrace.engine.fleet.eye._TURN_SECONDS", 0.1)
    monkeypatch.setattr("millrace.engine.fleet.eye._POOLS_SECONDS", 0.3)
    monkeypatch.setattr("millrace.engine.fleet.desk._SETTLE_SECONDS", 0.1)
    return Yard(shop.folder, ground)
