"""The plan of a run as data: what it would do, how long it takes, what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from millrace.engine.cost import Price

Source = Literal["ledger", "prior", ""]
"""What a prediction rests on: work that was done, a kind's own guess, or there is none."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class StagePlan(_Frozen):
    """What one stage would do. Seconds are predicted wall time on this host with its sessions; on
    a fleet, seconds of slots.

    `items` = `reused` (in the store) + `refused` + the rest, which is done. `forecast` of them
    depend on results that do not exist yet; `unknown` cannot be foreseen before those do. An
    `effect` runs in every run.
    """

    name: str
    kind: str
    unit: str
    devices: tuple[str, ...]
    items: int
    reused: int
    refused: int
    forecast: int
    unknown: int
    batches: int
    batches_reused: int
    units: float
    units_left: float
    seconds: float
    cost: float
    source: Source
    bytes: int
    notes: tuple[str, ...]
    effect: bool = False


class Refusal(_Frozen):
    """An item that will not be done, known before any work."""

    item: str
    stage: str
    code: str
    reason: str
    hint: str = ""


class Disk(_Frozen):
    """Room on the store's disk, in bytes; `free` in whole GiB, so that plans can be compared."""

    place: Path
    needed: int
    free: int
    enough: bool


class Plan(_Frozen):
    """Everything a run would do. The same order over the same files gives the same JSON."""

    pipeline: str
    label: str
    goal: str
    schedule: str
    here: str
    price: Price
    stages: tuple[StagePlan, ...]
    outputs: dict[str, int]
    refusals: tuple[Refusal, ...]
    seconds: float
    cost: float
    disk: Disk
