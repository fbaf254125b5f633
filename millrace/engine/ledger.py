"""What work really took: one row for each batch, and what it teaches about the next.

The ledger is history, never correctness: when it is missing, locked or damaged, predictions fall
back to the kind's own prior and a warning says so; no run fails for it. It holds no file names and
no values. SQLite by default, any SQLAlchemy URL otherwise.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from millrace.engine.errors import StoreError, ToolMissing, UsageError

BUSY_TIMEOUT_S = 10
LIMIT_ROWS = 200_000  # about 40 MB
SAMPLE_ROWS = 200  # as far back as a rate looks
HALF_LIFE_ROWS = 20  # a row this much older than the newest counts half


@dataclass(frozen=True)
class Row:
    """What one batch (`done`, `failed`) or the start of one session (`opened`) took.

    `device` is the name of the device's class, "NVIDIA L4". `load` and `pace` are the kind's own
    measure of the work (`millrace.engine.stages.Work`). Joules are None where nothing measured.
    """

    at: float  # seconds since the epoch
    kind: str
    version: int
    device: str
    seconds: float
    pace: str = ""
    host: str = ""
    pool: str = "here"
    units: float = 0.0
    load: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    joules: float | None = None
    cost: float = 0.0
    currency: str = "EUR"
    state: Literal["done", "failed", "opened"] = "done"


@dataclass(frozen=True)
class Rate:
    """How fast a kind works on a device, from `n` rows of the ledger or from the kind's prior."""

    load_per_second: float
    start_seconds: float
    n: int
    source: Literal["ledger", "prior"]


# The number is the schema's: another schema is another table, and an old one is left in peace.
_TABLE = sql.Table(
    "work_1",
    sql.MetaData(),
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
    sql.Index("work_1_by_pace", "kind", "version", "device", "state", "pace", "at"),
    sql.Index("work_1_by_time", "kind", "version", "device", "state", "at"),
)


