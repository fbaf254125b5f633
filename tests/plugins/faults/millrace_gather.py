"""Kinds that need more than one file: one gathers, one takes a side input along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from millrace.engine.errors import BadInput
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Outline, Progress, Result, Span, Staged, Work


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gather:
    """Writes `NAME: content` of each member, a line each, in the order they are given."""

    kind: ClassVar[str] = "faults.gather"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "byte"
    Params: ClassVar[type[BaseModel]] = Params
    accepts: ClassVar[tuple[str, ...]] = ()
    gathers: ClassVar[bool] = True
    lossy: ClassVar[bool] = False
    prior: ClassVar[float] = 1e6

    def __init__(self, params: Params) -> None:
        self.params = params

    def measure(self, item: Staged) -> Outline:
        size = sum(path.stat().st_size for path in item.members)
        return Outline(media_type="text/plain", size=size)

    def work(self, outline: Outline) -> Work:
        return Work(units=outline.size)

    def forecast(self, outline: Outline) -> Outline:
        return outline

    def split(self, outline: Outline) -> Sequence[Span]:
        return [Span(stop=outline.size)]

    def profile(self, device: Device) -> Mapping[str, str]:
        return {}

    @contextmanager
    def open(self, device: Device) -> Iterator[None]:
        yield None

    def run(
        self, session: Any, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result]:
        for batch in batches:
            path = out / f"{batch.key}.txt"
            path.write_text(self._text(batch.item))
            yield Result(key=batch.key, path=path, media_type="text/plain", units=batch.span.units)

    def _text(self, item: Staged) -> str:
        pairs = zip(item.member_names, item.members, strict=True)
        return "".join(f"{name}: {path.read_text()}\n" for name, path in pairs)

    def join(
        self, session: Any, batch: Batch, parts: Sequence[Result], out: Path, progress: Progress
    ) -> Result:
        raise BadInput("joined", f"{batch.item.name} is never cut, so never joined")

    def check(self, batch: Batch, result: Result) -> None:
        result.path.read_text()


class Beside(Gather):
    """Writes its side inputs, `ROLE=content;` each, before its own content."""

    kind: ClassVar[str] = "faults.beside"
    gathers: ClassVar[bool] = False

    def measure(self, item: Staged) -> Outline:
        return Outline(media_type="text/plain", size=item.path.stat().st_size)

    def _text(self, item: Staged) -> str:
        sides = (f"{role}={path.read_text()};" for role, path in sorted(item.sides.items()))
        return "".join(sides) + item.path.read_text()
