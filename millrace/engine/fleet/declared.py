"""What ought to exist on a Prefect server for a fleet and its pipelines, and what differs there.

Pure: things are names with plain facts, wherever they were read. `declared` derives them from
`pools.yaml` and the deployed pipelines, `difference` compares them with what is there. What is
operated and not declared (a paused pool, a paused schedule) is no fact, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

from millrace.engine.errors import UsageError
from millrace.engine.fleet.deployed import RESERVED, Deployed
from millrace.engine.fleet.prices import listed
from millrace.engine.fleet.resolved import Fleet, Pool
from millrace.engine.fleet.snapshot import PROCESS
from millrace.engine.recording.fleet import UNHEARD

Sort = Literal["pool", "queue", "pipeline", "deployment", "automation"]
Mark = Literal["+", "~", "-"]

SORTS: tuple[Sort, ...] = ("pool", "queue", "pipeline", "deployment", "automation")
"""The order in which things are made; they are removed the other way round."""

ASSIGNMENT = "millrace-assignment"
PIPELINE = "millrace-pipeline"
TAG = "millrace"
PRIORITIES = ("high", "normal", "low")
HEARTBEAT_SECONDS = 30
MISSING_SECONDS = 90.0
_MODULES = {ASSIGNMENT: "millrace.flows.assignment.assignment"}
_MODULES |= {PIPELINE: "millrace.flows.pipeline.pipeline"}
_ENDS = ("Completed", "Failed", "Cancelled", "Crashed", "Suspended", "Paused")


@dataclass(frozen=True)
class Thing:
    """A pool, queue, pipeline, deployment or automation by its name, and what is true of it.

    `ours` is False for something of that name that another than `millrace deploy` made.
    """

    sort: Sort
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = True


@dataclass(frozen=True)
class Change:
    """One step from what is there to what is declared: + make, ~ change, - remove."""

    mark: Mark
    sort: Sort
    name: str
    details: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def mark(fleet: str) -> str:
    """Returns the description by which things of a fleet are known to be ours."""
    return f"Millrace fleet {fleet}"


def tags(fleet: str) -> list[str]:
    """Returns the tags by which a fleet's deployments are known to be ours."""
    return sorted((TAG, f"fleet:{fleet}"))


def declared(
    fleet: Fleet,
    pipelines: Sequence[Deployed],
    templates: Mapping[str, Mapping[str, Any]],
) -> tuple[Thing, ...]:
    """Returns everything that ought to exist. `templates` are the pools' base job templates.

    Raises UsageError when pipelines or pools for work are declared and no pool takes conductors.
    """
    conductors = conductor_pool(fleet)
    things: list[Thing] = []
    for name, pool in fleet.pools.items():
        things += _pool(fleet.name, pool, templates[name])
        if pool.spec.runs == "work":
            facts = _deployment(fleet, ASSIGNMENT, name, templates[name])
            things.append(Thing("deployment", f"{ASSIGNMENT}/{name}", facts))
    general = _deployment(fleet, PIPELINE, conductors, templates[conductors])
    things.append(Thing("deployment", f"{PIPELINE}/{RESERVED}", general))
    for each in pipelines:
        kept = {"document": each.document, "order": each.order_digest, "set": each.set}
        things.append(Thing("pipeline", each.name, kept | {"source": each.order.source}))
        things.append(Thing("deployment", f"{PIPELINE}/{each.name}", _scheduled(general, each)))
    things.append(Thing("automation", f"{mark(fleet.name)}: heartbeats", _heartbeats(fleet.name)))
    return tuple(sorted(things, key=lambda thing: SORTS.index(thing.sort)))


def conductor_pool(fleet: Fleet) -> str:
    """Returns the name of the pool that takes conductors. Raises UsageError when none does."""
    if fleet.conductors:
        return fleet.conductors.name
    raise UsageError(
        f"no pool of {fleet.path} takes conductors",
        hint="add one with `runs: conductors` and `store: home`, on the host that has the store",
    )


def queues(pool: Pool) -> tuple[str, ...]:
    """Returns the work queues of a pool, `<basis>-<priority>`, the most urgent first."""
    bases = [basis for basis, _ in listed(pool.spec.prices)]
    return tuple(f"{basis}-{priority}" for priority in PRIORITIES for basis in bases)


