"""The kind `python.call`: a Python function of the person's own, once per item."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, Field, JsonValue

from millrace.engine.errors import BadInput, ItemError, ToolMissing
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Failure, Outline, Progress, Result, Span, Staged, Work
from millrace_command import whole

Function = Callable[..., dict[str, object] | None]


class Params(whole.Output):
    """The parameters of `python.call`."""

    function: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="package.module:function, called as function(input, output, **arguments)",
    )
    arguments: dict[str, JsonValue] = Field(default={}, description="its keyword arguments")
    search: tuple[Path, ...] = Field(
        default=(), description="absolute folders to look for the module in, before all others"
    )

    @property
    def module(self) -> str:
        """The module's name."""
        return self.function.partition(":")[0]


class Call:
    """Calls a function per item."""

    kind: ClassVar[str] = "python.call"
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
        return whole.work(outline, self.params)

    def forecast(self, outline: Outline) -> Outline:
        return Outline(media_type=whole.media_type(self.params.suffix), size=outline.size)

    def split(self, outline: Outline) -> Sequence[Span]:
        return whole.whole()

    def profile(self, device: Device) -> Mapping[str, str]:
        """Returns the digest of the module's source, found without running it."""
        relative = Path(*self.params.module.split("."))
        for folder in [*self.params.search, *map(Path, sys.path)]:
            for file in (folder / relative.with_suffix(".py"), folder / relative / "__init__.py"):
                if file.is_file():
                    return {"source": whole.digest([file])}
        return {"source": "unknown"}

    @contextmanager
    def open(self, device: Device) -> Iterator[Function]:
        """Imports the function: what it loads, it loads once for many items."""
        sys.path[:0] = [str(folder) for folder in self.params.search]
        module, _, name = self.params.function.partition(":")
        try:
            function: Function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ToolMissing(
                f"{self.params.function} cannot be imported: {error}",
                hint="install its package beside Millrace, or name its folder under `search`",
            ) from error
        yield function

    def run(
        self, session: Function, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        for number, batch in enumerate(batches):
            progress(batch.key, 0)
            yield self._one(session, batch, whole.place(batch, number, self.params, out))

    def join(
        self, session: Any, batch: Batch, parts: Sequence[Result], out: Path, progress: Progress
    ) -> Result:
        raise AssertionError("an item is one batch: there is nothing to join")

    def check(self, batch: Batch, result: Result) -> None:
        whole.check(batch, result)

    def _one(self, function: Function, batch: Batch, path: Path) -> Result | Failure:
        name = batch.item.name
        try:
            return whole.result(batch, path, function(batch.item.path, path, **self._arguments()))
        except ItemError as error:
            return Failure(
                key=batch.key,
                code=error.code,
                message=error.message,
                hint=error.hint,
                fault="input" if isinstance(error, BadInput) else "stage",
            )
        except Exception as error:  # noqa: BLE001  whatever a person's function raises
            message = f"{self.params.function} failed on {name}: {type(error).__name__}: {error}"
            return Failure(key=batch.key, code="function_failed", message=message)

    def _arguments(self) -> dict[str, JsonValue]:
        return dict(self.params.arguments)
