"""A bench for session hosts, with a kind that misbehaves in every way a kind can."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.errors import SessionLost
from millrace.engine.hosts.devices import Device
from millrace.engine.sessions.group import members
from millrace.engine.sessions.host import Limits, SessionHost
from millrace.engine.stages import Batch, Failure, Needs, Outline, Result, Span, Staged

FAULTS = Path(__file__).parents[2] / "plugins" / "faults"


@dataclass
class Bench:
    """Makes files, batches and hosts in a folder of its own."""

    folder: Path
    hosts: list[SessionHost] = field(default_factory=list)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def item(self, name: str, content: str = "hello") -> Staged:
        path = self.folder / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return Staged(name=name, path=path)

    def batch(self, name: str, content: str = "hello") -> Batch:
        item = self.item(name, content)
        size = item.path.stat().st_size
        outline = Outline(media_type="text/plain", size=size)
        return Batch(key=name, item=item, outline=outline, span=Span(stop=size), whole=True)

    def host(self, limits: Limits | None = None, **params: Any) -> SessionHost:
        host = SessionHost(
            "faults.bytes",
            params,
            lease_folder=self.folder / "leases",
            needs=Needs(),
            device=Device(),
            log=self.folder / "log",
            scratch=self.folder / "scratch",
            limits=limits or Limits(),
        )
        self.hosts.append(host)
        return host

    def run(self, host: SessionHost, *batches: Batch) -> dict[str, Result | Failure]:
        """Returns the answer to each batch, having read all events."""
        events = host.run(batches, self.folder / "out")
        return {event.key: event for event in events if isinstance(event, Result | Failure)}

    def lost(self, host: SessionHost, *batches: Batch) -> tuple[list[str], SessionLost]:
        """Returns the keys of what was finished, and how the session was lost."""
        finished = []
        with pytest.raises(SessionLost) as lost:
            for event in host.run(batches, self.folder / "out"):
                if isinstance(event, Result):
                    finished.append(event.key)
        return finished, lost.value


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench; afterwards no process of any session it started may be left."""
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.syspath_prepend(str(FAULTS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAULTS), *filter(None, [inherited])]))
    made = Bench(tmp_path)
    yield made
    groups = [host.pid for host in made.hosts if host.pid]
    for host in made.hosts:
        host.close()
    assert [members(group) for group in groups] == [[] for _ in groups]