def difference(
    wanted: Iterable[Thing], present: Iterable[Thing], *, prune: bool = False
) -> tuple[Change, ...]:
    """Returns the steps from what is present to what is wanted, in the order to take them.

    Raises UsageError for a name that something else has taken; nothing that is not ours is touched.
    """
    here = {(thing.sort, thing.name): thing for thing in present}
    changes: list[Change] = []
    names = set()
    for thing in wanted:
        names.add((thing.sort, thing.name))
        found = here.get((thing.sort, thing.name))
        if found is None:
            changes.append(Change("+", thing.sort, thing.name, facts=thing.facts))
            continue
        _ours(found, thing)
        details = _details(thing.facts, found.facts)
        if details:
            changes.append(Change("~", thing.sort, thing.name, details, thing.facts))
    gone = [t for key, t in here.items() if t.ours and key not in names] if prune else []
    gone.sort(key=lambda thing: (-SORTS.index(thing.sort), thing.name))
    return (*changes, *(Change("-", thing.sort, thing.name, facts=thing.facts) for thing in gone))


def _ours(found: Thing, wanted: Thing) -> None:
    if not found.ours:
        description = wanted.facts.get("description", "")
        take = f"`prefect work-pool update {found.name} --description '{description}'` gives it to"
        hints = {"pool": f"rename the pool in pools.yaml; or {take} the fleet"}
        hints["deployment"] = (
            "a server serves one fleet; if its `name:` was changed, change it back, or remove "
            f"the old one: `prefect deployment delete '{found.name}'`"
        )
        raise UsageError(
            f"the server has a {found.sort} {found.name!r} that is not this fleet's",
            hint=hints.get(found.sort, f"remove or rename that {found.sort}"),
        )
    before, now = found.facts.get("type"), wanted.facts.get("type")
    if found.sort == "pool" and before != now:
        raise UsageError(
            f"the work pool {found.name!r} is of type {before} on the server, {now} in pools.yaml",
            hint=f"Prefect cannot change it: `prefect work-pool delete {found.name}`, then deploy",
        )


def _details(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        _detail(name, found.get(name), value)
        for name, value in wanted.items()
        if found.get(name) != value
    )


def _detail(name: str, before: Any, after: Any) -> str:
    plain = (str, int, float, type(None))
    if name in ("document", "order"):
        return f"the {name} changed"
    if isinstance(before, plain) and isinstance(after, plain):
        return f"{name} {'none' if before is None else before} → {after}"
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
        return f"{name} differs: {', '.join(keys)}"
    return f"{name} differs"


def _pool(fleet: str, pool: Pool, template: Mapping[str, Any]) -> list[Thing]:
    # As many again may be there ahead of their turn: our workers hold them back by themselves.
    waits = pool.spec.type == PROCESS and pool.spec.runs == "work"
    limit = pool.slots * 2 if waits else pool.slots
    facts = {"type": pool.spec.type, "limit": limit, "template": template}
    ranks = enumerate(queues(pool), 1)  # a rank belongs to one queue alone: Prefect's rule
    return [
        Thing("pool", pool.name, facts | {"description": mark(fleet)}),
        *(
            Thing("queue", f"{pool.name}/{queue}", {"priority": rank, "description": mark(fleet)})
            for rank, queue in ranks
        ),
    ]


def _deployment(fleet: Fleet, flow: str, name: str, template: Mapping[str, Any]) -> dict[str, Any]:
    pool = fleet.pools[name]
    takes_env = "env" in template.get("variables", {}).get("properties", {})
    beats = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}}
    return {
        "pool": name,
        "queue": next(queue for queue in queues(pool) if queue.endswith("-normal")),
        "entrypoint": _MODULES[flow],
        "version": version("millrace"),
        "parameters": {},
        "tags": tags(fleet.name),
        "cron": None,
        "timezone": None,
        "variables": beats if takes_env else {},
    }


def _scheduled(general: Mapping[str, Any], pipeline: Deployed) -> dict[str, Any]:
    when = pipeline.order.pipeline.schedule
    times = {"cron": when.cron, "timezone": when.timezone} if when else {}
    return {**general, "parameters": {"scheduled": pipeline.name}, **times}


def _heartbeats(fleet: str) -> dict[str, Any]:
    """Returns the automation that marks flow runs crashed whose process is gone.

    Only flow runs with the fleet's tags: others, and `millrace run` here, beat less often.
    """
    ends = [f"prefect.flow-run.{state}" for state in _ENDS]
    return {
        "description": mark(fleet),
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": ["prefect.flow-run.*"]},
            "match_related": {
                "prefect.resource.role": ["tag"],
                "prefect.resource.id": [f"prefect.tag.fleet:{fleet}"],
            },
            "after": ["prefect.flow-run.heartbeat"],
            "expect": sorted(["prefect.flow-run.heartbeat", *ends]),
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": MISSING_SECONDS,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "message": f"{UNHEARD} {MISSING_SECONDS:.0f} s",
            }
        ],
    }
