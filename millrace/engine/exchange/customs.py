"""What may enter from a worker of lower trust: nothing but what is listed here, and bounded.

Names of items and stages, loads, recipes and labels are never taken from a worker: they stand in
the conductor's own copy of the assignment. Pure: no files, no network.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import JsonValue, ValidationError

from millrace.engine.assignments import Assignment, Job
from millrace.engine.exchange.parcels import DIGEST, Delivery
from millrace.engine.journal import Record
from millrace.engine.store import Artifact

SEGMENT_LIMIT = 8 << 20  # bytes of a segment of the journal
DELIVERY_LIMIT = 32 << 20  # bytes of a result's record: a folder lists its members
LOG_LIMIT = 1 << 20
_LINE = 256 << 10
_FACTS = 512 << 10  # bytes of JSON
_DEPTH = 8
_LONG = 1e9  # seconds
_NOTES = 20
_MEMBERS = 200_000
_ROOM = 4 << 30  # bytes any result may have, beside a thousand times its input
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MEDIA = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
_JPEG = b"\xff\xd8\xff"


class Refused(Exception):
    """What a worker has sent is damaged or not what it may send; the text says how."""


def records(data: bytes, order: Assignment) -> list[Record]:
    """Returns what a segment tells that a worker may tell, with only the fields it may fill."""
    found = []
    for line in data.split(b"\n"):
        try:
            raw = json.loads(line) if line and len(line) <= _LINE else None
            record = _record(raw, order) if isinstance(raw, dict) else None
        except (ValueError, RecursionError, Refused):
            continue
        if record:
            found.append(record)
    return found


def delivery(data: bytes, job: Job) -> Delivery:
    """Returns what a worker says a batch has brought forth. Raises Refused."""
    try:
        said = Delivery.model_validate_json(data)
        _plain(said.facts, 0)
        size = len(json.dumps(said.facts, allow_nan=False))
    except (ValidationError, ValueError, RecursionError):
        raise Refused("its record is none") from None
    if said.key != job.key:
        raise Refused("its record is of another batch")
    if size > _FACTS:
        raise Refused("its facts are too long")
    _check_output(said.output, job)
    return said.model_copy(
        update={
            "units": _units(said.units, job),
            "seconds": _number(said.seconds),
            "device": text(said.device, 200),
            "notes": _notes(list(said.notes)),
            "facts": _facts(said.facts),
        }
    )


def text(value: object, limit: int) -> str:
    """Returns a text without control characters and no longer than `limit`. Raises Refused."""
    if not isinstance(value, str):
        raise Refused("a text is none")
    return "".join(c if c.isprintable() else " " for c in value[:limit])


def _record(raw: dict[str, Any], order: Assignment) -> Record | None:
    event = raw.get("event")
    build = _EVENTS.get(event) if isinstance(event, str) else None
    at = _number(raw.get("at"), 1e11)
    if build is None or event is None:
        return None
    head = {"assignment": order.id}
    if event not in _OF_BATCHES:
        return Record(event, at, order.stage, data=head | build(raw, None))
    job = next((j for j in order.jobs if j.key == raw.get("key")), None)
    if job is None:
        return None
    data = head | {"key": job.key} | build(raw, job)
    return Record(event, at, order.stage, job.material.name, data)


def _opened(raw: dict[str, Any], job: Job | None) -> dict[str, Any]:
    return {
        "device": text(raw.get("device"), 200),
        "seconds": _number(raw.get("seconds")),
        "waited": _number(raw.get("waited", 0.0)),
        "host": text(raw.get("host", ""), 253),
    }


def _moved(raw: dict[str, Any], job: Job | None) -> dict[str, Any]:
    return {"bytes": int(_number(raw.get("bytes"), 1e15)), "seconds": _number(raw.get("seconds"))}


def _progress(raw: dict[str, Any], job: Job | None) -> dict[str, Any]:
    assert job is not None  # noqa: S101
    return {"units": _units(raw.get("units"), job)}


def _done(raw: dict[str, Any], job: Job | None) -> dict[str, Any]:
    """The rest is known from the job, or from its result once that has come home."""
    assert job is not None  # noqa: S101
    return {
        "load": job.load,
        "pace": job.pace,
        "why": job.why,
        "join": bool(job.parts),
        "seconds": _number(raw.get("seconds")),
    }


def _failed(raw: dict[str, Any], job: Job | None) -> dict[str, Any]:
    fault = "input" if raw.get("fault") == "input" else "stage"
    return _words(raw) | {"known": False, "fault": fault}


def _lost(raw: dict[str, Any], job: Job | None) -> dict[str, Any]:
    return _words(raw) | {"in_hand": raw.get("in_hand") is not False}


def _words(raw: dict[str, Any]) -> dict[str, Any]:
    code = raw.get("code")
    return {
        "code": code if isinstance(code, str) and _CODE.fullmatch(code) else "unknown",
        "message": text(raw.get("message"), 2000),
        "hint": text(raw.get("hint", ""), 1000),
        "seconds": _number(raw.get("seconds", 0.0)),
    }


_EVENTS: dict[str, Callable[[dict[str, Any], Job | None], dict[str, Any]]] = {
    "opened": _opened,
    "alive": lambda raw, job: {},
    "queued": lambda raw, job: {},
    "fetched": _moved,
    "shipped": _moved,
    "progress": _progress,
    "done": _done,
    "failed": _failed,
    "lost": _lost,
}
_OF_BATCHES = {"progress", "done", "failed", "lost"}


def _check_output(output: Artifact, job: Job) -> None:
    if not _MEDIA.fullmatch(output.media_type):
        raise Refused("its media type is none")
    digests = [output.digest, *(m.digest for m in output.members)]
    if not all(DIGEST.fullmatch(digest) for digest in digests):
        raise Refused("a digest is none")
    if min(output.size, *(m.size for m in output.members), 0) < 0:
        raise Refused("a size is negative")
    if output.size > _ROOM + 1000 * job.outline.size:
        raise Refused("it is too large to be true")
    if output.members or output.media_type == "inode/directory":
        _check_members(output)


def _check_members(output: Artifact) -> None:
    names = [member.name for member in output.members]
    if len(names) > _MEMBERS or not all(_is_name(name) for name in names):
        raise Refused("a member's name is none")
    paths = [Path(name) for name in names]
    if paths != sorted(set(paths)):
        raise Refused("its members are not in order")
    folders = {parent for path in paths for parent in path.parents}
    if folders & set(paths):
        raise Refused("a member is a file and a folder at once")
    if Artifact.folder(output.members, output.media_type) != output:
        raise Refused("its digest is not that of its members")


def _is_name(name: str) -> bool:
    parts = name.split("/")
    return (
        len(name) <= 1000
        and str(PurePosixPath(name)) == name
        and all(p and p not in (".", "..") and p.isprintable() and len(p) <= 200 for p in parts)
    )


def _units(value: object, job: Job) -> float:
    """Returns a number of units, which cannot be more than the batch has."""
    return _number(value, job.units * 1.01 + 1)


def _number(value: object, most: float = _LONG) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("a number is none")
    if not math.isfinite(value) or not 0 <= value <= most:
        raise Refused("a number cannot be true")
    return float(value)


def _notes(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Refused("its notes are none")
    return tuple(text(note, 300) for note in value[:_NOTES])


def _facts(facts: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Returns the facts, without a thumbnail that is no JPEG: the report shows it."""
    thumbnail = facts.get("thumbnail")
    if thumbnail is None or _is_jpeg(thumbnail):
        return facts
    return {name: value for name, value in facts.items() if name != "thumbnail"}


def _is_jpeg(value: object) -> bool:
    try:
        return isinstance(value, str) and base64.b64decode(value, validate=True)[:3] == _JPEG
    except (binascii.Error, ValueError):
        return False


def _plain(value: object, depth: int) -> None:
    """Raises Refused unless a value is plain data of sane depth and finite numbers."""
    if depth > _DEPTH:
        raise Refused("its facts are too deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("a number is none")
    inner: list[object] = []
    if isinstance(value, dict):
        if not all(len(name) <= 200 and name.isprintable() for name in value):
            raise Refused("the name of a fact is none")
        inner = list(value.values())
    elif isinstance(value, list):
        inner = list(value)
    for one in inner:
        _plain(one, depth + 1)
