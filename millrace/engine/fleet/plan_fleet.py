"""Making the plan of a run on a fleet. Nothing is done.

All stages are placed at once, as if every batch were ready, because the fleet is shared by them
all: that tells which pools the work goes to and what it costs. When it is done depends on the
order, too: no item's way through the stages can be shorter than its longest batches one after the
other. The plan tells the longer of the two; where that way is what misses the deadline, the work
is placed again for an earlier one.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from millrace.engine.budgets import Budget
from millrace.engine.expansion import Found, Node, cut_item, look_up
from millrace.engine.fleet.aims import aim
from millrace.engine.fleet.decisions import HOUR, stage_of
from millrace.engine.fleet.fleet_plan import FleetPlan, GroupPlan, PoolNow, PoolVerdict
from millrace.engine.fleet.groups import Groups, chooser, pieces_of
from millrace.engine.fleet.observed import Observed
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.fleet.snapshot import snapshot
from millrace.engine.forecasts import Forecaster
from millrace.engine.foresight import Foreseen, Seen, foresee
from millrace.engine.hosts.devices import Host
from millrace.engine.placement.decision import place
from millrace.engine.placement.model import Aim, Decision, Group, Piece, PoolState, Snapshot
from millrace.engine.placement.problem import delay
from millrace.engine.placement.rules import nowhere
from millrace.engine.plan import Source, StagePlan
from millrace.engine.planning import disk_of, goal_of, schedule_of, stage_plan
from millrace.engine.runs import Order, Run
from millrace.engine.settings import Settings
from millrace.engine.store import Store

_TIGHTENED = 3  # how often work is placed again for an earlier deadline


@dataclass
class _Work:
    """All that is to be done: groups, pieces, and each item's pieces in each stage."""

    groups: dict[str, Group] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    items: dict[tuple[str, str], list[Piece]] = field(default_factory=dict)


def make_fleet_plan(
    order: Order,
    settings: Settings,
    host: Host,
    fleet: Fleet,
    observed: Mapping[str, Observed] | None,
    *,
    pool: str = "",
    now: float | None = None,
    warnings: Sequence[str] = (),
) -> FleetPlan:
    """Returns the plan of a work order on a fleet, or on the one `pool` of it.

    `observed` None: no server was asked, every pool counts as up. `now` is the moment the run
    would begin, in seconds since the epoch (default: this one). Raises what `make_plan` raises,
    UsageError for a pool that there is not, StoreError when the ledger cannot say what is left of
    the month's money. That no pool may run a stage is no error here, but in the plan.
    """
    now = time.time() if now is None else now
    only = (fleet.pool(pool).name,) if pool else ()
    foreseen = foresee(order, settings, host, chooser(fleet, host, only))
    state = snapshot(fleet, observed, at=now)
    if only:
        state = replace(state, pools=tuple(p for p in state.pools if p.name in only))
    groups = Groups(fleet, Forecaster(settings))
    work = _work(foreseen, groups)
    budget = _money(order, fleet, settings, now)
    wish = aim(order.pipeline, now, now, budget)
    decision, makespan = _decide(foreseen, work, state, wish)
    cut_anew = partial(_cut_anew, order, settings, host, fleet)
    if anew := _for_cpu(foreseen, groups, decision, cut_anew):
        work = _work(foreseen, groups)
        decision, makespan = _decide(foreseen, work, state, wish)
    stages = tuple(_stages(foreseen, work, decision))
    return FleetPlan(
        pipeline=order.pipeline.name,
        label=str(order.pipeline.effective_label),
        goal=goal_of(order.pipeline),
        schedule=schedule_of(order.pipeline),
        on=pool or fleet.name,
        asked=observed is not None,
        currency=fleet.currency,
        pools=tuple(_pool(one) for one in state.pools),
        stages=stages,
        groups=tuple(_groups(work, decision)),
        outputs=foreseen.outputs(),
        refusals=tuple(foreseen.refusals()),
        warnings=(*warnings, *anew),
        makespan=round(makespan, 3),
        slot_seconds=round(sum(stage.seconds for stage in stages), 3),
        cost=round(sum(stage.cost for stage in stages), 6),
        budget=budget,
        timed=wish.deadline is not None,
        late=decision.late or (wish.deadline is not None and makespan > wish.deadline),
        disk=disk_of(sum(stage.bytes for stage in stages), settings),
    )


