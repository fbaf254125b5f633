"""The kind `documents.load`: the facts of many documents into the graph, and the doubtful onto the
desk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from millrace.engine.errors import BadInput, DamagedOutput, GraphError, ItemError, MillraceError
from millrace.engine.hosts.devices import Device
from millrace.engine.settings import settings
from millrace.engine.stages import (
    Batch,
    Failure,
    Needs,
    Outline,
    Progress,
    Result,
    Span,
    Staged,
    Work,
)
from millrace.tasks.documents import review
from millrace.tasks.documents.facts import Facts, load
from millrace.tasks.documents.graph import locations

if TYPE_CHECKING:
    from millrace.tasks.documents.graph.adapter import Graph, Receipt
    from millrace.tasks.documents.review.desk import Desk

MEDIA_TYPE = "application/vnd.millrace.receipt+json"
_TOGETHER = 500  # documents whose facts are in memory at a time
_PATIENCE = 60.0  # seconds to wait for a server or another writer before the run is told
_MEMORY = 1 << 30  # bytes


class LoadParams(BaseModel):
    """Which graph facts are loaded into, for whom, and whether others are taken out of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: str = Field(
        min_length=1,
        max_length=100,
        description="whose documents they are, such as the pipeline's name: what another scope has "
        "loaded is left alone",
    )
    graph: str = Field(
        default="",
        description="a server as bolt://HOST:7687, or a folder from the root; "
        "empty: what MILLRACE_GRAPH names, else the graph of this host",
    )
    withdraw: bool = Field(
        default=False,
        description="take documents of this scope out that are not among the inputs any more; what "
        "only failed this time stays",
    )
    resolve: bool = Field(
        default=True,
        description="bring together companies, addresses and people that are the same though "
        "written differently",
    )

    @field_validator("graph")
    @classmethod
    def _is_anywhere_the_same(cls, value: str) -> str:
        if value and "://" not in value and not value.startswith(("/", "~")):
            raise ValueError("write the folder from the root, such as /srv/graph")
        if "@" in value.partition("://")[2].partition("/")[0]:
            raise ValueError("give the address alone, and set NEO4J_USERNAME and NEO4J_PASSWORD")
        return value


@dataclass(frozen=True)
class Session:
    """What a load writes to."""

    graph: Graph
    desk: Desk


