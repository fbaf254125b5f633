"""What placement is asked and what it answers. Plain values: no clock, no files, no Prefect.

Times are seconds from the moment of the snapshot, money is in the fleet's one currency, sizes are
bytes. Everything can be written to JSON, so that a decision can be explained long after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from millrace.engine.fleet.pools import Basis
from millrace.engine.labels import Label
from millrace.engine.stages import Needs

Rule = Literal[
    "",  # it fits
    "clearance",  # the pool, or the store it works from, may not see data of this label
    "device",  # no GPU, or none with enough VRAM
    "memory",
    "tools",  # a program or library that the work needs is not on its workers
    "version",  # its workers have another version of Millrace or of the kind
    "store",  # it cannot reach the data
    "health",  # no worker has given a sign of life lately, or the pool is paused
    "avoided",  # its workers failed what others could do
    "spot",  # the last permitted attempt, or no slack left for a restart
    "deadline",  # it would be too late there
    "budget",  # it would cost more than is left
    "price",  # it fits, another is better
]


@dataclass(frozen=True, slots=True)
class Offer:
    """One way of paying for a slot of a pool, per second."""

    basis: Basis
    price: float
    interruptions: float = 0.0  # a second, of one machine


@dataclass(frozen=True, slots=True)
class PoolState:
    """What is known of a pool at one moment.

    `capabilities` are what its workers say, by (sort of device, kind), of a batch's profile.
    `slots` are all it may ever hold, `free` those that can take an assignment now, `backlog` the
    seconds of work already handed to each slot on average. `start` passes before a machine that is
    not up (`cold`) takes work. `tools` None means unknown: it then passes. `kinds` maps a kind to
    the version its workers have; None unknown. `avoided` names kinds its workers fail.
    """

    name: str
    where: Literal["local", "cloud"]
    clearance: Label
    store: str
    store_clearance: Label
    offers: tuple[Offer, ...]
    device: Literal["cpu", "cuda"]
    device_name: str
    vram: int
    cores: int  # of one slot
    memory: int  # of one slot
    slots: int
    free: int
    backlog: float = 0.0
    up: bool = True
    why_down: str = ""
    reachable: bool = True
    start: float = 0.0
    cold: bool = False
    latency: float = 0.0
    bandwidth: float = 0.0  # bytes a second to its store; 0 = the store is at hand
    egress: float = 0.0  # a byte
    tools: frozenset[str] | None = None
    kinds: Mapping[str, int] | None = None
    avoided: frozenset[str] = frozenset()
    millrace: str | None = None  # its workers' version, None unknown
    capabilities: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a group's work goes on a pool: load per second, and seconds to open a session.

    `overhead` are the seconds that a batch takes whatever its load.
    """

    rate: float
    start: float
    source: Literal["ledger", "prior"] = "prior"
    overhead: float = 0.0


@dataclass(frozen=True)
class Group:
    """Batches that are alike in all but size: one stage, label, needs, device and pace.

    `speeds` has an entry for each pool that could be asked. `device` is the sort of device whose
    numeric profile is part of the batches' keys; work cut for GPUs is done by GPUs alone. `unlike`
    names pools whose GPUs would make other bytes than the keys promise, `failed` pools that could
    not do these batches while others might. `profile` is what the keys promise of whoever makes
    them, `advice` what a host may do to have a part of it, by name.
    """

    id: str
    kind: str
    version: int
    label: Label
    needs: Needs
    device: Literal["cpu", "cuda"]
    speeds: Mapping[str, Speed]
    millrace: str = ""
    unlike: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    profile: Mapping[str, str] = field(default_factory=dict)
    advice: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """One batch. `bytes_in` must travel to a pool that works from another store, `bytes_out` back.

    `losses` counts infrastructure failures so far, `preemptions` spot machines taken away.
    `tried` names pools that lost it.
    """

    key: str
    group: str
    load: float
    bytes_in: int = 0
    bytes_out: int = 0
    losses: int = 0
    preemptions: int = 0
    tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Aim:
    """What the run wants. None: no deadline, no limit of money."""

    prefer: Literal["cheapest", "fastest"] = "cheapest"
    deadline: float | None = None
    budget: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """The fleet at one moment, as placement sees it.

    `at_risk` are the pieces that run on spot machines now. They are not placed; they count as work
    that may come back when the time left for a restart is reckoned.
    """

    pools: tuple[PoolState, ...]
    currency: str = "EUR"
    retries: int = 3  # infrastructure losses a batch may suffer; preemptions have as many again
    at: float = 0.0  # seconds since the epoch, for the record only
    at_risk: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a piece goes, its predicted seconds of a slot there, and their price."""

    key: str
    pool: str
    basis: Basis
    seconds: float
    cost: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one pool for one group. `seconds` and `cost` are of all its pieces there
    alone, `queue` passes before it begins; `chosen` counts the pieces that go there."""

    pool: str
    rule: Rule
    reason: str
    basis: Basis | None = None
    price: float = 0.0  # an hour of a slot
    seconds: float = 0.0
    queue: float = 0.0
    cost: float = 0.0
    chosen: int = 0


@dataclass(frozen=True)
class Decision:
    """Placements, verdicts of every pool for each group, and what cannot be placed now.

    `waiting` maps keys to what they wait for (a permitted pool that is down, money); `refused` maps
    groups that no pool may ever run to the rule and the words for a person. `makespan` is when the
    last placed piece is done, `late` when the deadline cannot be met any more.
    """

    placed: tuple[Placed, ...]
    verdicts: Mapping[str, tuple[Verdict, ...]]
    waiting: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, tuple[Rule, str]] = field(default_factory=dict)
    makespan: float = 0.0
    cost: float = 0.0
    late: bool = False