def _money(order: Order, fleet: Fleet, settings: Settings, now: float) -> float | None:
    """Returns what a run that begins now may spend: of its own budget, and of the fleet's month."""
    nobody = Run(
        "plan", settings.store / "runs" / "plan"
    )  # it does not exist and has spent nothing
    return Budget(nobody, order.pipeline, fleet, settings, clock=lambda: now).amount(0.0)


def _work(foreseen: Foreseen, groups: Groups) -> _Work:
    work = _Work()
    for name, node in foreseen.nodes.items():
        for entry in foreseen.seen[name].values():
            if not (entry.cut and entry.found) or entry.found.result:
                continue
            group = groups.of(node, entry.cut)
            work.groups[group.id] = group
            found = pieces_of(
                group, node, entry.cut, parts=entry.found.parts, foreseen=entry.outline
            )
            left = [piece for piece in found if piece.key not in entry.found.parts]
            work.items[name, entry.item.id] = left
            work.pieces += left
    return work


def _for_cpu(
    foreseen: Foreseen, groups: Groups, decision: Decision, cut_anew: Callable[[Node, Seen], None]
) -> list[str]:
    """Cuts for processors what no GPU can do and would do without, as a run does; returns what a
    person should know of it."""
    said: dict[str, None] = {}
    for name, node in foreseen.nodes.items():
        for entry in foreseen.seen[name].values():
            if not entry.cut or entry.cut.device.kind != "cuda" or entry.cut.needs.gpu != "prefer":
                continue
            found = decision.verdicts.get(groups.of(node, entry.cut).id)
            if found and nowhere([verdict.rule for verdict in found]):
                why = "; ".join(verdict.reason for verdict in found)
                said[f"{name} is planned for processors, no GPU can do it: {why}"] = None
                cut_anew(node.without_gpu(), entry)
    return list(said)


def _cut_anew(
    order: Order, settings: Settings, host: Host, fleet: Fleet, node: Node, entry: Seen
) -> None:
    assert entry.cut is not None  # noqa: S101
    cut = entry.cut
    entry.cut = cut_item(node, entry.item, cut.outline, cut.sides, host, chooser(fleet, host))
    known = not (entry.forecast or node.name in order.force)
    entry.found = look_up(Store(settings.store), entry.cut) if known else Found(None, {})


def _decide(foreseen: Foreseen, work: _Work, state: Snapshot, wish: Aim) -> tuple[Decision, float]:
    """Returns where the work goes and when all is done."""
    decision = place(work.groups, work.pieces, state, wish)
    makespan = max(decision.makespan, _longest(foreseen, work, state, decision))
    if wish.deadline is None or decision.late or makespan <= wish.deadline:
        return decision, makespan
    tight, span = wish.deadline, makespan
    for _ in range(_TIGHTENED):
        tight *= wish.deadline / span
        other = place(work.groups, work.pieces, state, replace(wish, deadline=tight))
        span = max(other.makespan, _longest(foreseen, work, state, other))
        if span <= wish.deadline:
            return replace(other, late=False), span
    return decision, makespan


