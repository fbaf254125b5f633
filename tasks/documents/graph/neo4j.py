"""A Neo4j server as the graph: the one module that knows its driver.

Writing waits for a server that went away: each transaction is idempotent, so one whose end is not
known is simply done again. A person's query is planned first and refused by what its plan holds,
then run in a session that may only read.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from millrace.engine.errors import GraphError, ToolMissing, UsageError
from millrace.tasks.documents.graph.adapter import Answer
from millrace.tasks.documents.graph.guard import HINT
from millrace.tasks.documents.graph.loading import Run
from millrace.tasks.documents.graph.locations import Server
from millrace.tasks.documents.graph.migrations import missing
from millrace.tasks.documents.graph.model import Row

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction, Session

T = TypeVar("T")
_DATABASE = "neo4j"
_CONNECT = 10.0  # seconds for a connection
_WITHIN = 15.0  # seconds that the driver itself tries a transaction again
_PAUSE = (0.5, 5.0)  # seconds between two attempts: the first, the longest
_CONFLICTS = 20  # attempts at a transaction that others' changes made fail
_TRANSACTION = 300.0  # seconds that the server gives a transaction of ours
_REFUSED = ("ProcedureCall", "LoadCSV", "Show", "Terminate", "Administration", "System", "Foreach")
_MIGRATION = "CREATE CONSTRAINT migration_id IF NOT EXISTS FOR (n:Migration) REQUIRE n.id IS UNIQUE"


class Neo4j:
    """A server. Writing waits up to `patience` seconds for one that went away."""

    def __init__(self, server: Server, patience: float) -> None:
        try:
            import neo4j
        except ImportError as error:
            raise ToolMissing(
                "a Neo4j graph needs its driver", hint="pip install 'millrace[documents]'"
            ) from error
        self.where = server.address
        self._patience = patience
        with _told(self.where):
            self._driver: Driver = neo4j.GraphDatabase.driver(
                server.address,
                auth=(server.user, server.password),
                user_agent="millrace",
                connection_timeout=_CONNECT,
                connection_acquisition_timeout=_CONNECT * 2,
                max_transaction_retry_time=min(_WITHIN, patience),
                notifications_min_severity="OFF",
                telemetry_disabled=True,
            )

    def migrate(self) -> None:
        """Makes the constraints and indexes that are not there. Does not wait for a server."""
        with _told(self.where):
            self._driver.verify_connectivity()
            with self._session() as session:
                rows = session.run("MATCH (m:Migration) RETURN m.id AS id").data()
                steps = missing("neo4j", {int(row["id"]) for row in rows}, self.where)
                if not steps:
                    return
                session.run(_MIGRATION).consume()
                for step in steps:
                    for statement in step.statements:
                        session.run(statement).consume()
                    session.run("MERGE (:Migration {id: $id})", id=step.number).consume()
                session.run("CALL db.awaitIndexes(120)").consume()

    def write(self, work: Callable[[Run], T]) -> T:
        """Returns what `work` did, committed: perhaps at a later attempt."""
        with self._session() as session:
            return self._patiently(lambda: session.execute_write(_unit(work)))

    def read(self, work: Callable[[Run], T]) -> T:
        """Returns what `work` read."""
        with self._session("READ") as session, _told(self.where):
            return session.execute_read(_unit(work))

    def ask(self, text: str, parameters: Mapping[str, Any], limit: int, seconds: float) -> Answer:
        """Returns the answer to a query of a person."""
        import neo4j
        from neo4j.exceptions import ClientError

        if "apoc" in text.casefold() or "\\u" in text:  # its functions run other queries, unplanned
            raise UsageError("APOC and \\u escapes are refused in queries", hint=HINT)
        query = neo4j.Query(text, timeout=seconds)
        plan = neo4j.Query(f"EXPLAIN {text}", timeout=seconds)
        with self._session("READ", fetch_size=min(limit + 1, 1000)) as session, _told(self.where):
            try:
                summary = session.run(plan, dict(parameters)).consume()
                _judge(summary.query_type, cast("Mapping[str, Any] | None", summary.plan))
                result = session.run(query, dict(parameters))
                rows = [
                    tuple(_plain(value) for value in row.values()) for row in result.fetch(limit)
                ]
                cut = result.peek() is not None
                return Answer(tuple(result.keys()), tuple(rows), cut)
            except ClientError as error:
                raise _refusal(error, seconds) from error

    def close(self) -> None:
        """Closes the connections."""
        self._driver.close()

    def _session(self, mode: str = "WRITE", *, fetch_size: int = 1000) -> Session:
        return self._driver.session(
            database=_DATABASE, default_access_mode=mode, fetch_size=fetch_size
        )

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """Returns what an attempt does, tried until the patience is at its end."""
        from neo4j.exceptions import AuthError, DriverError, Neo4jError

        end = time.monotonic() + self._patience
        pause, conflicts = _PAUSE[0], 0
        while True:
            try:
                return attempt()
            except AuthError:
                with _told(self.where):
                    raise
            except (DriverError, Neo4jError) as error:
                conflicts += _conflict(error)
                lost = _lost(error)
                if not lost and not (_conflict(error) and conflicts < _CONFLICTS):
                    with _told(self.where):
                        raise
                if time.monotonic() + pause > end:
                    with _told(self.where, self._patience):
                        raise
            time.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - no secret
            pause = min(pause * 1.5, _PAUSE[1])


def _unit(work: Callable[[Run], T]) -> Callable[[ManagedTransaction], T]:
    from neo4j import unit_of_work

    @unit_of_work(timeout=_TRANSACTION)
    def unit(transaction: ManagedTransaction) -> T:
        def run(statement: str, /, **parameters: Any) -> list[Row]:
            return transaction.run(statement, parameters).data()

        return work(run)

    return unit


def _lost(error: Exception) -> bool:
    """Whether the server went away or cannot take work just now, the end of a commit unknown
    included."""
    from neo4j.exceptions import DatabaseUnavailable, ServiceUnavailable, SessionExpired

    if isinstance(error, (ServiceUnavailable, SessionExpired, DatabaseUnavailable)):
        return True
    return bool(getattr(error, "is_retryable", lambda: False)()) or isinstance(error, OSError)


def _conflict(error: Exception) -> bool:
    """Whether another writer made the node, or took it away, between two of our statements."""
    code = str(getattr(error, "code", ""))
    return code.endswith(("ConstraintValidationFailed", "EntityNotFound"))


@contextmanager
def _told(where: str, waited: float = 0.0) -> Iterator[None]:
    """Turns the driver's errors into ours."""
    from neo4j.exceptions import (
        AuthError,
        DriverError,
        Neo4jError,
        ServiceUnavailable,
        SessionExpired,
    )

    try:
        yield
    except AuthError as error:
        raise GraphError(
            f"the graph at {where} does not take these credentials",
            hint="set NEO4J_USERNAME and NEO4J_PASSWORD; `make neo4j` prints those of its server",
        ) from error
    except (ServiceUnavailable, SessionExpired) as error:
        during = f" for {waited:.0f} s" if waited else ""
        raise GraphError(
            f"the graph at {where} could not be reached{during}",
            hint="start it (`make neo4j` for one on this machine), or name another by --graph;\n"
            "what was loaded is kept, and the same run again loads the rest",
            away=True,
        ) from error
    except (DriverError, Neo4jError, ValueError) as error:
        code = getattr(error, "code", None) or type(error).__name__
        raise GraphError(
            f"the graph at {where} failed: {code}", hint="its log says more"
        ) from error


