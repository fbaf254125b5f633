"""The embedded graph: the one module that knows ladybug.

A folder with the database's file and a lock. The database is opened for each transaction and closed
after it, so that several processes share it: one writes, or any number read. Writers and readers
wait for each other.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from millrace.engine.errors import GraphError, ToolMissing, UsageError
from millrace.tasks.documents.graph import guard
from millrace.tasks.documents.graph.adapter import Answer
from millrace.tasks.documents.graph.loading import Run
from millrace.tasks.documents.graph.migrations import missing
from millrace.tasks.documents.graph.model import Row

T = TypeVar("T")
_FILE = "graph.lbug"
_LOCK = "lock"
_POOL = 512 << 20  # bytes of pages in memory; its own default is four fifths of the machine's
_SIZE = 1 << 38  # bytes of address space that its file may grow to
_LOOK = 0.05
_MIGRATIONS = "CREATE NODE TABLE IF NOT EXISTS Migration (id INT64 PRIMARY KEY)"


class Embedded:
    """The database in a folder, which is made. Waits up to `patience` seconds for others."""

    def __init__(self, folder: Path, patience: float) -> None:
        self.where = str(folder)
        self._folder = folder
        self._patience = patience

    def migrate(self) -> None:
        """Makes the tables that are not there."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise GraphError(
                f"the folder of the graph cannot be made: {self.where}: {error.strerror}",
                hint="name another by --graph or MILLRACE_GRAPH",
            ) from error
        if (self._folder / _FILE).exists() and not missing("embedded", self._done(), self.where):
            return
        with self._open(writing=True) as connection:
            _rows(connection, _MIGRATIONS)
            done = {row["id"] for row in _rows(connection, "MATCH (m:Migration) RETURN m.id AS id")}
            for step in missing("embedded", done, self.where):
                _rows(connection, "BEGIN TRANSACTION")
                for statement in step.statements:
                    _rows(connection, statement)
                _rows(connection, "CREATE (:Migration {id: $id})", {"id": step.number})
                _rows(connection, "COMMIT")

    def write(self, work: Callable[[Run], T]) -> T:
        """Returns what `work` did, committed."""
        with self._open(writing=True) as connection:
            return self._transaction(connection, work, "BEGIN TRANSACTION")

    def read(self, work: Callable[[Run], T]) -> T:
        """Returns what `work` read."""
        with self._open(writing=False) as connection:
            return self._transaction(connection, work, "BEGIN TRANSACTION READ ONLY")

    def ask(self, text: str, parameters: Mapping[str, Any], limit: int, seconds: float) -> Answer:
        """Returns the answer to a query of a person."""
        query = guard.check(text)
        with self._open(writing=False) as connection:
            connection.set_query_timeout(max(1, int(seconds * 1000)))
            try:
                result = connection.execute(query, dict(parameters))
            except RuntimeError as error:
                raise _refusal(error, seconds) from error
            if isinstance(result, list):
                raise UsageError("there is more than one statement", hint=guard.HINT)
            rows: list[tuple[Any, ...]] = []
            while result.has_next() and len(rows) < limit:
                rows.append(tuple(map(_plain, result.get_next())))
            return Answer(tuple(result.get_column_names()), tuple(rows), bool(result.has_next()))

    def close(self) -> None:
        """Nothing is held between transactions."""

    def _transaction(self, connection: Any, work: Callable[[Run], T], begin: str) -> T:
        def run(statement: str, /, **parameters: Any) -> list[Row]:
            try:
                return _rows(connection, statement, parameters)
            except RuntimeError as error:
                what = str(error).partition(":")[0][:60]  # what follows may hold values
                raise GraphError(
                    f"the graph in {self.where} failed: {what}",
                    hint="see that the disk is not full; what was committed is kept",
                ) from error

        run(begin)
        try:
            done = work(run)
            run("COMMIT")
        except BaseException:
            with suppress(RuntimeError):  # a failed statement has ended the transaction already
                _rows(connection, "ROLLBACK")
            raise
        return done

    def _done(self) -> set[int]:
        with self._open(writing=False) as connection:
            try:
                return {
                    int(r["id"]) for r in _rows(connection, "MATCH (m:Migration) RETURN m.id AS id")
                }
            except RuntimeError as error:
                if "does not exist" in str(error):
                    return set()
                raise

    @contextmanager
    def _open(self, *, writing: bool) -> Iterator[Any]:
        """Yields a connection, once no other process is in the way."""
        try:
            import ladybug
        except ImportError as error:
            raise ToolMissing(
                "the embedded graph needs ladybug", hint="pip install 'millrace[documents]'"
            ) from error
        with self._locked(writing):
            try:
                database = ladybug.Database(
                    self._folder / _FILE,
                    read_only=not writing,
                    buffer_pool_size=_POOL,
                    max_db_size=_SIZE,
                )
            except RuntimeError as error:
                raise GraphError(
                    f"the graph in {self.where} cannot be opened: {_sentence(error)}",
                    hint="restore it from a backup, or load the documents into a new folder",
                ) from error
            try:
                connection = ladybug.Connection(database)
                try:
                    yield connection
                finally:
                    connection.close()
            finally:
                database.close()

    @contextmanager
    def _locked(self, writing: bool) -> Iterator[None]:
        how = (fcntl.LOCK_EX if writing else fcntl.LOCK_SH) | fcntl.LOCK_NB
        end = time.monotonic() + self._patience
        try:
            handle = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise GraphError(
                f"the graph in {self.where} cannot be opened: {error.strerror}",
                hint="name another by --graph or MILLRACE_GRAPH",
            ) from error
        try:
            while True:
                try:
                    fcntl.flock(handle, how)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise GraphError(
                            f"another process has held the graph in {self.where} for "
                            f"{self._patience:.0f} s",
                            hint="wait for its load to end, or use a Neo4j server: `make neo4j`",
                            away=True,
                        ) from None
                    time.sleep(_LOOK)
            yield
        finally:
            os.close(handle)


def _rows(
    connection: Any, statement: str, parameters: Mapping[str, Any] | None = None
) -> list[Row]:
    result = connection.execute(statement, dict(parameters or {}))
    rows: list[Row] = list(result.rows_as_dict())
    result.close()
    return rows


def _plain(value: Any) -> Any:
    """Returns a value without the database's own marks on nodes and edges."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k == "_LABEL" or not k.startswith("_")}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _refusal(error: RuntimeError, seconds: float) -> UsageError:
    told = _sentence(error)
    if "interrupt" in told.casefold():
        return UsageError(
            f"the query took longer than {seconds:.0f} s",
            hint="ask for less: a narrower MATCH, a LIMIT",
        )
    return UsageError(f"the query is wrong: {told}", hint="docs/graph.md has queries that work")


def _sentence(error: RuntimeError) -> str:
    return " ".join(str(error).split())[:500]
