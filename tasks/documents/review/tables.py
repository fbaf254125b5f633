"""The tables of the review queue. They hold what documents say: the file is its owner's alone.

SQLite in Millrace's home, or any database of SQLAlchemy's that MILLRACE_REVIEW names. It lies under
the clearance of the host it is on; the ledger and Prefect never see any of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from millrace.engine.errors import StoreError
from millrace.engine.settings import Settings
from millrace.tasks.documents.review import VARIABLE

_META = sql.MetaData()

DOCUMENTS = sql.Table(
    "documents_1",
    _META,
    sql.Column("digest", sql.String(64), primary_key=True),
    sql.Column("scope", sql.Text, primary_key=True),
    sql.Column("graph", sql.Text, nullable=False),
    sql.Column("name", sql.Text, nullable=False),
    sql.Column("kind", sql.Text, nullable=False),
    sql.Column("facts", sql.LargeBinary, nullable=False),
)
"""The facts of each document as they were extracted, and the graph they were loaded into."""

CASES = sql.Table(
    "cases_1",
    _META,
    sql.Column("id", sql.String(32), primary_key=True),
    sql.Column("digest", sql.String(64), nullable=False, index=True),
    sql.Column("kind", sql.Text, nullable=False),
    sql.Column("field", sql.Text, nullable=False),
    sql.Column("probability", sql.Double, nullable=False),
)
"""What waits for a person: the doubtful facts that nobody has decided on."""

DECISIONS = sql.Table(
    "decisions_1",
    _META,
    sql.Column("number", sql.BigInteger().with_variant(sql.Integer, "sqlite"), primary_key=True),
    sql.Column("case", sql.String(32), nullable=False, index=True),
    sql.Column("digest", sql.String(64), nullable=False, index=True),
    sql.Column("kind", sql.Text, nullable=False),
    sql.Column("field", sql.Text, nullable=False),
    sql.Column("path", sql.Text, nullable=False),
    sql.Column("verdict", sql.Text, nullable=False),
    sql.Column("before", sql.Text, nullable=False),
    sql.Column("value", sql.Text, nullable=False),
    sql.Column("who", sql.Text, nullable=False),
    sql.Column("at", sql.Double, nullable=False),
)
"""Every decision, never changed; of several on one case the last one holds."""

SAMENESS = sql.Table(
    "sameness_1",
    _META,
    sql.Column("number", sql.BigInteger().with_variant(sql.Integer, "sqlite"), primary_key=True),
    sql.Column("left", sql.String(32), nullable=False),
    sql.Column("right", sql.String(32), nullable=False),
    sql.Column("verdict", sql.Text, nullable=False),
    sql.Column("who", sql.Text, nullable=False),
    sql.Column("at", sql.Double, nullable=False),
)
"""What persons said of two entities, their ids in order; of several words the last one holds."""


def connect(settings: Settings) -> sql.Engine:
    """Returns the review database of this host, made if it is not there. Raises StoreError."""
    url = os.environ.get(VARIABLE) or f"sqlite:///{file_of(settings)}"
    try:
        if url.startswith("sqlite"):
            _private(file_of(settings))
        engine = sql.create_engine(url, poolclass=NullPool)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _patient)
        _META.create_all(engine)
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(
            f"the review queue cannot be opened: {type(error).__name__}",
            hint=f"{VARIABLE} names its database; without it, it is review.sqlite in MILLRACE_HOME",
        ) from error
    return engine


@contextmanager
def transaction(engine: sql.Engine) -> Iterator[sql.Connection]:
    """Opens a transaction. Its errors are StoreErrors, without what stood in the statement."""
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StoreError(
            f"the review queue cannot be used: {type(error).__name__}",
            hint=f"is its disk full, or another program at work on it? See {VARIABLE}",
        ) from None


def file_of(settings: Settings) -> Path:
    """Returns where the queue lies that no MILLRACE_REVIEW puts elsewhere."""
    return settings.home / "review.sqlite"


def _private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _patient(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
    cursor.close()
