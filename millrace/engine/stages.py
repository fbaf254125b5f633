"""What a stage kind is, and where kinds are found.

A kind is a class registered under the entry-point group ``millrace.stages``. The engine builds it
with validated parameters and calls it in this order::

    measure(staged)      reads a file, in a child process under limits       → Outline   (cached)
    work(outline)        pure: how much there is to do, or BadInput          → Work
    forecast(outline)    pure: what the output will look like                → Outline
    split(outline)       pure: the batches                                   → [Span]
    profile(device)      what besides inputs and parameters changes the output bytes
    open(device)         the expensive start, once per assignment            → session
    run(session, …)      batches in, one Result or Failure each, as they are finished
    join(session, …)     several results of one item into one
    check(result)        is what was written really good?

Two class methods are optional, for kinds whose profile depends on the libraries of a host::

    capabilities(device) what of the profile is the same whatever the parameters, on this host
    advice(name, value)  what makes a host have that value in its profile

A kind with the class attribute `effect = True` changes something outside the store: rows of a
database, say. It runs in every run, is not kept from running by items that failed before it, and
changes nothing the second time. Environment variables that it names in `secrets` reach its session.

A kind knows nothing of Prefect, pools, retries, labels or stores.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from millrace.engine.errors import UsageError
from millrace.engine.hosts.devices import Device

GROUP = "millrace.stages"

Progress = Callable[[str, float], None]
"""Called by a kind with (batch key, units finished of that batch so far)."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Needs(_Frozen):
    """What one batch needs of a host. Memory and VRAM in bytes."""

    cores: int = 1
    memory: int = 0
    gpu: Literal["no", "prefer", "require"] = "no"
    vram: int = 0
    tools: tuple[str, ...] = ()


class Outline(_Frozen):
    """What is known of an artifact without its content. `facts` holds plain JSON of the kind's own
    choosing; kinds of one workload share names (video: frames, width, height, …). `output_suffix`
    is set by the engine, not by `measure`: the suffix asked of the result (".mp4"), "" for none."""

    media_type: str
    size: int = Field(ge=0, description="bytes")
    facts: dict[str, JsonValue] = {}
    output_suffix: str = ""


class Work(_Frozen):
    """How much a stage has to do for one item.

    `units` is what a person counts (the kind's `unit`). `load` is proportional to time on one
    device and is what predictions are made from; it defaults to `units`. Batches of the same kind
    and `pace` run at a comparable load per second.
    """

    units: float = Field(ge=0)
    load: float | None = None
    pace: str = ""
    needs: Needs = Needs()
    scratch: int = Field(default=0, description="bytes of temporary disk beside the output")
    notes: tuple[str, ...] = Field(default=(), description="what a person should know beforehand")


class Span(_Frozen):
    """A part of one item: units `start` up to `stop`, and what the kind needs to find it again."""

    start: float = 0
    stop: float
    data: dict[str, JsonValue] = {}

    @property
    def units(self) -> float:
        """Number of units in the span."""
        return self.stop - self.start


class Staged(_Frozen):
    """An item as a session sees it: files on this host, under neutral names.

    `path` is a file, or for a folder artifact (a gathered item) a folder whose `members` lie in
    order (`member_names`: what people call them). `name` is the original name, for messages only:
    never build a path from it.

    An effect that gathers gets what is there. `absent` holds an entry for each item that failed on
    its way: the SHA-256 of the file it came from, "" where that cannot be read. Where it is not
    `complete`, the run was told to take only some of the items. So what is missing from `members`
    is no longer wanted only where the item is `complete` and its digest not `absent`.
    """

    name: str
    path: Path
    media_type: str = ""
    members: tuple[Path, ...] = ()
    member_names: tuple[str, ...] = ()
    sides: dict[str, Path] = {}
    absent: tuple[str, ...] = ()
    complete: bool = True


class Batch(_Frozen):
    """One batch as a kind sees it. `whole`: it covers its item, so that no join follows."""

    key: str
    item: Staged
    outline: Outline
    span: Span
    whole: bool


