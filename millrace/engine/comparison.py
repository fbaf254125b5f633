"""What the same work would have cost otherwise: all on one's own premises, all on demand.

Batches count with the seconds they really took. For a pool that did none of them they are scaled
by what the ledger knows of it; where it knows nothing, as long is assumed, and said so. Attempts
that failed or were lost are not in it: nobody knows whether they would have been elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, ValidationError

from millrace.engine.assignments import Assignment, Job
from millrace.engine.cost import Money
from millrace.engine.expansion import Node, nodes
from millrace.engine.fleet.aims import aim
from millrace.engine.fleet.resolved import Fleet, Pool
from millrace.engine.fleet.snapshot import snapshot
from millrace.engine.forecasts import Forecaster
from millrace.engine.journal import Record
from millrace.engine.placement.decision import all_local, all_on_demand
from millrace.engine.placement.model import Decision, Group, Piece, Speed
from millrace.engine.runs import Order, Run

_LEAST_SECONDS = 1e-3


class Comparison(BaseModel):
    """The same work otherwise. `cost` None: it cannot be done so, and `why` says what stands
    against it. `seconds` is when it would be done; `assumed` names pools whose speed is a guess."""

    model_config = ConfigDict(frozen=True)

    name: str
    cost: Money | None
    seconds: float | None = None
    late: bool = False
    assumed: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class _Batch:
    """A batch as it was done: by which assignment, in how many seconds."""

    order: Assignment
    job: Job
    seconds: float
    bytes: int


@dataclass
class _Alike:
    """Batches of one stage, label, needs and pace."""

    order: Assignment
    pace: str
    batches: list[_Batch] = field(default_factory=list)

    def speeds(self) -> dict[str, float]:
        """Returns the load a second each pool did; of kinds that measure no load, of batches."""
        loads: dict[str, float] = {}
        seconds: dict[str, float] = {}
        for batch in self.batches:
            pool = batch.order.pool
            if not batch.job.parts:
                loads[pool] = loads.get(pool, 0.0) + batch.job.load
                seconds[pool] = seconds.get(pool, 0.0) + batch.seconds
        return {pool: loads[pool] / seconds[pool] for pool in loads if loads[pool] > 0}


def compare(
    run: Run, order: Order, records: Iterable[Record], fleet: Fleet, forecaster: Forecaster
) -> tuple[Comparison, ...]:
    """Returns what the finished batches of a run would have cost, by the fleet's prices.

    Raises UsageError when a kind of the run is not there any more.
    """
    seen = list(records)
    batches = list(_batches(run, seen))
    if not batches:
        return ()
    plans = nodes(order.pipeline, order.only)
    groups: dict[str, Group] = {}
    pieces: list[Piece] = []
    assumed: set[str] = set()
    for n, alike in enumerate(_alike(batches)):
        name = f"{alike.order.stage}/{n}"
        ratios = _ratios(alike, plans[alike.order.stage], fleet, forecaster)
        assumed |= {pool for pool, (_, known) in ratios.items() if not known}
        groups[name] = _group(name, alike, ratios, forecaster, plans[alike.order.stage])
        pieces += [_piece(name, one, ratios) for one in alike.batches]
    started = seen[0].at
    wish = aim(order.pipeline, started, started, None)
    world = snapshot(fleet, None, at=started)
    ways = {"all local": all_local, "all on demand": all_on_demand}
    return tuple(
        _comparison(name, way(groups, pieces, world, wish), assumed, fleet.currency)
        for name, way in ways.items()
    )


def _batches(run: Run, records: Iterable[Record]) -> Iterable[_Batch]:
    orders: dict[str, Assignment | None] = {}
    for record in records:
        if record.event != "done":
            continue
        name = str(record.data.get("assignment", ""))
        if name not in orders:
            try:
                orders[name] = Assignment.read(run.assignments, name)
            except (OSError, ValidationError):
                orders[name] = None
        order = orders[name]
        job = next((j for j in order.jobs if j.key == record.data["key"]), None) if order else None
        if order and job:
            seconds = max(float(record.data["seconds"]), _LEAST_SECONDS)
            yield _Batch(order, job, seconds, int(record.data.get("bytes", 0)))


def _alike(batches: Iterable[_Batch]) -> list[_Alike]:
    found: dict[tuple[object, ...], _Alike] = {}
    for one in batches:
        order = one.order
        needs = order.needs.model_copy(update={"memory": 0})
        mark = (order.stage, order.label, needs, order.device.kind, one.job.pace)
        found.setdefault(mark, _Alike(order, one.job.pace)).batches.append(one)
    return list(found.values())


def _ratios(
    alike: _Alike, node: Node, fleet: Fleet, forecaster: Forecaster
) -> dict[str, tuple[float, bool]]:
    """Returns how many times faster each pool is than the one that did most, and whether that is
    known."""
    done = alike.speeds()
    pools = [batch.order.pool for batch in alike.batches]
    base = done.get(max(sorted(set(pools)), key=pools.count))
    found: dict[str, tuple[float, bool]] = {}
    for pool in fleet.workers:
        if base and pool.name in done:
            found[pool.name] = done[pool.name] / base, True
            continue
        learnt = _learnt(alike, node, pool, forecaster)
        found[pool.name] = (learnt / base, True) if base and learnt else (1.0, False)
    found |= {pool: (speed / base, True) for pool, speed in done.items() if base}
    return found


def _learnt(alike: _Alike, node: Node, pool: Pool, forecaster: Forecaster) -> float | None:
    """Returns the load a second a pool would do of these batches, None where nobody knows."""
    device = alike.order.device
    name = pool.device.title if device.kind == "cuda" else device.name
    asked = device.model_copy(update={"name": name})
    rate = forecaster.rate(node.stage, alike.pace, asked, pool.name)
    load = sum(batch.job.load for batch in alike.batches)
    if rate.source == "prior" or not load > 0:
        return None
    constant = rate.overhead_seconds * len(alike.batches)
    return load / (load / rate.load_per_second + constant)


def _group(
    name: str,
    alike: _Alike,
    ratios: Mapping[str, tuple[float, bool]],
    forecaster: Forecaster,
    node: Node,
) -> Group:
    """Returns the group. Its load is in seconds of the pool that did most, so speeds are ratios."""
    order = alike.order
    memory = max(batch.order.needs.memory for batch in alike.batches)
    start = forecaster.rate(node.stage, alike.pace, order.device).start_seconds
    return Group(
        id=name,
        kind=order.kind,
        version=order.version,
        label=order.label,
        needs=order.needs.model_copy(update={"memory": memory}),
        device=order.device.kind,
        speeds={
            pool: Speed(ratio, start, "ledger" if known else "prior")
            for pool, (ratio, known) in ratios.items()
        },
        millrace=order.millrace,
    )


def _piece(group: str, one: _Batch, ratios: Mapping[str, tuple[float, bool]]) -> Piece:
    ratio, _ = ratios.get(one.order.pool, (1.0, False))
    size = sum(stamp.size for stamp in one.job.material.stamps)
    return Piece(
        key=one.job.key,
        group=group,
        load=one.seconds * ratio,
        bytes_in=0 if one.job.parts else size,
        bytes_out=one.bytes,
    )


def _comparison(name: str, decision: Decision, assumed: set[str], currency: str) -> Comparison:
    if decision.refused or decision.waiting:
        words = [text for _, text in decision.refused.values()] + [*decision.waiting.values()]
        return Comparison(name=name, cost=None, why=words[0])
    used = {placed.pool for placed in decision.placed}
    return Comparison(
        name=name,
        cost=Money(amount=decision.cost, currency=currency),
        seconds=decision.makespan,
        late=decision.late,
        assumed=tuple(sorted(used & assumed)),
    )
