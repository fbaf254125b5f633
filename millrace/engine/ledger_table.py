"""The ledger's tables and its database: SQLite with many writers, or any other of SQLAlchemy's.

The number in a table's name is its schema's: another schema is another table, and an old one is
left in peace. Rows of `work_1`, which knew no prices by basis, are read beside those of `work_2`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from millrace.engine.errors import ToolMissing, UsageError


def _columns() -> list[sql.Column[Any]]:
    """Returns the columns that every schema has had."""
    return [
        sql.Column("id", sql.BigInteger().with_variant(sql.Integer, "sqlite"), primary_key=True),
        sql.Column("at", sql.Double, nullable=False),
        sql.Column("kind", sql.Text, nullable=False),
        sql.Column("version", sql.Integer, nullable=False),
        sql.Column("device", sql.Text, nullable=False),
        sql.Column("seconds", sql.Double, nullable=False),
        sql.Column("pace", sql.Text, nullable=False),
        sql.Column("host", sql.Text, nullable=False),
        sql.Column("pool", sql.Text, nullable=False),
        sql.Column("units", sql.Double, nullable=False),
        sql.Column("load", sql.Double, nullable=False),
        sql.Column("bytes_in", sql.BigInteger, nullable=False),
        sql.Column("bytes_out", sql.BigInteger, nullable=False),
        sql.Column("joules", sql.Double),
        sql.Column("cost", sql.Double, nullable=False),
        sql.Column("currency", sql.Text, nullable=False),
        sql.Column("state", sql.Text, nullable=False),
    ]


OLD = sql.Table("work_1", sql.MetaData(), *_columns())
TABLE = sql.Table(
    "work_2",
    sql.MetaData(),
    *_columns(),
    sql.Column("basis", sql.Text, nullable=False),
    sql.Column("price", sql.Double, nullable=False),
    sql.Column("run", sql.Text, nullable=False),
    sql.Column("assignment", sql.Text, nullable=False),
    sql.Index("work_2_by_pace", "kind", "version", "device", "state", "pace", "at"),
    sql.Index("work_2_by_pool", "kind", "version", "pool", "state", "at"),
    sql.Index("work_2_by_time", "at"),
    sql.Index("work_2_by_run", "run"),
)


def present(connection: sql.Connection) -> list[sql.Table]:
    """Returns the tables there are, the new one first.

    An old one of a schema that is not its own is none of ours.
    """
    found = [TABLE] if sql.inspect(connection).has_table(TABLE.name) else []
    if sql.inspect(connection).has_table(OLD.name):
        names = {column["name"] for column in sql.inspect(connection).get_columns(OLD.name)}
        found += [OLD] if names >= set(OLD.c.keys()) else []
    return found


def engine(url: str, busy_timeout: float) -> sql.Engine:
    """Returns the engine of a database. Raises UsageError, ToolMissing for a missing driver."""
    try:
        parsed = sql.make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return sql.create_engine(parsed, pool_pre_ping=True)
        arguments = {"timeout": busy_timeout}
        made = sql.create_engine(parsed, poolclass=NullPool, connect_args=arguments)
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(
            f"the ledger's address is not one of a database: {error}",
            hint="give a path, or a URL such as postgresql+psycopg://user@host/name",
        ) from error
    except ModuleNotFoundError as error:
        raise ToolMissing(
            f"the ledger's database needs the Python package {error.name}",
            hint=f"pip install {error.name}",
        ) from error
    event.listen(made, "connect", _many_writers)
    return made


def _many_writers(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")  # a power cut may lose the last rows, not more
    cursor.close()
