"""The stage kind `documents.extract`: what a read document says, with probabilities and places."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from millrace.engine.errors import BadInput, DamagedOutput, ItemError
from millrace.engine.hosts.devices import Device
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
from millrace.tasks.documents import facts, page_json, pages, review
from millrace.tasks.documents.extraction import spark
from millrace.tasks.documents.extraction.extracting import Extractor
from millrace.tasks.documents.extraction.params import ExtractParams
from millrace.tasks.documents.pages import Document

CORES = 2
TOGETHER = 200  # documents in one job: results are kept as they come, and memory stays bounded


class Extract:
    """Extracts fields, entities and relations from documents that `documents.read` has read."""

    kind: ClassVar[str] = "documents.extract"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "page"
    Params: ClassVar[type[ExtractParams]] = ExtractParams
    accepts: ClassVar[tuple[str, ...]] = (pages.MEDIA_TYPE, "application/json")
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    prior: ClassVar[float] = 10.0  # pages a second on two cores
    environment: ClassVar[tuple[str, ...]] = ("JAVA_HOME",)
    secrets: ClassVar[tuple[str, ...]] = (review.VARIABLE,)

    def __init__(self, params: ExtractParams) -> None:
        self._params = params
        self._known: Extractor | None = None

    @property
    def _extractor(self) -> Extractor:
        if self._known is None:
            self._known = Extractor.of(self._params)
        return self._known

    def measure(self, item: Staged) -> Outline:
        """Returns how many pages a read document has. Raises BadInput."""
        document = _document(item)
        return Outline(
            media_type=pages.MEDIA_TYPE,
            size=item.path.stat().st_size,
            facts={"pages": len(document.pages)},
        )

    def work(self, outline: Outline) -> Work:
        """Returns how much there is to do. Raises UsageError or DocumentError for a bad schema."""
        count = float(str(outline.facts.get("pages", 1)))
        _ = self._extractor
        return Work(units=count, needs=Needs(cores=CORES, memory=spark.MEMORY + spark.OVERHEAD))

    def forecast(self, outline: Outline) -> Outline:
        """Returns about what the facts of a document will weigh."""
        return Outline(
            media_type=facts.MEDIA_TYPE, size=min(outline.size, 50_000), facts=outline.facts
        )

    def split(self, outline: Outline) -> Sequence[Span]:
        """Returns the whole document: what its pages say is judged together."""
        count = float(str(outline.facts.get("pages", 1)))
        return [Span(stop=count)] if count else []

    def profile(self, device: Device) -> Mapping[str, str]:
        """Returns what changes the facts beside document and parameters."""
        return {"extractor": self._extractor.digest, "spark-nlp": metadata.version("spark-nlp")}

    def open(self, device: Device) -> AbstractContextManager[Any]:
        """Opens Spark, once for all documents of the assignment. Raises ToolMissing."""
        return self._open(device)

    def run(
        self, session: Any, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        """Extracts all documents together; yields for each its facts, or why there are none."""
        for first in range(0, len(batches), TOGETHER):
            read: list[tuple[Batch, Document]] = []
            for batch in batches[first : first + TOGETHER]:
                try:
                    read.append((batch, _document(batch.item)))
                except BadInput as error:
                    yield _failure(batch, error)
            told = self._extractor.annotated(session, [document for _, document in read])
            for (batch, document), notes in zip(read, told, strict=True):
                try:
                    if isinstance(notes, ItemError):
                        raise notes
                    yield _written(batch, self._extractor.facts(document, notes), out)
                except ItemError as error:
                    yield _failure(batch, error)
                progress(batch.key, batch.span.units)

    def join(
        self, session: Any, batch: Batch, parts: Sequence[Result], out: Path, progress: Progress
    ) -> Result:
        """Never called: a document is one batch. Raises DamagedOutput."""
        raise DamagedOutput(f"{batch.item.name} was cut, and a document's facts cannot be")

    def check(self, batch: Batch, result: Result) -> None:
        """Reads the facts back. Raises DamagedOutput for what are none, or another document's."""
        try:
            found = facts.load(result.path.read_bytes())
            digest = _document(batch.item).digest
        except (ValueError, OSError, BadInput) as error:
            raise DamagedOutput(
                f"the facts of {batch.item.name} cannot be read: {error}"
            ) from error
        if found.digest != digest:
            raise DamagedOutput(f"the facts of {batch.item.name} are of another document")

    @contextmanager
    def _open(self, device: Device) -> Iterator[Any]:
        with spark.session(self._params.spark_master, cores=device.cores) as session:
            yield self._extractor.annotator(session)


def _document(item: Staged) -> Document:
    try:
        return page_json.load(item.path.read_bytes())
    except (ValueError, OSError) as error:
        raise BadInput(
            "not_a_read_document",
            f"{item.name} is not what documents.read writes",
            hint="extract from what a stage with `uses: documents.read` brings forth",
        ) from error


def _written(batch: Batch, found: facts.Facts, out: Path) -> Result:
    name = hashlib.sha256(batch.key.encode()).hexdigest()[:16]
    path = out / f"{name}.facts.json"
    path.write_bytes(facts.dump(found))
    doubtful = sum(fact.state == "doubtful" for fact in found.facts)
    return Result(
        key=batch.key,
        path=path,
        media_type=facts.MEDIA_TYPE,
        units=batch.span.units,
        facts={"kind": found.kind, "facts": len(found.facts), "doubtful": doubtful},
    )


def _failure(batch: Batch, error: ItemError) -> Failure:
    return Failure(
        key=batch.key,
        code=error.code,
        message=error.message,
        hint=error.hint,
        fault="input" if isinstance(error, BadInput) else "stage",
    )
