"""Parcels: an assignment as it travels to a worker that does not see the conductor's store.

    parcels/<run>/<assignment>/parcel.json       the work, written by the conductor
    objects/<sha256>                             its inputs' bytes, written by the conductor
    results/<run>/<assignment>/<key>.json        what a batch brought forth, written by the worker
    results/<run>/<assignment>/objects/<sha256>  its bytes, written by the worker before that
    results/<run>/<assignment>/log.txt           what the tools said
    journal/<run>/<assignment>/<n>.jsonl         what happened, in numbered segments
    stops/<run>, stops/<run>.<assignment>        it is no longer wanted

A worker never writes where the conductor or another worker reads inputs from.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from millrace.engine.assignments import Assignment, Job, Material
from millrace.engine.errors import ItemError, UsageError
from millrace.engine.exchange.places import Place
from millrace.engine.store import Artifact, Manifest

PARCEL_LIMIT = 64 << 20  # bytes of a parcel.json
RUN = re.compile(r"\d{8}-\d{6}-[a-z0-9]{4}")
ASSIGNMENT = re.compile(r"[a-z][a-z0-9-]{0,39}")
DIGEST = re.compile(r"[0-9a-f]{64}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parcel(_Frozen):
    """An assignment without paths; `sizes` are of its objects by digest, in bytes.

    `parts` are the finished batches that its joins put together.
    """

    run: str
    assignment: Assignment
    sizes: dict[str, int]
    parts: tuple[Manifest, ...] = ()


class Delivery(_Frozen):
    """What a batch brought forth, as the worker says it. Nothing in it is trusted."""

    key: str
    output: Artifact
    units: float
    facts: dict[str, JsonValue] = {}
    notes: tuple[str, ...] = ()
    seconds: float
    device: str

    @classmethod
    def of(cls, manifest: Manifest) -> Delivery:
        """Returns what is told of a result in the worker's own store."""
        return cls(
            key=manifest.key,
            output=manifest.output,
            units=manifest.units,
            facts=manifest.facts,
            notes=manifest.notes,
            seconds=manifest.seconds,
            device=manifest.device,
        )


class Moved(_Frozen):
    """Bytes that went over the wire, and the seconds that took."""

    bytes: int = 0
    seconds: float = 0.0

    def __add__(self, other: Moved) -> Moved:
        return Moved(bytes=self.bytes + other.bytes, seconds=self.seconds + other.seconds)


def check_ids(run: str, assignment: str) -> None:
    """Raises UsageError unless both are ids that can stand in a path."""
    for text, rule in ((run, RUN), (assignment, ASSIGNMENT)):
        if not rule.fullmatch(text):
            raise UsageError(f"{text[:60]!r} is no id of a run or an assignment")


def parcel_name(run: str, assignment: str) -> str:
    """Returns the name of a parcel."""
    return f"parcels/{run}/{assignment}/parcel.json"


def object_name(digest: str) -> str:
    """Returns the name of an input's bytes."""
    return f"objects/{digest}"


def result_name(run: str, assignment: str, key: str) -> str:
    """Returns the name of what a worker says of a batch."""
    return f"results/{run}/{assignment}/{key}.json"


def result_object_name(run: str, assignment: str, digest: str) -> str:
    """Returns the name of bytes that a worker made."""
    return f"results/{run}/{assignment}/objects/{digest}"


def log_name(run: str, assignment: str) -> str:
    """Returns the name of what the tools said."""
    return f"results/{run}/{assignment}/log.txt"


def segment_name(run: str, assignment: str, number: int) -> str:
    """Returns the name of a segment of an assignment's journal; they count from 1."""
    return f"journal/{run}/{assignment}/{number:06d}.jsonl"


def segment_number(name: str) -> int | None:
    """Returns the number of a segment, None for a name that is none."""
    found = re.fullmatch(r"journal/[^/]+/[^/]+/(\d{6})\.jsonl", name)
    return int(found[1]) if found else None


def last_segment(place: Place, run: str, assignment: str) -> int:
    """Returns the number of an assignment's last segment, 0 when there is none."""
    names = place.list(f"journal/{run}/{assignment}/")
    return max((segment_number(name) or 0 for name in names), default=0)


def stop_name(run: str, assignment: str = "") -> str:
    """Returns the name of the marker that a run or an assignment is no longer wanted."""
    return f"stops/{run}.{assignment}" if assignment else f"stops/{run}"


def inputs_of(assignment: Assignment) -> dict[str, Path]:
    """Returns where on this host the bytes of each input digest lie.

    Raises ItemError `undigested` for a file whose digest is not known.
    """
    found: dict[str, Path] = {}
    for job in assignment.jobs:
        material = job.material
        if len(material.digests) != len(material.files) or (
            material.side_digests.keys() != material.sides.keys()
        ):
            raise ItemError("undigested", f"{material.name} was not read before it was sent")
        found |= dict(zip(material.digests, material.files, strict=True))
        found |= {material.side_digests[role]: path for role, path in material.sides.items()}
    return found


def needed_by(job: Job) -> set[str]:
    """Returns the digests of a job's inputs."""
    return {*job.material.digests, *job.material.side_digests.values()}


def pack(assignment: Assignment) -> Assignment:
    """Returns the assignment without this host's paths: files are named by their digest."""
    return located(assignment, Path)


def located(assignment: Assignment, place: Callable[[str], Path]) -> Assignment:
    """Returns the assignment with the files where `place(digest)` says they lie."""
    jobs = tuple(
        job.model_copy(update={"material": _placed(job.material, place)}) for job in assignment.jobs
    )
    return assignment.model_copy(update={"jobs": jobs})


def _placed(material: Material, place: Callable[[str], Path]) -> Material:
    return material.model_copy(
        update={
            "files": tuple(place(digest) for digest in material.digests),
            "sides": {role: place(digest) for role, digest in material.side_digests.items()},
            "stamps": (),  # they were of the conductor's files
        }
    )