def _judge(kind: str | None, plan: Mapping[str, Any] | None) -> None:
    """Raises UsageError for a query whose plan does anything but read the graph."""
    if kind != "r" or plan is None:
        raise UsageError("the graph is only read here: that query would change it", hint=HINT)
    waiting: list[Mapping[str, Any]] = [plan]
    while waiting:
        step = waiting.pop()
        name = str(step.get("operatorType", "")).partition("@")[0]
        if name.startswith(_REFUSED):
            what = {"ProcedureCall": "calls a procedure", "LoadCSV": "reads a file"}
            raise UsageError(
                "the graph is only read here: that query "
                + what.get(name, "asks about the server, not the graph"),
                hint=HINT,
            )
        waiting.extend(step.get("children", ()))


def _refusal(error: Exception, seconds: float) -> UsageError:
    code = str(getattr(error, "code", ""))
    if "TransactionTimedOut" in code:
        return UsageError(
            f"the query took longer than {seconds:.0f} s",
            hint="ask for less: a narrower MATCH, a LIMIT",
        )
    told = " ".join(str(getattr(error, "message", error)).split())[:500]
    return UsageError(f"the query is wrong: {told}", hint="docs/graph.md has queries that work")


def _plain(value: Any) -> Any:
    """Returns a value of the driver as lists, mappings and plain values."""
    from neo4j.graph import Node, Path, Relationship

    if isinstance(value, Node):
        return {"_LABEL": next(iter(value.labels), ""), **dict(value)}
    if isinstance(value, Relationship):
        return {"_LABEL": value.type, **dict(value)}
    if isinstance(value, Path):
        return {
            "nodes": [_plain(n) for n in value.nodes],
            "edges": [_plain(e) for e in value.relationships],
        }
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
