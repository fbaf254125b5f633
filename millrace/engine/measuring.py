"""Measuring items: their digests here, what a kind has to say of them in child processes."""

from __future__ import annotations

import shutil
import threading
import uuid
from pathlib import Path

from millrace.engine.assignments import Material
from millrace.engine.errors import BadInput, NotPermitted, SessionLost
from millrace.engine.expansion import Node
from millrace.engine.fleet.labelling import floors_of
from millrace.engine.hosts.devices import Device, Host
from millrace.engine.items import Item, read
from millrace.engine.labels import permits
from millrace.engine.measurements import Measurements
from millrace.engine.relabelling import Relabellings
from millrace.engine.remote import Remote
from millrace.engine.sessions.host import Limits, SessionHost
from millrace.engine.settings import Settings
from millrace.engine.stages import Needs, Outline

_MEASURE_SECONDS = 120.0
_MEASURE_MEMORY = 2 << 30  # bytes
_ATTEMPTS = 2


class Measurer:
    """Measures items for stages. Thread-safe; keeps child processes warm until `close`.

    With `retry`, items that were refused before are measured again.
    """

    def __init__(
        self, settings: Settings, host: Host, scratch: Path, log: Path, *, retry: bool = False
    ) -> None:
        self._retry = retry
        self._cache = Measurements(settings.measurements)
        self._remote = Remote(settings.home / "fetched")
        self._relabellings, self._floors = Relabellings(settings.store), floors_of(settings)
        self._settings, self._host = settings, host
        self._scratch, self._log = scratch, log
        self._idle: dict[str, list[SessionHost]] = {}
        self._lock = threading.Lock()

    def read(self, item: Item) -> Item:
        """Returns the item with its content's digest, under the label a person gave that content.

        Raises NotPermitted, before a byte is read, for data above this host's clearance; BadInput.
        """
        self._permit(item)
        found = self._relabellings.applied(read(item, self._cache, self._remote), self._floors)
        self._permit(found)
        return found

    def _permit(self, item: Item) -> None:
        clearance = self._settings.clearance
        if not permits(clearance, item.label):
            raise NotPermitted(
                f"clearance: the data is {item.label} and this host may read {clearance} at most",
                hint="run it on a host that is cleared for it (MILLRACE_CLEARANCE is this host's)",
            )

    def outline(self, node: Node, item: Item) -> Outline:
        """Returns what the stage's kind says of an item that was read.

        Raises BadInput when the kind refuses it (remembered), SessionLost when measuring it
        crashed or hung twice.
        """
        artifact = item.artifact
        if artifact is None:
            raise ValueError(f"{item.id} was not read before it was measured")
        stage = node.stage
        subject = (stage.kind, stage.version, artifact.digest, item.id)
        known = self._cache.outline(*subject, refusals=not self._retry)
        if known:
            return known
        try:
            outline = self._measure(node, item)
        except BadInput as refusal:
            self._cache.keep(*subject, refusal)
            raise
        self._cache.keep(*subject, outline)
        return outline

    def close(self) -> None:
        """Ends the child processes and the cache."""
        with self._lock:
            hosts = [host for pool in self._idle.values() for host in pool]
            self._idle.clear()
        for host in hosts:
            host.close()
        self._cache.close()

    def _measure(self, node: Node, item: Item) -> Outline:
        folder = self._scratch / uuid.uuid4().hex
        staged = Material.of(item, {}).stage(folder)
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                host = self._take(node)
                try:
                    outline = host.measure(staged)
                except SessionLost:
                    host.close()
                    if attempt == _ATTEMPTS:
                        raise
                    continue
                except BadInput:
                    self._give_back(node, host)
                    raise
                self._give_back(node, host)
                return outline
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        raise AssertionError("unreachable")

    def _take(self, node: Node) -> SessionHost:
        with self._lock:
            pool = self._idle.setdefault(node.name, [])
            if pool:
                return pool.pop()
        return SessionHost(
            node.stage.kind,
            dict(node.params),
            lease_folder=self._settings.leases,
            needs=Needs(),
            device=Device(cores=1, memory=self._host.memory),
            log=self._log,
            scratch=self._scratch / f"tmp-{uuid.uuid4().hex[:8]}",
            limits=Limits(
                wall_seconds=_MEASURE_SECONDS,
                quiet_seconds=_MEASURE_SECONDS,
                memory=_MEASURE_MEMORY,
            ),
        )

    def _give_back(self, node: Node, host: SessionHost) -> None:
        with self._lock:
            self._idle.setdefault(node.name, []).append(host)
