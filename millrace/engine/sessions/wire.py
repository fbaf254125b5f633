"""What a session host and its child say to each other: one JSON object a line, nothing pickled.

Commands go down the child's standard input, events come up a pipe of their own, because kinds and
the libraries they load print to standard output whenever they like.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Failure, Needs, Outline, Result, Staged

LONGEST_LINE = 64 << 20  # bytes; a longer one is no event of ours


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Setup(_Message):
    """The first command: which kind, and what it may use."""

    do: Literal["setup"] = "setup"
    kind: str
    params: dict[str, JsonValue]
    lease_folder: Path
    needs: Needs
    device: Device


class Measure(_Message):
    do: Literal["measure"] = "measure"
    item: Staged


class Run(_Message):
    do: Literal["run"] = "run"
    batches: tuple[Batch, ...]
    out: Path


class Join(_Message):
    do: Literal["join"] = "join"
    batch: Batch
    parts: tuple[Result, ...]
    out: Path


class Cancel(_Message):
    do: Literal["cancel"] = "cancel"


class End(_Message):
    do: Literal["end"] = "end"


class Waiting(_Message):
    """The lease is not to be had yet."""

    event: Literal["waiting"] = "waiting"


class Started(_Message):
    """The lease is held and the session is open. Times in seconds, on this device."""

    event: Literal["started"] = "started"
    device: Device
    waited: float
    opening: float


class Progressed(_Message):
    """`units` of the batch `key` are finished so far."""

    event: Literal["progressed"] = "progressed"
    key: str
    units: float


class Finished(_Message):
    event: Literal["finished"] = "finished"
    result: Result


class Failed(_Message):
    event: Literal["failed"] = "failed"
    failure: Failure


class Measured(_Message):
    event: Literal["measured"] = "measured"
    outline: Outline


class Refused(_Message):
    """The command as a whole was not done. `because` says whose fault it is."""

    event: Literal["refused"] = "refused"
    because: Literal["input", "usage", "tool", "kind"]
    code: str
    message: str
    hint: str = ""


class Done(_Message):
    """The command is over; what is not finished by now has failed or was refused."""

    event: Literal["done"] = "done"


Command = Annotated[Setup | Measure | Run | Join | Cancel | End, Field(discriminator="do")]
Said = Annotated[
    Waiting | Started | Progressed | Finished | Failed | Measured | Refused | Done,
    Field(discriminator="event"),
]
COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
SAID: TypeAdapter[Said] = TypeAdapter(Said)


def line(message: BaseModel) -> bytes:
    """Returns the message as one line."""
    return message.model_dump_json().encode() + b"\n"
