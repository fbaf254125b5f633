"""Assignments: the share of a run that one pool takes in one go, as it is written down for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from millrace.engine.batches import Recipe
from millrace.engine.files import AnyPath, write_atomically
from millrace.engine.fleet.pools import Basis
from millrace.engine.hosts.devices import Device
from millrace.engine.items import Item
from millrace.engine.labels import Label
from millrace.engine.measurements import Stamp
from millrace.engine.stages import Needs, Outline, Span, Staged


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Material(_Frozen):
    """An item's files as they lie outside the session, and their stamps when they were digested.

    `digests` are of `files`, in their order, so that they can be had from elsewhere too.
    """

    name: str
    files: tuple[AnyPath, ...]
    folder: bool = False
    member_names: tuple[str, ...] = ()
    media_type: str = ""
    stamps: tuple[Stamp, ...] = ()
    sides: dict[str, AnyPath] = {}
    digests: tuple[str, ...] = ()
    side_digests: dict[str, str] = {}
    absent: tuple[str, ...] = ()
    complete: bool = True

    @classmethod
    def of(cls, item: Item, sides: Mapping[str, Item]) -> Material:
        """Returns the material of an item whose content has been read."""
        return cls(
            name=item.id,
            files=item.members or (item.location,),
            folder=bool(item.members),
            member_names=item.member_names,
            media_type=item.artifact.media_type if item.artifact else "",
            stamps=item.stamps,
            sides={role: side.location for role, side in sides.items()},
            digests=item.digests,
            side_digests={role: side.digests[0] for role, side in sides.items() if side.digests},
            absent=tuple(one.artifact.digest if one.artifact else "" for one in item.absent),
            complete=item.complete,
        )

    def stage(self, folder: Path) -> Staged:
        """Puts links under neutral names alone into `folder`; returns what a kind sees."""
        folder.mkdir(parents=True, exist_ok=True)
        primary = folder / "input"
        members: tuple[Path, ...] = ()
        if self.folder:
            primary.mkdir(exist_ok=True)
            width = len(str(len(self.files)))
            members = tuple(
                _link(file, primary / f"{n:0{width}d}") for n, file in enumerate(self.files, 1)
            )
        else:
            _link(self.files[0], primary)
        sides = {
            role: _link(file, folder / f"side-{n}")
            for n, (role, file) in enumerate(sorted(self.sides.items()))
        }
        return Staged(
            name=self.name,
            path=primary,
            media_type=self.media_type,
            members=members,
            member_names=self.member_names,
            sides=sides,
            absent=self.absent,
            complete=self.complete,
        )

    def changed(self) -> bool:
        """True when a file is no longer the one that was digested."""
        try:
            now = [Stamp.of(file) for file in self.files]
        except OSError:
            return True
        return bool(self.stamps) and not all(
            a.same_content(b) for a, b in zip(now, self.stamps, strict=False)
        )


class Job(_Frozen):
    """One batch of an assignment, or with `parts` the join of an item's finished batches."""

    key: str
    material: Material
    outline: Outline
    recipe: Recipe
    span: Span
    whole: bool
    parts: tuple[str, ...] = ()
    units: float
    load: float
    pace: str = ""
    why: str = ""


class Assignment(_Frozen):
    """Jobs of one stage for one session. `patience` is the longest silence allowed, in seconds.

    `label` is the highest of what it holds; `millrace` and `version` say what planned it; hosts in
    `avoid` hand it back.
    """

    id: str
    stage: str
    kind: str
    params: dict[str, JsonValue]
    needs: Needs
    device: Device
    jobs: tuple[Job, ...]
    patience: float = 600.0
    label: Label = Label.RESTRICTED
    pool: str = "here"
    basis: Basis | None = None
    millrace: str = ""
    version: int = 0
    epoch: int = 0
    avoid: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Writes the assignment where the worker looks for it."""
        write_atomically(folder / f"{self.id}.json", self.model_dump_json().encode())

    @classmethod
    def read(cls, folder: Path, name: str) -> Assignment:
        """Returns the assignment of an id. Raises OSError, ValidationError."""
        return cls.model_validate_json((folder / f"{name}.json").read_bytes())


def _link(target: Path, name: Path) -> Path:
    if not name.is_symlink():
        name.symlink_to(target)
    return name
