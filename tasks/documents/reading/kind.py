"""The stage kind `documents.read`: a document of any accepted type as pages of words with boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from pydantic import JsonValue

from millrace.engine.errors import BadInput, DamagedOutput, ItemError
from millrace.engine.hosts.devices import Device
from millrace.engine.sessions import tools
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
from millrace.tasks.documents import page_json, pages
from millrace.tasks.documents.pages import Trouble
from millrace.tasks.documents.reading import opening, workload
from millrace.tasks.documents.reading.isolation import Answer, Reader, Source
from millrace.tasks.documents.reading.params import ReadParams

MEMORY = 2 << 30  # bytes a session may take
_NOTES = 20  # pages in trouble that are named one by one


class Read:
    """Reads documents: PDF, TIFF, JPEG and PNG become pages of words with boxes."""

    kind: ClassVar[str] = "documents.read"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "page"
    Params: ClassVar[type[ReadParams]] = ReadParams
    accepts: ClassVar[tuple[str, ...]] = ()  # judged by content, so that a refusal says what it is
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    prior: ClassVar[float] = 0.3  # pages of print a second on one core
    secrets: ClassVar[tuple[str, ...]] = (opening.VARIABLE,)
    suffix: ClassVar[str] = ".json"

    def __init__(self, params: ReadParams) -> None:
        self._params = params
        self._surveyor: Reader | None = None

    def measure(self, item: Staged) -> Outline:
        """Returns what a document is and how large its pages are. Raises BadInput."""
        if self._surveyor is None:
            self._surveyor = Reader(self._params, Path.cwd())
        return workload.outline_of(item, self._surveyor)

    def work(self, outline: Outline) -> Work:
        """Returns how much there is to read. Raises BadInput for a document of too many pages."""
        count = workload.count(outline)
        if count > self._params.max_pages:
            raise BadInput(
                "too_large",
                f"it has {count} pages, more than {self._params.max_pages}",
                hint="take it apart, or raise max_pages",
            )
        locked = ("its pages are counted once a password has opened it",)
        return Work(
            units=count,
            load=workload.load(outline),
            pace=self._params.speed,
            needs=Needs(cores=1, memory=MEMORY, tools=("tesseract",)),
            scratch=64 << 20,
            notes=locked if workload.is_locked(outline) else (),
        )

    def forecast(self, outline: Outline) -> Outline:
        """Returns about what the read document will be."""
        count = workload.count(outline)
        facts: dict[str, JsonValue] = {"pages": count}
        return Outline(media_type=pages.MEDIA_TYPE, size=40_000 * count, facts=facts)

    def split(self, outline: Outline) -> Sequence[Span]:
        """Returns spans of pages that take about as long as each other."""
        return workload.spans(outline)

    def profile(self, device: Device) -> Mapping[str, str]:
        """Returns the versions of what reads. Raises ToolMissing without Tesseract."""
        from millrace.tasks.documents.reading.tesseract import tesseract

        profile = {"pdfium": metadata.version("pypdfium2"), "tesseract": tesseract().version}
        if self._params.speed != "fast":
            profile["rapidocr"] = metadata.version("rapidocr")
        return profile

    def open(self, device: Device) -> AbstractContextManager[Reader]:
        """Returns the reader; its child is started when it is needed. Raises ToolMissing."""
        tools.locate("tesseract", hint="apt install tesseract-ocr")
        return Reader(self._params, Path.cwd())

    def run(
        self, session: Reader, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        """Reads each batch; yields its pages, or why it cannot be read."""
        for batch in batches:
            try:
                yield self._done(session, batch, out, progress)
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
        """Returns a document of its spans. Raises BadInput where no page of it could be read."""
        facts: Counter[str] = Counter()
        trouble: dict[str, Any] = {}
        for part in parts:
            told = dict(part.facts)
            trouble |= _mapping(told.pop("trouble", {}))
            facts.update({name: int(str(number)) for name, number in told.items()})
        if len(trouble) == facts["pages"]:
            raise _unreadable(batch.item.name, [Trouble(*map(str, w)) for w in trouble.values()])
        path = out / f"{batch.key[:16]}.json"
        path.write_bytes(page_json.joined([part.path.read_bytes() for part in parts]))
        return _result(batch, path, facts, trouble)

    def check(self, batch: Batch, result: Result) -> None:
        """Looks whether every page is there. Raises DamagedOutput."""
        try:
            numbers = page_json.numbers(result.path.read_bytes())
        except ValueError as error:
            raise DamagedOutput(f"what was read of {batch.item.name} is broken: {error}") from None
        if workload.is_locked(batch.outline):
            expected = list(range(1, len(numbers) + 1))
        else:
            expected = list(range(int(batch.span.start) + 1, int(batch.span.stop) + 1))
        if numbers != expected or not numbers:
            raise DamagedOutput(f"what was read of {batch.item.name} lacks pages")

    def _done(self, session: Reader, batch: Batch, out: Path, progress: Progress) -> Result:
        source = source_of(batch)
        bodies: list[bytes] = []
        facts: Counter[str] = Counter()
        trouble: dict[str, Any] = {}
        for answer in self._answers(session, source, batch):
            bodies.append(answer.body)
            facts.update({"pages": 1, answer.origin: 1, "words": answer.words})
            if answer.trouble is not None:
                trouble[str(answer.number)] = [answer.trouble.code, answer.trouble.message]
            progress(batch.key, min(len(bodies), batch.span.units))
        if batch.whole and len(trouble) == len(bodies):
            raise _unreadable(batch.item.name, [Trouble(*why) for why in trouble.values()])
        path = out / f"{batch.key[:16]}.json"
        told = batch.outline
        digest = str(told.facts["digest"])
        path.write_bytes(page_json.assembled(batch.item.name, digest, told.media_type, bodies))
        return _result(batch, path, facts, trouble)

    def _answers(self, session: Reader, source: Source, batch: Batch) -> Iterator[Answer]:
        if not workload.is_locked(batch.outline):
            return session.read(source, int(batch.span.start) + 1, int(batch.span.stop))
        count = len(session.survey(source))
        if count > self._params.max_pages:
            what = f"{source.name} has {count} pages, more than {self._params.max_pages}"
            raise BadInput("too_large", what, hint="take it apart, or raise max_pages")
        return session.read(source, 1, count)


def source_of(batch: Batch) -> Source:
    """Returns the document of a batch, with the passwords to try."""
    item = batch.item
    return Source(item.path, batch.outline.media_type, item.name, opening.passwords(item.sides))


def failure_of(batch: Batch, error: ItemError) -> Failure:
    """Returns an error as the answer for its batch."""
    return Failure(
        key=batch.key,
        code=error.code,
        message=error.message,
        hint=error.hint,
        fault="input" if isinstance(error, BadInput) else "stage",
    )


def _unreadable(name: str, why: Sequence[Trouble]) -> BadInput:
    (code, _), *_ = Counter(trouble.code for trouble in why).most_common()
    first = next(trouble.message for trouble in why if trouble.code == code)
    one = len(why) == 1
    what = first if one and name in first else f"{name}: {first}"
    return BadInput(
        code,
        what if one else f"none of the {len(why)} pages of {name} can be read: {first}",
        hint="fetch or scan the document again, or print it to a PDF",
    )


def _result(batch: Batch, path: Path, facts: Counter[str], trouble: dict[str, Any]) -> Result:
    told: dict[str, JsonValue] = {**dict(facts), "trouble": trouble}
    return Result(
        key=batch.key,
        path=path,
        media_type=pages.MEDIA_TYPE,
        units=batch.span.units,
        facts=told,
        notes=_notes(facts, trouble),
    )


def _notes(facts: Counter[str], trouble: dict[str, Any]) -> tuple[str, ...]:
    """Returns what a person should know: the pages that are missing, and that nothing was found."""
    if not trouble:
        return () if facts["words"] else ("no text was found in it",)
    named = [f"page {number} is missing ({code})" for number, (code, _) in trouble.items()]
    more = len(named) - _NOTES
    return (
        f"partial: {facts['pages'] - len(trouble)} of {facts['pages']} pages",
        *named[:_NOTES],
        *([f"and {more} more"] if more > 0 else []),
    )


def _mapping(value: JsonValue) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
