"""What work really took and cost: one row for each batch, and what it teaches about the next.

The ledger is history, never correctness: when it is missing, locked or damaged, predictions fall
back to the kind's own prior and a warning says so; no run fails for it. It holds no file names and
no values. SQLite by default, any SQLAlchemy URL otherwise.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from millrace.engine.cost import Money, total
from millrace.engine.errors import StoreError
from millrace.engine.ledger_table import TABLE, engine, present
from millrace.engine.rates import Rate, fit, recent_median
from millrace.engine.spells import State

__all__ = ["Ledger", "Rate", "Row", "recent_median"]

BUSY_TIMEOUT_S = 10
LIMIT_ROWS = 200_000  # about 50 MB
SAMPLE_ROWS = 200  # as far back as a rate looks


@dataclass(frozen=True)
class Row:
    """What one batch (`done`, `failed`, `lost`) or the start of one session (`opened`) took, or for
    how long one assignment held its slot without any of these (`idle`).

    `device` is the name of the device's class, "NVIDIA L4". `load` and `pace` are the kind's own
    measure of the work (`millrace.engine.stages.Work`). `price` is that of an hour of the slot in
    `currency`. Joules are None where nothing measured. `run` and `assignment` are ids.
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
    state: State = "done"
    basis: str = ""
    price: float = 0.0
    run: str = ""
    assignment: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for seconds or money that cannot be: they would spoil every sum."""
        for name in ("seconds", "cost", "price"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"a row's {name} cannot be {value}")


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
        self._engine = engine(url, busy_timeout)
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
        self,
        kind: str,
        version: int,
        pace: str,
        device: str,
        *,
        prior: float,
        start: float = 0.0,
        pool: str = "",
    ) -> Rate:
        """Returns how fast `kind` works on `device`, in load per second, and how long it opens.

        It is learnt from the latest batches of that pace, newer and larger ones weighing more:
        those of `pool` on that device, else of that device anywhere, else of `pool` on another of
        the same sort. (A CPU pool's own history comes before that of the CPU of whoever asks.)
        Without any, of any pace; without any, `prior` and `start`. Never raises for a broken ledger
        and writes nothing. Answers are kept until this object records something.
        """
        key = (kind, version, pace, device, pool)
        if key not in self._rates:
            self._rates[key] = self._learned(kind, version, pace, device, start, pool)
        return self._rates[key] or Rate(prior, start, 0, "prior")

    def forget(self) -> None:
        """Forgets the answers of `rate`: somebody else may have recorded something since."""
        self._rates.clear()

    def rows(self, *, since: float = 0.0, run: str = "") -> list[Row]:
        """Returns the rows from `since` (seconds since the epoch) on, by time, or those of one run.

        Raises StoreError when the ledger cannot be read; a ledger that is not there is empty.
        """

        def query(table: sql.Table) -> sql.Select[Any]:
            columns = [column for column in table.c if column.name != "id"]
            return sql.select(*columns).where(table.c.at >= since, *_of_run(table, run))

        try:
            found = [Row(**row) for row in self._ask(query)]
        except (SQLAlchemyError, ValueError) as error:
            raise _unreadable(error) from error
        return sorted(found, key=lambda row: row.at)

    def spent(
        self, *, since: float, pools: Collection[str], without: Collection[str] = ()
    ) -> tuple[Money, ...]:
        """Returns what work in `pools` cost from `since` on, but for the runs `without`; a sum for
        each currency. Raises StoreError when it cannot be read: nobody can say it was nothing.
        """

        def query(table: sql.Table) -> sql.Select[Any]:
            c = table.c
            sums = sql.select(c.currency, sql.func.sum(c.cost).label("amount"))
            sums = sums.where(c.at >= since, c.pool.in_(pools)).group_by(c.currency)
            return sums.where(c.run.not_in(without)) if "run" in c else sums

        try:
            return total(Money(**row) for row in self._ask(query))
        except SQLAlchemyError as error:
            raise _unreadable(error) from error

    def _learned(
        self, kind: str, version: int, pace: str, device: str, start: float, pool: str
    ) -> Rate | None:
        def query(where: _Where, state: str, of_pace: bool) -> Callable[..., sql.Select[Any]]:
            def select(table: sql.Table) -> sql.Select[Any]:
                c = table.c
                found = sql.select(c.at, c.load, c.seconds).where(c.kind == kind, where(c))
                found = found.where(c.version == version, c.state == state, c.seconds > 0)
                found = found.where(c.load > 0) if state == "done" else found
                found = found.where(c.pace == pace) if of_pace else found
                return found.order_by(c.at.desc()).limit(SAMPLE_ROWS)

            return select

        places = _places(device, pool)
        try:
            for of_pace in (True, False):
                for where in places:
                    if found := self._newest(query(where, "done", of_pace)):
                        starts = self._newest(query(where, "opened", False))
                        return _rate(found, starts, start)
        except SQLAlchemyError as error:
            self._warn(f"the ledger cannot be read, predictions use priors: {_reason(error)}")
        return None

    def _newest(self, query: Callable[..., sql.Select[Any]]) -> list[sql.RowMapping]:
        return sorted(self._ask(query), key=lambda row: -row["at"])[:SAMPLE_ROWS]

    def _ask(self, query: Callable[[sql.Table], sql.Select[Any]]) -> list[sql.RowMapping]:
        """Returns what every table answers."""
        if self._path and not self._path.exists():
            return []  # connecting would create it
        with self._engine.connect() as connection:
            return [
                row
                for table in present(connection)
                for row in connection.execute(query(table)).mappings()
            ]

    def _append(self, values: list[dict[str, Any]]) -> None:
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._has_table():
            self._make_table()
        with self._engine.begin() as connection:
            connection.execute(sql.insert(TABLE), values)
            newest = sql.select(sql.func.max(TABLE.c.id)).scalar_subquery()
            connection.execute(sql.delete(TABLE).where(TABLE.c.id <= newest - self._limit))

    def _has_table(self) -> bool:
        with self._engine.connect() as connection:
            return sql.inspect(connection).has_table(TABLE.name)

    def _make_table(self) -> None:
        """Makes the table, in a transaction of its own: beside an insert, PostgreSQL deadlocks."""
        try:
            with self._engine.begin() as connection:
                connection.execute(CreateTable(TABLE, if_not_exists=True))
                for index in TABLE.indexes:
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


_Where = Callable[[Any], sql.ColumnElement[bool]]


def _places(device: str, pool: str) -> list[_Where]:
    """Returns where to look for batches like those to come, the best place first."""
    gpu = device.startswith("NVIDIA")

    def there(c: Any) -> sql.ColumnElement[bool]:
        return sql.and_(c.pool == pool, c.device == device)

    def alike(c: Any) -> sql.ColumnElement[bool]:
        named = c.device.like("NVIDIA%")
        return sql.and_(c.pool == pool, named if gpu else sql.not_(named))

    def anywhere(c: Any) -> sql.ColumnElement[bool]:
        return sql.and_(c.device == device)

    if not pool:
        return [anywhere]
    return [there, anywhere, alike] if gpu else [there, alike, anywhere]


def _rate(found: Sequence[sql.RowMapping], starts: Sequence[sql.RowMapping], start: float) -> Rate:
    speed, overhead = fit([row["load"] for row in found], [row["seconds"] for row in found])
    began = recent_median([row["seconds"] for row in starts]) if starts else start
    return Rate(speed, began, len(found), "ledger", overhead)


def _of_run(table: sql.Table, run: str) -> list[sql.ColumnElement[bool]]:
    if not run:
        return []
    return [table.c.run == run if "run" in table.c else sql.false()]


def _unreadable(error: Exception) -> StoreError:
    return StoreError(
        f"the ledger cannot be read: {_reason(error)}",
        hint="move it away to begin a new one; results do not depend on it",
    )


def _reason(error: Exception) -> str:
    original = getattr(error, "orig", None)
    return str(original or error)
