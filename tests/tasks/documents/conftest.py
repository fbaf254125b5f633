"""What the documents' tests share: one Spark session for all of them, for it takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from millrace.tasks.documents.extraction import spark


@pytest.fixture(scope="session")
def spark_session() -> Iterator[Any]:
    """A Spark session with Spark NLP, on two threads."""
    with spark.session(cores=2) as session:
        yield session
