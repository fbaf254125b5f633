"""Places for tests: a folder and a bucket of a real S3 server, one server for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.engine.exchange.places import Place
from tests.engine.exchange.workplace import Workplace
from tests.engine.runs.conftest import Workshop, shop
from tests.s3 import S3, server, use

__all__ = ["shop"]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with server(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    use(s3_server, monkeypatch)
    return s3_server


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty place."""
    if request.param == "folder":
        return f"file://{tmp_path / 'exchange'}"
    server: S3 = request.getfixturevalue("s3")
    return server.url(tmp_path.name)


@pytest.fixture
def place(url: str) -> Place:
    return Place.open(url, patience=60)


@pytest.fixture
def workplace(shop: Workshop, url: str, tmp_path: Path) -> Workplace:
    return Workplace(shop, url, tmp_path)


@pytest.fixture
def near(shop: Workshop, tmp_path: Path) -> Workplace:
    """The same over a folder alone, for what does not depend on the place."""
    return Workplace(shop, f"file://{tmp_path / 'exchange'}", tmp_path)
