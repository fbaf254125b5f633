"""A place to run a stage kind on its own, without a pipeline, a store or a plan."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

from millrace.engine import stages
from millrace.engine.hosts.devices import Device, choose, inventory
from millrace.engine.sessions.host import Limits, SessionHost
from millrace.engine.stages import Batch, Needs, Outline, Span, Stage, Staged, Work


@dataclass(frozen=True)
class Measured:
    """An input and what the kind says of it."""

    item: Staged
    outline: Outline


@dataclass
class Rehearsal:
    """Stages inputs and makes batches and session hosts in the folder `tmp`. A context manager:
    while it is open, sessions import what this process can import, and the class under test is
    registered."""

    kind: str
    cls: type[Stage]
    params: dict[str, Any]
    tmp: Path
    limits: Limits
    output_suffix: str
    device: Device = field(default_factory=Device)
    _patches: ExitStack = field(default_factory=ExitStack)
    known: set[str] = field(default_factory=lambda: {"inputs", "leases", "log", "scratch"})

    @classmethod
    def of(
        cls,
        kind: str | type[Stage],
        params: dict[str, Any],
        tmp: Path,
        limits: Limits,
        output_suffix: str,
    ) -> Rehearsal:
        """Returns a rehearsal of a registered kind, or of a class that is not registered yet."""
        stage = stages.load(kind) if isinstance(kind, str) else kind
        name = kind if isinstance(kind, str) else kind.kind
        return cls(name, stage, params, tmp.resolve(), limits, output_suffix)

    def __enter__(self) -> Rehearsal:
        self.inputs.mkdir(parents=True)
        path = [str(Path(entry or ".").resolve()) for entry in sys.path]
        if self.kind not in stages.available():
            path.insert(0, str(self._registered()))
        self._patches.enter_context(mock.patch.object(sys, "path", path))
        variables = {"PYTHONPATH": os.pathsep.join(path)}
        self._patches.enter_context(mock.patch.dict(os.environ, variables))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._patches.close()

    @property
    def inputs(self) -> Path:
        """The folder of the staged inputs."""
        return self.tmp / "inputs"

    def stage(self) -> Stage:
        """Returns a new instance of the kind, bound to its parameters."""
        return self.cls(self.cls.Params.model_validate(self.params))

    def staged(self, path: Path) -> Staged:
        """Returns a copy of an input under a neutral name; of none, the place where none is."""
        place = self.inputs / f"{len(list(self.inputs.iterdir()))}" / f"input{path.suffix}"
        place.parent.mkdir()
        members: tuple[Path, ...] = ()
        if path.is_dir():
            if path.resolve() in place.parents:
                raise ValueError(f"the kit's own folder {self.tmp} lies in the input {path}")
            shutil.copytree(path, place)
            members = tuple(sorted(file for file in place.iterdir()))
        elif path.exists():
            shutil.copyfile(path, place)
        return Staged(
            name=path.name,
            path=place,
            media_type=mimetypes.guess_type(path.name)[0] or "",
            members=members,
            member_names=tuple(member.name for member in members),
        )

    def asked(self, outline: Outline) -> Outline:
        """Returns an outline as the engine hands it on: with the suffix asked of the result."""
        return outline.model_copy(update={"output_suffix": self.output_suffix})

    def batches(self, number: int, one: Measured) -> list[Batch]:
        """Returns the batches the kind cuts an input into; `number` tells inputs apart."""
        spans = list(self.stage().split(one.outline))
        return [
            Batch(
                key=f"{number}-{at}",
                item=one.item,
                outline=one.outline,
                span=span,
                whole=len(spans) == 1,
            )
            for at, span in enumerate(spans)
        ]

    def whole(self, number: int, one: Measured, uncut: dict[str, Any] | None = None) -> Batch:
        """Returns the batch that covers the input: what `join` is given, or with the parameters
        `uncut` the only one the kind makes of it."""
        span = Span(stop=self.stage().work(one.outline).units)
        if uncut is not None:
            (span,) = self.cls(self.cls.Params.model_validate(uncut)).split(one.outline)
        return Batch(
            key=f"{number}-whole", item=one.item, outline=one.outline, span=span, whole=True
        )

    def host(self, works: Sequence[Work] = (), params: dict[str, Any] | None = None) -> SessionHost:
        """Returns a session host with what the greediest of the works needs."""
        needs = max((work.needs for work in works), key=lambda n: n.memory, default=Needs())
        self.device = choose(needs, inventory())
        return SessionHost(
            self.kind,
            self.params if params is None else params,
            lease_folder=self.tmp / "leases",
            needs=needs,
            device=self.device,
            log=self.tmp / "log",
            scratch=self.tmp / "scratch",
            limits=self.limits,
        )

    def _registered(self) -> Path:
        """Returns a folder that registers the class, as an installed package would."""
        folder = self.tmp / "scratch" / "registered"
        info = folder / "rehearsal-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rehearsal\nVersion: 1\n")
        target = f"{self.cls.__module__}:{self.cls.__qualname__}"
        (info / "entry_points.txt").write_text(f"[{stages.GROUP}]\n{self.kind} = {target}\n")
        return folder


def fingerprint(path: Path, *, times: bool = True) -> list[tuple[str, int, str]]:
    """Returns name, time of change and digest of a file, or of every file in a folder."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    found = []
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        name = "" if file == path else str(file.relative_to(path))
        found.append((name, file.stat().st_mtime_ns if times else 0, content))
    return found
