"""Relabelling: what a person has said of some content, against what a pipeline says of its data.

A pipeline's label holds for everything it reads, and what is made from it takes the highest label
of its sources. Only a person can say that some content is less (or more) sensitive than that; it
holds for the content, wherever it lies and whatever it is called, and the audit file keeps who said
so, when and why. Nobody can go below a floor of `pools.yaml`.

    <store>/relabellings.jsonl   one line for each; only ever appended to
"""

from __future__ import annotations

import fcntl
import os
import platform
import pwd
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
)

from millrace.engine.errors import NotPermitted, StoreError, UsageError
from millrace.engine.files import digest_file, sync_folder
from millrace.engine.items import Item, printable
from millrace.engine.labels import UNLABELLED, Label, derived, permits


def _label(value: object) -> Label:
    if isinstance(value, Label):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a label")
    return Label.parse(value)


_Word = Annotated[Label, PlainValidator(_label), PlainSerializer(str, return_type=str)]


class Floors(Protocol):
    """What knows the least label of files by where they lie."""

    def of_path(self, path: Path | str) -> Label: ...
    def of_url(self, url: str) -> Label: ...


class Relabelling(BaseModel):
    """One entry of the audit file. `before` is the label an earlier entry gave, if there is one."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    at: float
    who: str
    file: str
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    before: _Word | None = Field(default=None, alias="from")
    to: _Word
    why: str = Field(min_length=1)

    def line(self) -> bytes:
        """Returns the entry as one line of JSON."""
        return (self.model_dump_json(by_alias=True) + "\n").encode()


class Relabellings:
    """The audit file of a store (its folder), as it was when this was made."""

    def __init__(self, store: Path) -> None:
        """Raises StoreError when the file cannot be read: what it says must not be missed."""
        self._path = store / "relabellings.jsonl"
        self._entries: list[Relabelling] = []
        self._labels: dict[str, Label] = {}
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines, 1):
            try:
                self._note(Relabelling.model_validate_json(line))
            except ValidationError:
                raise StoreError(
                    f"line {number} of {self._path} is damaged",
                    hint="mend or remove that line: it may say who may see what",
                ) from None

    @property
    def entries(self) -> tuple[Relabelling, ...]:
        """Every entry, oldest first."""
        return tuple(self._entries)

    def label_of(self, digest: str) -> Label | None:
        """Returns the label a person has given this content last, None when nobody has."""
        return self._labels.get(digest)

    def applied(self, item: Item, floors: Floors) -> Item:
        """Returns an item that was read under the label its content has, but not below a floor."""
        if not self._labels or item.artifact is None:
            return item
        if item.gathered:
            parts = tuple(self.applied(one, floors) for one in item.gathered)
            return replace(item, gathered=parts, label=derived(part.label for part in parts))
        label = self.label_of(item.artifact.digest)
        if label is None:
            given = [self.label_of(digest) for digest in item.digests]
            label = max((item.label if one is None else one for one in given), default=item.label)
        if label == item.label:
            return item
        return replace(item, label=max(label, _floor(item, floors)))

    def record(
        self, file: Path, to: Label, why: str, *, floor: Label, clearance: Label
    ) -> Relabelling:
        """Enters that a file's content has another label from now on.

        Raises UsageError when it cannot be read or no reason is given; NotPermitted when the file
        lies under a higher floor or is above this host's clearance; StoreError.
        """
        if not why.strip():
            raise UsageError("a relabelling needs a reason", hint='say it with --why "…"')
        if floor > to:
            raise NotPermitted(
                f"floor: pools.yaml holds {file} at {floor}",
                hint="a floor is lowered in pools.yaml and nowhere else",
            )
        digest = _digest(file)
        before = self.label_of(digest)
        if not permits(clearance, UNLABELLED if before is None else before):
            raise NotPermitted(
                f"clearance: this host may read {clearance} at most and cannot judge {file}",
                hint="relabel it on a host that is cleared for it",
            )
        entry = Relabelling(
            at=round(time.time(), 3),
            who=_person(),
            file=printable(str(file)),
            digest=digest,
            before=before,
            to=to,
            why=why.strip(),
        )
        self._append(entry.line())
        self._note(entry)
        return entry

    def _note(self, entry: Relabelling) -> None:
        self._entries.append(entry)
        self._labels[entry.digest] = entry.to

    def _append(self, line: bytes) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                size = os.fstat(handle).st_size
                if os.write(handle, line) != len(line):
                    os.ftruncate(handle, size)
                    raise StoreError(f"the disk of {self._path} is full")
                os.fsync(handle)
            finally:
                os.close(handle)
            sync_folder(self._path.parent)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error.strerror}") from error


def _digest(file: Path) -> str:
    try:
        return digest_file(file)[0]
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}", hint="name files, not folders"
        ) from None


def _floor(item: Item, floors: Floors) -> Label:
    if item.url:
        return floors.of_url(item.url)
    return max(floors.of_path(path) for path in (item.location, *item.members))


def _person() -> str:
    """Returns who this process belongs to, and who it was that became root."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    behind = os.environ.get("SUDO_USER", "") if name == "root" else ""
    return f"{name}{f' ({behind})' if behind else ''}@{platform.node()}"