class Result(_Frozen):
    """What a batch (or a join) produced: one file or folder under the `out` it was given.

    Facts the engine knows: `thumbnail`, a small JPEG in base64 for the report; `fallback`, why a
    better device than the one used was passed over (a failure where the stage requires a GPU).
    """

    key: str
    path: Path
    media_type: str
    units: float
    facts: dict[str, JsonValue] = Field(
        default={}, description="kept in the manifest, given to join"
    )
    notes: tuple[str, ...] = Field(default=(), description="what a person should know afterwards")


class Failure(_Frozen):
    """Why a batch could not be done. `code` is a short word; `message` names the file.

    A failure that is the input's own fault is remembered: the same batch is not tried again until
    something about it changes or a person asks for it. With the code `unreachable`, something that
    the stage needs is away for now: the batch is tried again in the same run, after a while.
    """

    key: str
    code: str
    message: str
    hint: str = ""
    fault: Literal["input", "stage"] = "stage"


@runtime_checkable
class Stage(Protocol):
    """A stage kind. Class attributes describe it; instances are bound to validated parameters."""

    kind: ClassVar[str]
    version: ClassVar[int]
    unit: ClassVar[str]
    Params: ClassVar[type[BaseModel]]
    accepts: ClassVar[tuple[str, ...]]  # media types, `video/*` style; () accepts everything
    gathers: ClassVar[bool]  # True: wants `all:` (many artifacts as one folder item)
    lossy: ClassVar[bool]  # True: encodes lossily, so that two in a chain deserve a warning
    prior: ClassVar[float]  # load per second assumed until the ledger knows better

    def __init__(self, params: Any) -> None: ...

    def measure(self, item: Staged) -> Outline: ...

    def work(self, outline: Outline) -> Work: ...

    def forecast(self, outline: Outline) -> Outline: ...

    def split(self, outline: Outline) -> Sequence[Span]: ...

    def profile(self, device: Device) -> Mapping[str, str]: ...

    def open(self, device: Device) -> AbstractContextManager[Any]: ...

    def run(
        self, session: Any, batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]: ...

    def join(
        self, session: Any, batch: Batch, parts: Sequence[Result], out: Path, progress: Progress
    ) -> Result: ...

    def check(self, batch: Batch, result: Result) -> None: ...


def capabilities(kind: type[Stage], device: Device) -> dict[str, str]:
    """Returns what a kind says of its profile on a device of this host; {} if it says nothing."""
    ask = getattr(kind, "capabilities", None)
    return dict(ask(device)) if ask else {}


def advice(kind: type[Stage], name: str, value: str) -> str:
    """Returns what a kind says makes a host have a value in its profile; "" if nothing."""
    ask = getattr(kind, "advice", None)
    return str(ask(name, value)) if ask else ""


def is_effect(kind: Stage | type[Stage]) -> bool:
    """Returns whether a kind changes something outside the store."""
    return bool(getattr(kind, "effect", False))


def suffix_of(kind: type[Stage]) -> str:
    """Returns the suffix of all of a kind's results (".json"), "" where they are like its inputs.

    A kind says so by a class attribute `suffix`.
    """
    return str(getattr(kind, "suffix", ""))


def secrets_of(kind: type[Stage]) -> tuple[str, ...]:
    """Returns the environment variables with credentials that a kind's sessions get."""
    return tuple(getattr(kind, "secrets", ()))


def available() -> dict[str, EntryPoint]:
    """Returns the entry point of every installed kind, by name, sorted."""
    return {e.name: e for e in sorted(entry_points(group=GROUP), key=lambda e: e.name)}


def load(kind: str) -> type[Stage]:
    """Returns the class of a kind.

    Raises UsageError for an unknown kind (naming the nearest) or one whose package fails to import.
    """
    found = available()
    if kind not in found:
        near = difflib.get_close_matches(kind, found, n=1)
        hint = f"did you mean {near[0]}?" if near else "`millrace kinds` lists what is installed"
        raise UsageError(f"no stage kind is called {kind!r}", hint=hint)
    try:
        cls: type[Stage] = found[kind].load()
    except ImportError as error:
        raise UsageError(
            f"the stage kind {kind!r} cannot be loaded: {error}",
            hint=f"install what {found[kind].value.split(':')[0]} imports, or its extra",
        ) from error
    return cls
