"""A decision as it is written down: what was known of the fleet, and what followed, in plain JSON.

It stands in the journal for as long as the run does, so it holds counts and reasons, never a
batch's key or a file's name. Prices are of an hour of a slot, times in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from millrace.engine.placement.model import Decision, Group, PoolState, Snapshot, Verdict

HOUR = 3600.0


def gist(decision: Decision, groups: Mapping[str, Group]) -> object:
    """Returns what of a decision is news to a person: everything but its numbers."""
    return (
        {
            name: [
                (v.pool, v.rule, v.basis, bool(v.chosen), _source(groups[name], v))
                for v in verdicts
            ]
            for name, verdicts in decision.verdicts.items()
        },
        sorted(set(decision.waiting.values())),
        decision.late,
    )


def decision_record(
    decision: Decision, snapshot: Snapshot, groups: Mapping[str, Group]
) -> dict[str, Any]:
    """Returns a decision with the snapshot it was made on.

    `groups` has what was decided by stage and label; `waiting` counts batches by what they wait
    for, whichever their group.
    """
    return {
        "groups": [_group(groups[name], decision) for name in sorted(decision.verdicts)],
        "waiting": dict(sorted(Counter(decision.waiting.values()).items())),
        "snapshot": {
            "at": round(snapshot.at, 3),
            "currency": snapshot.currency,
            "pools": [_pool(pool) for pool in snapshot.pools],
        },
        "makespan": round(decision.makespan, 3),
        "cost": round(decision.cost, 6),
        "late": decision.late,
    }


def stage_of(group: str) -> str:
    """Returns the stage that a group's id is of."""
    return group.rsplit("/", 2)[0]


def _group(group: Group, decision: Decision) -> dict[str, Any]:
    rule, words = decision.refused.get(group.id, ("", ""))
    return {
        "group": group.id,
        "stage": stage_of(group.id),
        "kind": group.kind,
        "label": str(group.label),
        "device": group.device,
        "refused": {"rule": rule, "reason": words} if rule else None,
        "pools": [_verdict(group, verdict) for verdict in decision.verdicts[group.id]],
    }


def _source(group: Group, verdict: Verdict) -> str:
    """Returns what the speed of a group on a pool rests on, "" where none is known."""
    speed = group.speeds.get(verdict.pool)
    return speed.source if speed else ""


def _verdict(group: Group, verdict: Verdict) -> dict[str, Any]:
    return {
        "pool": verdict.pool,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "basis": verdict.basis,
        "price": round(verdict.price, 6),
        "seconds": round(verdict.seconds, 3),
        "speed": _source(group, verdict),
        "queue": round(verdict.queue, 3),
        "cost": round(verdict.cost, 6),
        "chosen": verdict.chosen,
    }


def _pool(pool: PoolState) -> dict[str, Any]:
    return {
        "pool": pool.name,
        "up": pool.up,
        "why_down": pool.why_down,
        "reachable": pool.reachable,
        "cold": pool.cold,
        "clearance": str(min(pool.clearance, pool.store_clearance)),
        "device": pool.device_name,
        "vram": pool.vram,
        "slots": pool.slots,
        "free": pool.free,
        "backlog": round(pool.backlog, 3),
        "prices": {offer.basis: round(offer.price * HOUR, 6) for offer in pool.offers},
        "avoided": sorted(pool.avoided),
        "millrace": pool.millrace,
    }
