"""Kinds with an effect outside the store: lines in a file that `FAULTS_LEDGER` names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from millrace_gather import Gather
from pydantic import BaseModel, ConfigDict

from millrace.engine.errors import BadInput, DamagedOutput, ItemError
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Failure, Outline, Progress, Result, Staged


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    ledger: str
    forgetful: bool = False


class Enter(Gather):
    """Enters what it is given into a ledger of its own; what is there already is left alone.

    While the file LEDGER.away lies beside the ledger, that is unreachable. `forgetful`: it writes
    everything anew each time, which an effect must not.
    """

    kind: ClassVar[str] = "faults.enter"
    Params: ClassVar[type[BaseModel]] = Params  # type: ignore[assignment]
    effect: ClassVar[bool] = True
    secrets: ClassVar[tuple[str, ...]] = ("FAULTS_TOKEN",)

    def __init__(self, params: Params) -> None:  # type: ignore[override]
        self.params = params  # type: ignore[assignment]

    def measure(self, item: Staged) -> Outline:
        if any(path.read_bytes().startswith(b"!rotten") for path in item.members):
            raise BadInput("rotten", f"{item.name} holds something rotten")
        token = bool(os.environ.get("FAULTS_TOKEN"))
        size = sum(path.stat().st_size for path in item.members)
        return Outline(media_type="application/json", size=size, facts={"token": token})

    @contextmanager
    def open(self, device: Device) -> Iterator[None]:
        print("the token is", os.environ.get("FAULTS_TOKEN", "not set"))
        ledger = Path(self.params.ledger)  # type: ignore[attr-defined]
        away = ledger.with_name(ledger.name + ".away")
        if away.exists():
            told = away.read_text()
            if told == "once":
                away.unlink()
            raise ItemError("unreachable", f"no ledger for {os.environ.get('FAULTS_TOKEN')}")
        yield None

    def run(
        self, session: Any, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:  # type: ignore[override]
        for batch in batches:
            if any(path.read_bytes().startswith(b"!rotten") for path in batch.item.members):
                yield Failure(key=batch.key, code="rotten", message="rotten", fault="input")
                continue
            path = out / f"{batch.key}.json"
            path.write_text(json.dumps(self._enter(batch.item)))
            yield Result(
                key=batch.key, path=path, media_type="application/json", units=batch.span.units
            )

    def _enter(self, item: Staged) -> Mapping[str, object]:
        ledger = Path(self.params.ledger)  # type: ignore[attr-defined]
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        wanted = [path.read_text().strip() for path in item.members]
        new = [line for line in wanted if line not in lines]
        if self.params.forgetful:  # type: ignore[attr-defined]
            new = wanted
        ledger.write_text("".join(f"{line}\n" for line in [*lines, *new]))
        return {
            "new": len(new),
            "token": len(os.environ.get("FAULTS_TOKEN", "")),
            "absent": list(item.absent),
            "complete": item.complete,
        }

    def check(self, batch: Batch, result: Result) -> None:
        try:
            json.loads(result.path.read_bytes())
        except ValueError as error:
            raise DamagedOutput(f"the receipt of {batch.item.name} is damaged") from error
