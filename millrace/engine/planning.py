"""Making the plan of a run on this host. Nothing is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from millrace.engine.cost import predict
from millrace.engine.expansion import Cut, Found, Node
from millrace.engine.forecasts import Forecaster
from millrace.engine.foresight import Seen, foresee
from millrace.engine.hosts.devices import Device, Host
from millrace.engine.pipeline import Pipeline
from millrace.engine.plan import Disk, Plan, Source, StagePlan
from millrace.engine.runs import Order
from millrace.engine.settings import Settings
from millrace.engine.space import RESERVE_BYTES, free, needed


@dataclass(frozen=True)
class _Speed:
    """What decides how fast batches of one kind run; each of them holds `cores`."""

    pace: str
    device: Device
    cores: int


def make_plan(order: Order, settings: Settings, host: Host) -> Plan:
    """Returns the plan of a work order on this host.

    Raises DocumentError, UsageError, NotPermitted and ToolMissing as a run would.
    """
    foreseen = foresee(order, settings, host)
    forecaster = Forecaster(settings)
    stages = tuple(
        _stage(node, list(foreseen.seen[name].values()), host, forecaster)
        for name, node in foreseen.nodes.items()
    )
    pipeline = order.pipeline
    return Plan(
        pipeline=pipeline.name,
        label=str(pipeline.effective_label),
        goal=goal_of(pipeline),
        schedule=schedule_of(pipeline),
        here=host.name,
        price=forecaster.price,
        stages=stages,
        outputs=foreseen.outputs(),
        refusals=tuple(foreseen.refusals()),
        seconds=round(sum(stage.seconds for stage in stages), 3),
        cost=round(sum(stage.cost for stage in stages), 6),
        disk=disk_of(sum(stage.bytes for stage in stages), settings),
    )


def goal_of(pipeline: Pipeline) -> str:
    """Returns the goal of a pipeline in words, "" when it has none."""
    goal = pipeline.goal
    return _words(goal.model_dump(mode="json", exclude_none=True)) if goal else ""


def schedule_of(pipeline: Pipeline) -> str:
    """Returns the schedule of a pipeline in words, "" when it has none."""
    schedule = pipeline.schedule
    return f"{schedule.cron} ({schedule.timezone})" if schedule else ""


def disk_of(need: int, settings: Settings) -> Disk:
    """Returns whether the store's disk has room for what is to come, `need` bytes."""
    room = free(settings.store)
    return Disk(
        place=settings.store,
        needed=need,
        free=room >> 30 << 30,
        enough=need + RESERVE_BYTES <= room,
    )


def to_do(seen: Collection[Seen]) -> list[tuple[Cut, Found]]:
    """Returns the items that have to be done, with what the store holds of each."""
    return [(s.cut, s.found) for s in seen if s.cut and s.found and not s.found.result]


def stage_plan(
    node: Node, seen: Collection[Seen], seconds: float, cost: float, source: Source
) -> StagePlan:
    """Returns the plan of a stage whose work takes and costs this much."""
    cuts = [(s.cut, s.found) for s in seen if s.cut and s.found]
    todo = to_do(seen)
    return StagePlan(
        name=node.name,
        kind=node.stage.kind,
        unit=node.stage.unit,
        devices=tuple(sorted({c.device.name for c, _ in cuts})),
        items=len(seen),
        reused=sum(1 for _, f in cuts if f.result),
        refused=sum(1 for s in seen if s.error),
        forecast=sum(1 for s in seen if s.forecast and s.cut),
        unknown=sum(1 for s in seen if s.forecast and not s.cut and not s.error),
        batches=sum(len(c.shares) for c, _ in cuts),
        batches_reused=sum(len(c.shares) if f.result else len(f.parts) for c, f in cuts),
        units=sum(c.work.units for c, _ in cuts),
        units_left=sum((s.units for c, f in todo for s in c.shares if s.key not in f.parts), 0.0),
        seconds=round(seconds, 3),
        cost=round(cost, 6),
        source=source,
        bytes=sum(needed(node, c, f) for c, f in todo),
        notes=tuple(sorted({note for c, _ in todo for note in c.work.notes})),
        effect=node.effect,
    )


def _stage(node: Node, seen: Collection[Seen], host: Host, forecaster: Forecaster) -> StagePlan:
    loads: dict[_Speed, list[float]] = {}
    for cut, found in to_do(seen):
        cores = max(1, min(cut.needs.cores, host.cores))
        speed = _Speed(cut.work.pace, cut.device, cores)
        left = [share.load for share in cut.shares if share.key not in found.parts]
        loads.setdefault(speed, []).extend(left)
    seconds, source = _seconds(node, loads, host, forecaster)
    return stage_plan(node, seen, seconds, forecaster.cost(seconds).amount, source)


def _seconds(
    node: Node, loads: Mapping[_Speed, list[float]], host: Host, forecaster: Forecaster
) -> tuple[float, Source]:
    """Returns the wall time of batches of these loads, and the weaker of its sources."""
    if not loads:
        return 0.0, ""
    seconds, starts, sources = 0.0, [], set()
    for speed, batches in loads.items():
        rate = forecaster.rate(node.stage, speed.pace, speed.device)
        sources.add(rate.source)
        starts.append(rate.start_seconds)
        side_by_side = max(1, host.cores // speed.cores)
        constant = rate.overhead_seconds * len(batches)
        seconds += predict(sum(batches), rate.load_per_second, constant) / side_by_side
    seconds += max(starts)  # sessions open side by side and are kept for what follows
    return seconds, "prior" if "prior" in sources else "ledger"


def _words(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