class Load:
    """Keeps a graph in step with the facts that `documents.extract` found.

    It has an effect outside the store, so it runs every time: what is new or changed is put, the
    rest left alone. Doubtful facts come onto the desk (`millrace review`), and what a person has
    decided is laid over what was extracted. The result is a receipt: counts, and nothing of the
    documents.
    """

    kind: ClassVar[str] = "documents.load"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "document"
    Params: ClassVar[type[BaseModel]] = LoadParams
    accepts: ClassVar[tuple[str, ...]] = ()
    gathers: ClassVar[bool] = True
    suffix: ClassVar[str] = ".json"
    lossy: ClassVar[bool] = False
    prior: ClassVar[float] = 100.0
    effect: ClassVar[bool] = True
    secrets: ClassVar[tuple[str, ...]] = (*locations.SECRETS, review.VARIABLE)

    def __init__(self, params: LoadParams) -> None:
        self.params = params

    def measure(self, item: Staged) -> Outline:
        """Counts the documents. Raises BadInput for files that are no facts."""
        for name, path in zip(item.member_names, item.members, strict=True):
            with path.open("rb") as file:
                if file.read(1) != b"{":
                    raise BadInput(
                        "not_facts",
                        f"{name} is not what documents.extract writes",
                        hint="load what a stage with `uses: documents.extract` brings forth",
                    )
        size = sum(path.stat().st_size for path in item.members)
        facts: dict[str, int] = {"documents": len(item.members)}
        return Outline(media_type="inode/directory", size=size, facts=dict(facts))

    def work(self, outline: Outline) -> Work:
        """The documents, one by one."""
        return Work(units=_documents(outline), needs=Needs(memory=_MEMORY))

    def forecast(self, outline: Outline) -> Outline:
        """A receipt is small."""
        return Outline(media_type=MEDIA_TYPE, size=300)

    def split(self, outline: Outline) -> Sequence[Span]:
        """One batch: what is withdrawn depends on all that is there."""
        return [Span(stop=_documents(outline))]

    def profile(self, device: Device) -> Mapping[str, str]:
        """Nothing: a receipt is never taken from the store."""
        return {}

    @contextmanager
    def open(self, device: Device) -> Iterator[Session]:
        """Opens the graph and the desk. Raises ItemError `unreachable` while a server is away."""
        from millrace.tasks.documents.review.desk import Desk
        from millrace.tasks.documents.review.tables import connect

        _refuse_relative(os.environ.get(locations.VARIABLE, "") if not self.params.graph else "")
        with _known_troubles():
            graph = locations.open_graph(self.params.graph, patience=_PATIENCE)
            with closing(graph):
                yield Session(graph, Desk(connect(settings())))

    def run(
        self, session: Session, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        """Puts what is new or changed, and withdraws what is gone."""
        for batch in batches:
            with _known_troubles():
                receipt, notes = self._reconcile(session, batch, progress)
            path = out / f"{batch.key}.json"
            path.write_text(json.dumps(receipt, indent=2, sort_keys=True) + "\n")
            yield Result(
                key=batch.key,
                path=path,
                media_type=MEDIA_TYPE,
                units=batch.span.units,
                facts=dict(receipt),
                notes=notes,
            )

    def join(
        self, session: Session, batch: Batch, parts: Sequence[Result], out: Path, progress: Progress
    ) -> Result:
        """Never called: a load is one batch."""
        raise AssertionError("a load is never cut")

    def check(self, batch: Batch, result: Result) -> None:
        """Reads the receipt back. Raises DamagedOutput."""
        try:
            receipt = json.loads(result.path.read_bytes())
            whole = isinstance(receipt["documents"], int)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedOutput(f"the receipt of {batch.item.name} is damaged") from error
        if not whole:
            raise DamagedOutput(f"the receipt of {batch.item.name} counts nothing")

    def _reconcile(
        self, session: Session, batch: Batch, progress: Progress
    ) -> tuple[dict[str, int], tuple[str, ...]]:
        from millrace.tasks.documents.graph.adapter import Receipt
        from millrace.tasks.documents.graph.resolving import settle

        item, scope, graph = batch.item, self.params.scope, session.graph
        receipt, doubtful, wanted = Receipt(), 0, set[str]()
        for at in range(0, len(item.members), _TOGETHER):
            some = [
                session.desk.decided(_facts(name, path))
                for name, path in zip(
                    item.member_names[at : at + _TOGETHER],
                    item.members[at : at + _TOGETHER],
                    strict=True,
                )
            ]
            receipt += graph.put(scope, some)
            doubtful += _review(session, scope, some)
            wanted.update(facts.digest for facts in some)
            progress(batch.key, at + len(some))
        withdrawn, notes = self._withdraw(graph, item, wanted)
        if withdrawn is not None:
            receipt += withdrawn
        counts = {"documents": len(wanted), "doubtful": doubtful, "absent": len(item.absent)}
        if self.params.resolve:
            done = settle(graph)
            counts |= {"resolved": done.resolved, "merged": done.merged}
        return asdict(receipt) | counts, notes

    def _withdraw(
        self, graph: Graph, item: Staged, wanted: set[str]
    ) -> tuple[Receipt | None, tuple[str, ...]]:
        """Takes out what is no longer declared, where it is certain what that is."""
        if not (self.params.withdraw and item.complete):
            return None, ()
        gone = set(graph.current(self.params.scope)) - wanted - set(item.absent)
        if not gone:
            return None, ()
        if "" in item.absent:
            note = "nothing was withdrawn: an input cannot be read, so nobody knows what it was"
            return None, (note,)
        return graph.withdraw(self.params.scope, sorted(gone)), ()


def _documents(outline: Outline) -> float:
    number = outline.facts.get("documents", 1)
    return float(number) if isinstance(number, int | float) else 1.0


def _facts(name: str, path: Path) -> Facts:
    try:
        return load(path.read_bytes())
    except ValueError as error:
        raise BadInput("not_facts", f"{name}: {error}") from error


def _review(session: Session, scope: str, many: Sequence[Facts]) -> int:
    """Brings doubtful facts onto the desk, and returns how many wait there of these documents."""
    from millrace.tasks.documents.review.desk import Loaded

    return session.desk.put(Loaded(facts, scope, session.graph.where) for facts in many)


def _refuse_relative(told: str) -> None:
    """A session works in a folder of its own, which is removed."""
    if told and "://" not in told and not told.startswith(("/", "~")):
        raise ItemError(
            "graph_unknown",
            f"{locations.VARIABLE} names {told!r}, which is another folder for each process",
            hint="write the folder from the root",
        )


@contextmanager
def _known_troubles() -> Iterator[None]:
    """Makes one item's failure of what the graph cannot do."""
    try:
        yield
    except GraphError as error:
        code = "unreachable" if error.away else "graph"
        raise ItemError(code, error.message, hint=error.hint) from error
    except MillraceError as error:
        if isinstance(error, ItemError):
            raise
        raise ItemError("graph", error.message, hint=error.hint) from error
