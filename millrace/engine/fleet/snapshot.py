"""The fleet at one moment: what was declared, narrowed by what is known of it now. Pure.

A declaration says what a pool is meant to be, its workers' cards what they are, the server whether
they are there. Each can only take away: a worker that is cleared for less, or has a smaller GPU,
counts for its whole pool, because nobody chooses which worker of a pool takes an assignment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from millrace.engine.fleet.observed import Card, Observed, Worker
from millrace.engine.fleet.pools import Elastic
from millrace.engine.fleet.resolved import Fleet, Pool
from millrace.engine.placement.model import Offer, PoolState, Snapshot

MIXED = 0
"""The version of a kind whose workers do not agree on one: no kind has it."""

PROCESS = "process"


def snapshot(
    fleet: Fleet,
    observed: Mapping[str, Observed] | None,
    *,
    backlog: Mapping[str, float] = {},
    busy: Mapping[str, int] = {},
    avoided: Mapping[str, Collection[str]] = {},
    unreachable: Collection[str] = (),
    at: float = 0.0,
) -> Snapshot:
    """Returns the state of every pool that takes work, in the order of the fleet.

    `observed` None: no server was asked, and every pool counts as up. Per pool, `backlog` are the
    seconds of work already handed to a slot on average, `busy` the slots that hold some of it (the
    server may know of more, of other runs), `avoided` the kinds its workers fail. `unreachable`
    names stores that do not answer.
    """
    states = []
    for pool in fleet.workers:
        name = pool.name
        state = _state(
            pool,
            None if observed is None else observed.get(name, Observed(name, exists=False)),
            backlog=backlog.get(name, 0.0),
            busy=busy.get(name, 0),
            avoided=frozenset(avoided.get(name, ())),
            reachable=pool.spec.store not in unreachable,
        )
        states.append(state)
    return Snapshot(tuple(states), currency=fleet.currency, at=at)


def _state(
    pool: Pool,
    seen: Observed | None,
    *,
    backlog: float,
    busy: int,
    avoided: frozenset[str],
    reachable: bool,
) -> PoolState:
    alive = [worker for worker in seen.workers if worker.alive] if seen else []
    down = why_down(pool, seen)
    slots = pool.slots if down or seen is None else _slots(pool, alive)
    taken = max(busy, seen.running + seen.pending if seen else 0)
    facts = _declared(pool) | _narrowed(pool, [w.card for w in alive if w.card])
    return PoolState(
        name=pool.name,
        **facts,
        slots=slots,
        free=0 if down else max(0, slots - taken),
        backlog=backlog,
        up=not down,
        why_down=down,
        reachable=reachable,
        cold=not down and _cold(pool, seen, alive),
        avoided=avoided,
    )


def why_down(pool: Pool, seen: Observed | None) -> str:
    """Returns why a pool cannot take work now, in words, "" when it can.

    Prefect's own status plays no part: it calls a worker online for a minute after its last word. A
    pool of machines that come when there is work may have no worker now. Where a worker only starts
    machines for others (docker, kubernetes), it has to be there all the same.
    """
    if seen is None:
        return ""
    if not seen.exists:
        return "no such work pool: run `millrace deploy`"
    if seen.paused:
        return "paused"
    if any(worker.alive for worker in seen.workers) or _comes_when_called(pool):
        return "" if _served(pool, seen.workers) else "its workers take none of its offers"
    if not seen.workers:
        return f"no worker has been heard of: run `millrace pools join {pool.name}`"
    age = min(worker.age for worker in seen.workers)
    return f"no worker has been heard of for {age:.0f} s"


def _comes_when_called(pool: Pool) -> bool:
    """True when having no worker is no fault: machines that power off, or no workers at all."""
    kind = pool.spec.type
    if kind.endswith(":push") or kind.endswith(":managed"):
        return True
    return (
        kind == PROCESS and isinstance(pool.spec.machines, Elastic) and not pool.spec.machines.min
    )


def _cold(pool: Pool, seen: Observed | None, alive: Collection[Worker]) -> bool:
    """True when the next assignment has to wait for a machine to come up."""
    machines = pool.spec.machines
    if not isinstance(machines, Elastic) or machines.min:
        return False
    if seen is None or not alive:
        return True
    return pool.spec.type != PROCESS and seen.running == 0


def _slots(pool: Pool, alive: Collection[Worker]) -> int:
    """Returns the slots there are now: fixed machines have a worker each, others come by need."""
    if pool.spec.type != PROCESS or pool.elastic:
        return pool.slots
    return min(pool.slots, len(alive) * pool.slots_per_machine)


def _served(pool: Pool, workers: Iterable[Worker]) -> bool:
    return bool(_offers(pool, [w.card for w in workers if w.alive and w.card]))


def _offers(pool: Pool, cards: Collection[Card]) -> tuple[Offer, ...]:
    """Returns the offers that some worker takes work for; one that names none takes all."""
    bases = {card.basis for card in cards}
    if not cards or None in bases or pool.elastic or pool.spec.type != PROCESS:
        return pool.offers
    return tuple(offer for offer in pool.offers if offer.basis in bases)


def _declared(pool: Pool) -> dict[str, Any]:
    return {
        "where": pool.spec.where,
        "clearance": pool.spec.clearance,
        "store": pool.spec.store,
        "store_clearance": pool.store.clearance,
        "offers": pool.offers,
        "device": pool.kind,
        "device_name": pool.device.name,
        "vram": pool.vram,
        "cores": pool.cores,
        "memory": pool.memory,
        "start": pool.spec.start,
        "latency": pool.spec.latency,
        "bandwidth": pool.bandwidth,
        "egress": pool.egress,
    }


def _narrowed(pool: Pool, cards: list[Card]) -> dict[str, Any]:
    """Returns what the workers of a pool have in common where that is less than was declared."""
    if not cards:
        return {}
    slots = pool.slots_per_machine
    facts: dict[str, Any] = {
        "clearance": min([pool.spec.clearance, *(card.clearance for card in cards)]),
        "offers": _offers(pool, cards),
        "cores": max(1, min([pool.cores, *(card.cores // slots for card in cards)])),
        "memory": min([pool.memory, *(card.memory // slots for card in cards)]),
        "tools": frozenset.intersection(*(frozenset(card.tools) for card in cards)),
        "kinds": _kinds(cards),
        "millrace": ", ".join(sorted({card.millrace for card in cards})),
        "capabilities": _capabilities(cards),
    }
    if pool.kind == "cuda":
        if all(card.gpus for card in cards):
            facts["vram"] = min([pool.vram, *(card.vram for card in cards)])
        else:  # one without its GPU might get the work that asks for one
            facts |= {"device": "cpu", "device_name": "a worker without its GPU", "vram": 0}
    return facts


def _kinds(cards: list[Card]) -> dict[str, int]:
    """Returns the version of each kind that all workers have."""
    common = set.intersection(*(set(card.kinds) for card in cards))
    versions = {kind: {card.kinds[kind] for card in cards} for kind in sorted(common)}
    return {kind: found.pop() if len(found) == 1 else MIXED for kind, found in versions.items()}


def _capabilities(cards: list[Card]) -> dict[tuple[str, str], dict[str, str]]:
    """Returns what the workers say that their libraries give, all of it where they disagree."""
    said: dict[tuple[str, str], dict[str, set[str]]] = {}
    for card in cards:
        for sort, kinds in card.capabilities.items():
            for kind, values in kinds.items():
                for name, value in values.items():
                    said.setdefault((sort, kind), {}).setdefault(name, set()).add(value)
    return {
        which: {name: " and ".join(sorted(values)) for name, values in names.items()}
        for which, names in said.items()
    }
