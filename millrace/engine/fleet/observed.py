"""What is known of a fleet at this moment, as it was observed; nothing here asks anybody."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from millrace.engine.fleet.pools import Basis
from millrace.engine.labels import Label

HEARTBEAT_LIMIT = 90.0
"""Seconds after which a worker that gave no sign of life counts as gone. Prefect itself still says
ONLINE 63 s after the last one, so its word alone is not enough."""


class Card(BaseModel):
    """What a worker says of itself when it starts, left in the store it works from.

    `capabilities` are, by sort of device and kind, what its libraries give of a batch's profile.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pool: str
    worker: str
    host: str
    millrace: str
    kinds: dict[str, int]
    tools: tuple[str, ...]
    cores: int
    memory: int
    gpus: tuple[str, ...] = ()
    vram: int = 0  # of the smallest
    clearance: Label
    basis: Basis | None = None
    written: float = 0.0
    capabilities: dict[str, dict[str, dict[str, str]]] = {}


@dataclass(frozen=True)
class Worker:
    """A worker of a pool. `age` is the seconds since its last heartbeat, by the server's clock."""

    name: str
    age: float
    card: Card | None = None

    @property
    def alive(self) -> bool:
        """True while its heartbeats come."""
        return self.age <= HEARTBEAT_LIMIT


@dataclass(frozen=True)
class Observed:
    """A pool as the Prefect server has it. `late` flow runs are past their time unstarted."""

    pool: str
    exists: bool = True
    paused: bool = False
    status: str = ""
    workers: tuple[Worker, ...] = ()
    running: int = 0
    pending: int = 0
    late: int = 0