class Ledger:
    """The history of work at a path (SQLite) or an SQLAlchemy URL. `warn` hears of its troubles."""

    def __init__(
        self,
        where: Path | str,
        *,
        warn: Callable[[str], None] | None = None,
        limit: int = LIMIT_ROWS,
        busy_timeout: float = BUSY_TIMEOUT_S,
    ) -> None:
        url = where if isinstance(where, str) and "://" in where else f"sqlite:///{where}"
        self._warn = warn or logging.getLogger(__name__).warning
        self._limit = limit
        self._rates: dict[tuple[Any, ...], Rate | None] = {}
        self._engine = _engine(url, busy_timeout)
        database = self._engine.url.database
        on_disk = self._engine.dialect.name == "sqlite" and database not in (None, "", ":memory:")
        self._path = Path(database) if on_disk and database else None

    def record(self, rows: Iterable[Row]) -> None:
        """Appends rows in one transaction and drops the oldest beyond the limit.

        A damaged SQLite file is moved aside and begun anew. Other troubles lose the rows, with a
        warning: the work they tell of is done all the same.
        """
        values = [asdict(row) for row in rows]
        if not values:
            return
        self._rates.clear()
        try:
            self._append(values)
        except SQLAlchemyError as error:
            try:
                if not self._moved_aside(error):
                    raise
                self._append(values)
            except (SQLAlchemyError, OSError) as second:
                self._warn(f"the ledger lost {len(values)} rows: {_reason(second)}")
        except OSError as error:
            self._warn(f"the ledger lost {len(values)} rows: {error}")

    def rate(
        self, kind: str, version: int, pace: str, device: str, *, prior: float, start: float = 0.0
    ) -> Rate:
        """Returns how fast `kind` works on `device`, in load per second, and how long it opens.

        It is the median of the latest batches of that pace, newer and larger ones weighing more;
        without any, of any pace; without any, `prior` and `start`. Never raises for a broken ledger
        and writes nothing. Answers are kept until this object records something.
        """
        key = (kind, version, pace, device)
        if key not in self._rates:
            self._rates[key] = self._learned(kind, version, pace, device, start)
        return self._rates[key] or Rate(prior, start, 0, "prior")

    def rows(self, *, since: float = 0.0) -> list[Row]:
        """Returns the rows from `since` (seconds since the epoch) on, by time.

        Raises StoreError when the ledger cannot be read; a ledger that is not there is empty.
        """
        columns = [column for column in _TABLE.c if column.name != "id"]
        query = sql.select(*columns).where(_TABLE.c.at >= since).order_by(_TABLE.c.at)
        try:
            return [Row(**row) for row in self._ask(query)]
        except SQLAlchemyError as error:
            raise StoreError(
                f"the ledger cannot be read: {_reason(error)}",
                hint="move it away to begin a new one; results do not depend on it",
            ) from error

    def _learned(
        self, kind: str, version: int, pace: str, device: str, start: float
    ) -> Rate | None:
        c = _TABLE.c
        ours = (c.kind == kind) & (c.version == version) & (c.device == device)
        done = sql.select(c.load, c.seconds).where(ours, c.state == "done")
        done = done.where(c.load > 0, c.seconds > 0).order_by(c.at.desc()).limit(SAMPLE_ROWS)
        opened = sql.select(c.seconds).where(ours, c.state == "opened")
        opened = opened.order_by(c.at.desc()).limit(SAMPLE_ROWS)
        try:
            found = self._ask(done.where(c.pace == pace)) or self._ask(done)
            starts = self._ask(opened) if found else []
        except SQLAlchemyError as error:
            self._warn(f"the ledger cannot be read, predictions use priors: {_reason(error)}")
            return None
        if not found:
            return None
        loads = [row["load"] for row in found]
        # Small batches are mostly overhead: the large ones tell what the next hour will be like.
        speed = recent_median([row["load"] / row["seconds"] for row in found], loads)
        began = recent_median([row["seconds"] for row in starts]) if starts else start
        return Rate(speed, began, len(found), "ledger")

    def _ask(self, query: sql.Select[Any]) -> Sequence[sql.RowMapping]:
        if self._path and not self._path.exists():
            return []  # connecting would create it
        with self._engine.connect() as connection:
            if not sql.inspect(connection).has_table(_TABLE.name):
                return []
            return connection.execute(query).mappings().all()

    def _append(self, values: list[dict[str, Any]]) -> None:
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._has_table():
            self._make_table()
        with self._engine.begin() as connection:
            connection.execute(sql.insert(_TABLE), values)
            newest = sql.select(sql.func.max(_TABLE.c.id)).scalar_subquery()
            connection.execute(sql.delete(_TABLE).where(_TABLE.c.id <= newest - self._limit))

    def _has_table(self) -> bool:
        with self._engine.connect() as connection:
            return sql.inspect(connection).has_table(_TABLE.name)

    def _make_table(self) -> None:
        """Makes the table, in a transaction of its own: beside an insert, PostgreSQL deadlocks."""
        try:
            with self._engine.begin() as connection:
                connection.execute(CreateTable(_TABLE, if_not_exists=True))
                for index in _TABLE.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
        except SQLAlchemyError:
            if not self._has_table():  # else somebody else was quicker
                raise

    def _moved_aside(self, error: SQLAlchemyError) -> bool:
        """True when the file was damaged, or of a foreign schema, and has been moved away."""
        damage = ("not a database", "malformed", "no column named", "no such column")
        if not self._path or not any(word in str(error) for word in damage):
            return False
        aside = self._path.with_name(f"{self._path.name}.damaged-{os.getpid()}")
        self._path.replace(aside)
        for side in ("-wal", "-shm"):
            self._path.with_name(self._path.name + side).unlink(missing_ok=True)
        self._warn(f"the ledger was damaged and begins anew; the old one is {aside}")
        return True


def recent_median(values: Sequence[float], sizes: Sequence[float] | None = None) -> float:
    """Returns the median of values given newest first, each weighing less than the one before.

    The weight halves every HALF_LIFE_ROWS values, and grows with `sizes` where they are given. A
    few outliers (a machine that slept, a cold cache) do not move it. Raises ValueError when there
    are no values.
    """
    if not values:
        raise ValueError("no values have no median")
    each = sizes if sizes is not None else [1.0] * len(values)
    pairs = zip(values, each, strict=True)
    weighted = sorted(
        (value, size * 0.5 ** (age / HALF_LIFE_ROWS)) for age, (value, size) in enumerate(pairs)
    )
    half = sum(weight for _, weight in weighted) / 2
    below = 0.0
    for value, weight in weighted:
        below += weight
        if below >= half:
            return value
    return weighted[-1][0]


def _engine(url: str, busy_timeout: float) -> sql.Engine:
    try:
        parsed = sql.make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return sql.create_engine(parsed, pool_pre_ping=True)
        arguments = {"timeout": busy_timeout}
        engine = sql.create_engine(parsed, poolclass=NullPool, connect_args=arguments)
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
    event.listen(engine, "connect", _many_writers)
    return engine


def _many_writers(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")  # a power cut may lose the last rows, not more
    cursor.close()


def _reason(error: Exception) -> str:
    original = getattr(error, "orig", None)
    return str(original or error)
