"""What both kinds share: an item is one file in, one file or folder out, never cut."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from millrace.engine.errors import BadInput, DamagedOutput
from millrace.engine.stages import Batch, Needs, Outline, Result, Span, Staged, Work

_ANYTHING = "application/octet-stream"


class Output(BaseModel):
    """The parameters both kinds have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suffix: str = Field(
        default="",
        pattern=r"^(\.[A-Za-z0-9]+)*$",
        description="suffix of the output, such as .png; the pipeline's output name has priority",
    )
    version: str = Field(
        default="", description="change it when something changed that Millrace cannot see"
    )
    cores: int = Field(default=1, ge=1)
    memory: int = Field(default=0, ge=0, description="bytes it may use; 0: no limit")


def outline(item: Staged) -> Outline:
    """Returns size and type of a file. Raises BadInput for what is none or cannot be read."""
    if not item.path.is_file():
        raise BadInput("no_file", f"{item.name} is not a file", hint="name files, not folders")
    try:
        with item.path.open("rb"):
            size = item.path.stat().st_size
    except OSError as error:
        raise BadInput("unreadable", f"{item.name} cannot be read: {error.strerror}") from error
    return Outline(media_type=item.media_type or media_type(item.path.suffix), size=size)


def work(outline: Outline, output: Output, tools: tuple[str, ...] = ()) -> Work:
    """Returns the work for one item: one file, as heavy as it is long."""
    needs = Needs(cores=output.cores, memory=output.memory, tools=tools)
    return Work(units=1, load=max(1, outline.size) / 1e6, needs=needs)


def whole() -> list[Span]:
    """Returns the one span of an item."""
    return [Span(stop=1)]


def place(batch: Batch, number: int, output: Output, out: Path) -> Path:
    """Returns where the output of a batch goes: a neutral name with the suffix asked for."""
    return out / f"{number}{batch.outline.output_suffix or output.suffix}"


def result(batch: Batch, path: Path, facts: dict[str, object] | None = None) -> Result:
    """Returns the result that lies at `path`. Raises DamagedOutput when nothing does."""
    if not path.exists():
        raise DamagedOutput(f"nothing was written for {batch.item.name}", code="no_output")
    return Result.model_validate(
        {
            "key": batch.key,
            "path": path,
            "media_type": media_type(path.suffix),
            "units": 1,
            "facts": facts or {},
        }
    )


def check(batch: Batch, result: Result) -> None:
    """Raises DamagedOutput when the output is empty."""
    files = [result.path] if result.path.is_file() else list(result.path.rglob("*"))
    if not any(file.stat().st_size for file in files if file.is_file()):
        raise DamagedOutput(f"what was written for {batch.item.name} is empty", code="empty")


def media_type(suffix: str) -> str:
    """Returns the media type usual for a suffix."""
    return mimetypes.guess_type(f"x{suffix}")[0] or _ANYTHING


def digest(files: Iterable[Path]) -> str:
    """Returns the SHA-256 over the content of files, in their order."""
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()
