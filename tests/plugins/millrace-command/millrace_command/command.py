"""The kind `command.run`: a program of the person's own, once per item."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, Field, field_validator

from millrace.engine.errors import ItemError
from millrace.engine.hosts.devices import Device
from millrace.engine.sessions import tools
from millrace.engine.stages import Batch, Failure, Outline, Progress, Result, Span, Staged, Work
from millrace_command import whole

INPUT, OUTPUT = "{input}", "{output}"


class Params(whole.Output):
    """The parameters of `command.run`."""

    command: tuple[str, ...] = Field(
        min_length=1,
        description="program and arguments; {input} and {output} stand for the two files",
    )
    timeout: float = Field(default=3600, gt=0, description="seconds one item may take")
    bad_input: tuple[int, ...] = Field(
        default=(65,),  # EX_DATAERR of sysexits.h
        description="exit codes that say the input is at fault: it is not tried again",
    )

    @field_validator("command")
    @classmethod
    def _names_both_files(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        for placeholder in (INPUT, OUTPUT):
            if not any(placeholder in word for word in command[1:]):
                raise ValueError(f"the command has no argument with {placeholder}")
        return command


class Run:
    """Runs a command per item."""

    kind: ClassVar[str] = "command.run"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "file"
    Params: ClassVar[type[BaseModel]] = Params
    accepts: ClassVar[tuple[str, ...]] = ()
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    prior: ClassVar[float] = 10.0  # MB a second

    def __init__(self, params: Params) -> None:
        self.params = params

    def measure(self, item: Staged) -> Outline:
        return whole.outline(item)

    def work(self, outline: Outline) -> Work:
        return whole.work(outline, self.params, tools=(self.params.command[0],))

    def forecast(self, outline: Outline) -> Outline:
        return Outline(media_type=whole.media_type(self.params.suffix), size=outline.size)

    def split(self, outline: Outline) -> Sequence[Span]:
        return whole.whole()

    def profile(self, device: Device) -> Mapping[str, str]:
        """Returns the digest of the program and of every file that the command names."""
        program, *arguments = self.params.command
        named = [Path(word) for word in arguments if Path(word).is_absolute()]
        found = shutil.which(program)
        files = [Path(found)] if found else []
        return {"program": whole.digest([*files, *(file for file in named if file.is_file())])}

    def open(self, device: Device) -> AbstractContextManager[None]:
        tools.locate(self.params.command[0])
        return nullcontext()

    def run(
        self, session: None, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        for number, batch in enumerate(batches):
            progress(batch.key, 0)
            try:
                yield self._one(batch, whole.place(batch, number, self.params, out))
            except ItemError as error:
                yield Failure(
                    key=batch.key, code=error.code, message=error.message, hint=error.hint
                )

    def join(
        self, session: None, batch: Batch, parts: Sequence[Result], out: Path, progress: Progress
    ) -> Result:
        raise AssertionError("an item is one batch: there is nothing to join")

    def check(self, batch: Batch, result: Result) -> None:
        whole.check(batch, result)

    def _one(self, batch: Batch, path: Path) -> Result | Failure:
        command = [
            word.replace(INPUT, str(batch.item.path)).replace(OUTPUT, str(path))
            for word in self.params.command
        ]
        with tempfile.TemporaryDirectory() as folder:
            done = tools.run(command, cwd=Path(folder), timeout=self.params.timeout)
        if done.code == 0:
            return whole.result(batch, path)
        at_fault = done.code in self.params.bad_input
        return Failure(
            key=batch.key,
            code="bad_input" if at_fault else "command_failed",
            message=f"{Path(command[0]).name} failed on {batch.item.name}: {done.reason}",
            fault="input" if at_fault else "stage",
        )
