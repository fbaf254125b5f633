"""The stage kind `documents.searchable`: a document as a PDF that can be searched.

It reads as `documents.read` does, span by span; what it writes of the spans is another thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from millrace.engine.errors import BadInput, DamagedOutput, ItemError
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Failure, Outline, Progress, Result, Span, Staged, Work
from millrace.tasks.documents import page_json, pages
from millrace.tasks.documents.reading import opening
from millrace.tasks.documents.reading.isolation import Reader
from millrace.tasks.documents.reading.kind import Read, failure_of, source_of
from millrace.tasks.documents.reading.params import ReadParams


class Searchable:
    """Makes PDFs that can be searched: the text that was read lies unseen under the pages."""

    kind: ClassVar[str] = "documents.searchable"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "page"
    Params: ClassVar[type[ReadParams]] = ReadParams
    accepts: ClassVar[tuple[str, ...]] = ()
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    prior: ClassVar[float] = Read.prior
    secrets: ClassVar[tuple[str, ...]] = Read.secrets
    suffix: ClassVar[str] = ".pdf"

    def __init__(self, params: ReadParams) -> None:
        self._read = Read(params)

    def measure(self, item: Staged) -> Outline:
        """Returns what a document is and how large its pages are. Raises BadInput."""
        return self._read.measure(item)

    def work(self, outline: Outline) -> Work:
        """Returns how much there is to read. Raises BadInput for a document of too many pages."""
        return self._read.work(outline)

    def forecast(self, outline: Outline) -> Outline:
        """Returns about what the PDF will be."""
        return Outline(media_type=opening.PDF, size=outline.size, facts=outline.facts)

    def split(self, outline: Outline) -> Sequence[Span]:
        """Returns spans of pages that take about as long as each other."""
        return self._read.split(outline)

    def profile(self, device: Device) -> Mapping[str, str]:
        """Returns the versions of what reads and writes. Raises ToolMissing."""
        from importlib import metadata

        return {**self._read.profile(device), "pikepdf": metadata.version("pikepdf")}

    def open(self, device: Device) -> AbstractContextManager[Reader]:
        """Returns the reader. Raises ToolMissing."""
        return self._read.open(device)

    def run(
        self, session: Reader, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        """Reads each batch; yields the PDF of a whole document, what was read of a span."""
        for batch, answer in zip(
            batches, self._read.run(session, batches, out, progress), strict=True
        ):
            if isinstance(answer, Failure) or not batch.whole:
                yield answer
                continue
            try:
                yield _written(batch, answer, out)
            except ItemError as error:
                yield failure_of(batch, error)

    def join(
        self,
        session: Reader,
        batch: Batch,
        parts: Sequence[Result],
        out: Path,
        progress: Progress,
    ) -> Result:
        """Returns the PDF of a document whose spans were read. Raises BadInput."""
        return _written(batch, self._read.join(session, batch, parts, out, progress), out)

    def check(self, batch: Batch, result: Result) -> None:
        """Looks whether every page is there. Raises DamagedOutput."""
        if result.media_type == pages.MEDIA_TYPE:
            self._read.check(batch, result)
            return
        from millrace.tasks.documents.reading import searchable

        try:
            count = searchable.count(result.path)
        except BadInput as error:
            raise DamagedOutput(f"the PDF of {batch.item.name} is broken: {error}") from None
        if count != int(str(result.facts["pages"])):
            raise DamagedOutput(f"the PDF of {batch.item.name} lacks pages")


def _written(batch: Batch, read: Result, out: Path) -> Result:
    """Returns the PDF of what was read of a whole document."""
    from millrace.tasks.documents.reading import searchable

    source = source_of(batch)
    document = page_json.load(read.path.read_bytes())
    path = out / f"{batch.key[:16]}.pdf"
    searchable.write(document, source.path, source.passwords, path)
    read.path.unlink()
    return read.model_copy(update={"path": path, "media_type": opening.PDF})
