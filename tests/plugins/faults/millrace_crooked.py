"""A stage kind that breaks one rule of the contract, the one named by its parameter `rule`.

It shows that the conformance kit notices each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from millrace_faults import Bytes
from millrace_faults import Params as BytesParams
from pydantic import BaseModel, ConfigDict

from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Failure, Outline, Progress, Result, Span, Staged, Work


class Params(BytesParams):
    rule: str = ""


class LooseParams(Params):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Crooked:
    kind: ClassVar[str] = "faults.crooked"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "byte"
    Params: ClassVar[type[BaseModel]] = Params
    accepts: ClassVar[tuple[str, ...]] = ()
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    prior: ClassVar[float] = 1e6

    def __init__(self, params: Params) -> None:
        self.params = params
        self.straight = Bytes(params)
        self._seen = 0

    def measure(self, item: Staged) -> Outline:
        outline = self.straight.measure(item)
        facts: dict[str, Any] = {}
        match self.params.rule:
            case "writes beside its input":
                (item.path.parent / "index").write_text("cache")
            case "measures by the clock":
                facts = {"at": time.time()}
            case "facts that are no JSON":
                facts = {"ratio": float("nan")}
        return outline.model_copy(update={"facts": facts})

    def work(self, outline: Outline) -> Work:
        return self.straight.work(outline)

    def forecast(self, outline: Outline) -> Outline:
        return outline

    def split(self, outline: Outline) -> Sequence[Span]:
        spans = list(self.straight.split(outline))
        match self.params.rule:
            case "leaves units out":
                return [spans[0], *spans[2:]]
            case "stops too early":
                return spans[:-1]
            case "cuts by the machine" if (os.cpu_count() or 1) > 70:
                return [Span(stop=outline.size)]
        return spans

    def profile(self, device: Device) -> Mapping[str, str]:
        self._seen += 1
        return {"at": str(time.time())} if self.params.rule == "a profile of the clock" else {}

    def open(self, device: Device) -> Any:
        return self.straight.open(device)

    def run(
        self, session: dict[str, int], batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        for answer in self.straight.run(session, batches, out, progress):
            if isinstance(answer, Result):
                self._spoil(answer, out)
                if self.params.rule == "says it did less":
                    yield answer.model_copy(update={"units": answer.units - 1})
                    continue
            yield answer

    def _spoil(self, answer: Result, out: Path) -> None:
        size = answer.path.stat().st_size
        match self.params.rule:
            case "writes random bytes":
                answer.path.write_bytes(os.urandom(size))
            case "leaves files outside":
                (out.parent / "droppings").touch()

    def join(
        self, session: Any, batch: Batch, parts: Sequence[Result], out: Path, progress: Progress
    ) -> Result:
        if self.params.rule == "joins half":
            parts = parts[:1]
        return self.straight.join(session, batch, parts, out, progress)

    def check(self, batch: Batch, result: Result) -> None:
        if self.params.rule != "checks nothing":
            self.straight.check(batch, result)


class Loose(Crooked):
    kind: ClassVar[str] = "faults.loose"
    Params: ClassVar[type[BaseModel]] = LooseParams


class Misnamed(Crooked):
    kind: ClassVar[str] = "faults.other"