def _longest(foreseen: Foreseen, work: _Work, state: Snapshot, decision: Decision) -> float:
    """Returns when the last item is through its stages if none ever waited for another."""
    free = {pool.name: delay(pool) for pool in state.pools}
    placed = {one.key: one for one in decision.placed}

    def after(start: float, keys: Iterable[str]) -> float:
        ends = [max(start, free[p.pool]) + p.seconds for k in keys if (p := placed.get(k))]
        return max(ends, default=start)

    done: dict[str, dict[str, float]] = {}
    for name, node in foreseen.nodes.items():
        before = _before(node, done)
        done[name] = {}
        for item, entry in foreseen.seen[name].items():
            join = entry.cut.join if entry.cut else ""
            keys = [piece.key for piece in work.items.get((name, item), [])]
            start = before.get(item, max(before.values(), default=0.0) if node.spec.all else 0.0)
            parts = after(start, (key for key in keys if key != join))
            done[name][item] = after(parts, (key for key in keys if key == join))
    return max((end for ends in done.values() for end in ends.values()), default=0.0)


def _before(node: Node, done: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Returns when each item that comes to a stage is ready for it."""
    ready: dict[str, float] = {}
    for source in node.feeders:
        for item, end in done.get(source, {}).items():
            ready[item] = max(end, ready.get(item, 0.0))
    return ready


def _stages(foreseen: Foreseen, work: _Work, decision: Decision) -> list[StagePlan]:
    stage = {piece.key: stage_of(piece.group) for piece in work.pieces}
    seconds: dict[str, float] = defaultdict(float)
    cost: dict[str, float] = defaultdict(float)
    for placed in decision.placed:
        seconds[stage[placed.key]] += placed.seconds
        cost[stage[placed.key]] += placed.cost
    return [
        stage_plan(
            node,
            list(foreseen.seen[name].values()),
            seconds[name],
            cost[name],
            _source(name, work, decision),
        )
        for name, node in foreseen.nodes.items()
    ]


def _source(stage: str, work: _Work, decision: Decision) -> Source:
    """Returns the weaker of what the speeds of the chosen pools rest on."""
    sources = {
        work.groups[group].speeds[verdict.pool].source
        for group, verdicts in decision.verdicts.items()
        if stage_of(group) == stage
        for verdict in verdicts
        if verdict.chosen
    }
    return "prior" if "prior" in sources else "ledger" if sources else ""


def _groups(work: _Work, decision: Decision) -> list[GroupPlan]:
    counts = Counter(piece.group for piece in work.pieces)
    waiting: dict[str, Counter[str]] = defaultdict(Counter)
    for piece in work.pieces:
        if piece.key in decision.waiting:
            waiting[piece.group][decision.waiting[piece.key]] += 1
    found = []
    for name, group in work.groups.items():
        rule, reason = decision.refused.get(name, ("", ""))
        found.append(
            GroupPlan(
                id=name,
                stage=stage_of(name),
                label=str(group.label),
                device=group.device,
                batches=counts[name],
                pools=_verdicts(group, decision),
                waiting=dict(sorted(waiting[name].items())),
                rule=rule,
                reason=reason,
            )
        )
    return found


def _verdicts(group: Group, decision: Decision) -> tuple[PoolVerdict, ...]:
    return tuple(
        PoolVerdict(
            pool=verdict.pool,
            rule=verdict.rule,
            reason=verdict.reason,
            basis=verdict.basis,
            price=round(verdict.price, 6),
            seconds=round(verdict.seconds, 3),
            queue=round(verdict.queue, 3),
            cost=round(verdict.cost, 6),
            chosen=verdict.chosen,
            source=group.speeds[verdict.pool].source if verdict.pool in group.speeds else "",
        )
        for verdict in decision.verdicts.get(group.id, ())
    )


def _pool(state: PoolState) -> PoolNow:
    return PoolNow(
        name=state.name,
        where=state.where,
        clearance=str(min(state.clearance, state.store_clearance)),
        device=state.device_name,
        vram=state.vram,
        slots=state.slots,
        free=state.free,
        up=state.up,
        why_down=state.why_down,
        cold=state.cold,
        prices={offer.basis: round(offer.price * HOUR, 6) for offer in state.offers},
    )
