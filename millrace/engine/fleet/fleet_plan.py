"""The plan of a run on a fleet as data: which pool would do what, and what was found of the rest.

Money is in the fleet's currency, prices are of an hour of a slot, times are in seconds.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from millrace.engine.fleet.pools import Basis
from millrace.engine.placement.model import Rule
from millrace.engine.plan import Disk, Refusal, Source, StagePlan


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class PoolNow(_Frozen):
    """A pool as it was when the plan was made. `clearance` is that of its store as well."""

    name: str
    where: Literal["local", "cloud"]
    clearance: str
    device: str
    vram: int
    slots: int
    free: int
    up: bool
    why_down: str
    cold: bool
    prices: dict[Basis, float]


class PoolVerdict(_Frozen):
    """What was found of a pool for a group. `seconds` and `cost` are of all its work there alone;
    `chosen` counts the batches that would go there, `source` says what the speed rests on."""

    pool: str
    rule: Rule
    reason: str
    basis: Basis | None
    price: float
    seconds: float
    queue: float
    cost: float
    chosen: int
    source: Source


class GroupPlan(_Frozen):
    """Batches of a stage that are alike, joins included, and every pool's verdict.

    `waiting` counts batches by what they would wait for. `rule` and `reason` say why no pool may
    ever run them, "" when some may.
    """

    id: str
    stage: str
    label: str
    device: Literal["cpu", "cuda"]
    batches: int
    pools: tuple[PoolVerdict, ...]
    waiting: dict[str, int]
    rule: Rule = ""
    reason: str = ""


class FleetPlan(_Frozen):
    """Everything a run on a fleet would do. The same files and the same fleet give the same JSON.

    `asked` tells whether the server was asked how the pools are; otherwise they are as declared.
    `makespan` is when all would be done, `slot_seconds` how long slots are held in all. A stage's
    seconds are of slots, too. `budget` is what the run may spend, by its own limit and by what is
    left of the fleet's month. `timed`: the goal has a deadline; `late`: it would not be met.
    """

    pipeline: str
    label: str
    goal: str
    schedule: str
    on: str
    asked: bool
    currency: str
    pools: tuple[PoolNow, ...]
    stages: tuple[StagePlan, ...]
    groups: tuple[GroupPlan, ...]
    outputs: dict[str, int]
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    makespan: float
    slot_seconds: float
    cost: float
    budget: float | None
    timed: bool
    late: bool
    disk: Disk

    def forbidden(self) -> tuple[GroupPlan, ...]:
        """Returns the groups that no pool may ever run."""
        return tuple(group for group in self.groups if group.rule)
