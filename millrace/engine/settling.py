"""Which files of a watched pipeline have settled: nobody is writing them any more."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from millrace.engine.errors import DocumentError
from millrace.engine.expansion import Node
from millrace.engine.files import write_atomically
from millrace.engine.inputs import expand_inputs
from millrace.engine.items import Item
from millrace.engine.runs import Order
from millrace.engine.settings import Settings

Stamps = Mapping[str, tuple[int, ...]]
"""Size, time of change in nanoseconds and inode of files, by path."""

_PROC = Path("/proc")


@dataclass(frozen=True)
class Sight:
    """What one look found: files that have settled, and those that have not. `trouble` says why
    nothing could be looked at."""

    settled: Stamps
    unsettled: tuple[Path, ...]
    trouble: str = ""


class Settling:
    """Remembers how files looked, and since when they have looked so.

    A file has settled once its size and time of change have been the same for `seconds`, and no
    process that /proc shows has it open for writing. That says nothing of writers on other
    machines, for whom the seconds are.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, tuple[tuple[int, ...], float]] = {}
        self._taken: dict[str, tuple[int, ...]] = {}

    def take(self, stamps: Stamps) -> None:
        """Files as they are known to have settled: in an earlier run, say."""
        self._taken = dict(stamps)

    def look(self, stamps: Stamps, now: float) -> Sight:
        """Returns which of the files have settled; `now` is the time by a steady clock, in s."""
        known = self._since
        self._since = {
            path: known[path] if path in known and known[path][0] == stamp else (stamp, now)
            for path, stamp in stamps.items()
        }
        quiet = {
            path: stamp
            for path, (stamp, since) in self._since.items()
            if self._taken.get(path) == stamp or now - since >= self._seconds
        }
        new = [path for path, stamp in quiet.items() if self._taken.get(path) != stamp]
        busy = written(new) if new else set()
        settled = {path: stamp for path, stamp in quiet.items() if path not in busy}
        return Sight(settled, tuple(Path(p) for p in stamps if p not in settled))


def stamps_of(order: Order, nodes: Mapping[str, Node], settings: Settings) -> tuple[Stamps, str]:
    """Returns the local files that a pipeline's inputs name now, and why there are none."""
    try:
        inputs = expand_inputs(order, nodes, settings)
    except DocumentError as error:
        return {}, error.message
    found = {}
    for path in (path for items in inputs.values() for item in items for path in _paths(item)):
        with suppress(OSError):
            now = path.stat()
            found[str(path)] = (now.st_size, now.st_mtime_ns, now.st_ino)
    return found, ""


def written(paths: Collection[str]) -> set[str]:
    """Returns which of the files some process of this host has open for writing.

    Only processes whose files this user may see are known.
    """
    sought = {}
    for path in paths:
        with suppress(OSError):
            found = os.stat(path)  # noqa: PTH116 - by device and inode, whatever it is called
            sought[found.st_dev, found.st_ino] = path
    busy = set()
    for folder in _PROC.glob("[0-9]*/fd"):
        with suppress(OSError):
            for handle in folder.iterdir():
                with suppress(OSError):
                    found = handle.stat()
                    path = sought.get((found.st_dev, found.st_ino), "")
                    if path and _for_writing(folder.parent / "fdinfo" / handle.name):
                        busy.add(path)
    return busy


@dataclass(frozen=True)
class Memory:
    """What the last run of a watched pipeline has seen, in a file: a restart goes on from there."""

    path: Path
    basis: str

    @classmethod
    def of(cls, order: Order, nodes: Mapping[str, Node], settings: Settings) -> Memory:
        """Returns the memory of a work order. Another pipeline text, kind or Millrace is another
        basis, so that everything counts as new."""
        kinds = {name: (node.stage.kind, node.stage.version) for name, node in nodes.items()}
        told = json.dumps([version("millrace"), kinds, order.model_dump(mode="json")])
        name = hashlib.sha256(f"{order.source}\0{order.on}".encode()).hexdigest()[:16]
        basis = hashlib.sha256(told.encode()).hexdigest()
        return cls(settings.home / "watch" / f"{name}.json", basis)

    def read(self) -> Stamps:
        """Returns what the last run has seen; nothing where that is not known."""
        try:
            told = json.loads(self.path.read_bytes())
            if told["basis"] == self.basis:
                return {str(path): tuple(stamp) for path, stamp in told["seen"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return {}

    def write(self, seen: Stamps) -> None:
        """Writes down what a run has seen to its end."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        told = {"basis": self.basis, "seen": dict(sorted(seen.items()))}
        write_atomically(self.path, json.dumps(told).encode())


def _paths(item: Item) -> tuple[Path, ...]:
    return () if item.url else item.members or (item.location,)


def _for_writing(info: Path) -> bool:
    for line in info.read_text().splitlines():
        if line.startswith("flags:"):
            return bool(int(line.split()[1], 8) & (os.O_WRONLY | os.O_RDWR))
    return False
