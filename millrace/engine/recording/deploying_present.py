"""What is on a Prefect server of a fleet: the pools, queues, deployments and automations, as facts.

Read are those with a declared name, whoever made them, and all that carry the fleet's mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from millrace.engine.fleet.declared import ASSIGNMENT, PIPELINE, Thing, mark, tags

_PAGE = 200  # the server's own limit of an answer


def present(client: Any, fleet: str, wanted: Sequence[Thing]) -> list[Thing]:
    """Returns what the server has."""
    names = {(thing.sort, thing.name) for thing in wanted}
    things = _pools(client, fleet, names)
    things += _deployments(client, fleet, names)
    return things + _automations(client, fleet, {t.name: t for t in wanted})


def pages(client: Any, path: str, body: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yields everything that a filter route of the server's answers, page by page."""
    offset = 0
    while True:
        found = client.request("POST", path, json={**body, "limit": _PAGE, "offset": offset}).json()
        yield from found
        if len(found) < _PAGE:
            return
        offset += len(found)


def _pools(client: Any, fleet: str, names: set[tuple[Any, str]]) -> list[Thing]:
    things = []
    for pool in pages(client, "/work_pools/filter", {}):
        ours = pool["description"] == mark(fleet)
        if not ours and ("pool", pool["name"]) not in names:
            continue
        facts = {
            "type": pool["type"],
            "limit": pool["concurrency_limit"],
            "template": pool["base_job_template"],
            "description": pool["description"],
        }
        things.append(Thing("pool", pool["name"], facts, ours))
        things += _queues(client, fleet, pool["name"], names if ours else set())
    return things


def _queues(client: Any, fleet: str, pool: str, names: set[tuple[Any, str]]) -> list[Thing]:
    things = []
    for queue in pages(client, f"/work_pools/{pool}/queues/filter", {}):
        name = f"{pool}/{queue['name']}"
        # In a pool of ours a queue we declare is ours too: a deployment that names it made it.
        if queue["description"] == mark(fleet) or ("queue", name) in names:
            facts = {"priority": queue["priority"], "description": queue["description"] or None}
            things.append(Thing("queue", name, facts))
    return things


def _deployments(client: Any, fleet: str, names: set[tuple[Any, str]]) -> list[Thing]:
    things = []
    for flow in (ASSIGNMENT, PIPELINE):
        body = {"flows": {"name": {"any_": [flow]}}, "sort": "NAME_ASC"}
        for each in pages(client, "/deployments/filter", body):
            name = f"{flow}/{each['name']}"
            ours = set(tags(fleet)) <= set(each["tags"])
            if ours or ("deployment", name) in names:
                things.append(Thing("deployment", name, _deployment(each), ours))
    return things


def _deployment(each: Mapping[str, Any]) -> dict[str, Any]:
    schedules = [s["schedule"] for s in each["schedules"]]
    one = schedules[0] if len(schedules) == 1 else {"cron": f"{len(schedules)} schedules"}
    return {
        "pool": each["work_pool_name"],
        "queue": each["work_queue_name"],
        "entrypoint": each["entrypoint"],
        "version": each["version"],
        "parameters": each["parameters"],
        "tags": sorted(each["tags"]),
        "cron": one.get("cron", "not by cron") if schedules else None,
        "timezone": one.get("timezone") if schedules else None,
        "variables": each["job_variables"],
    }


def _automations(client: Any, fleet: str, wanted: Mapping[str, Thing]) -> list[Thing]:
    things = []
    for each in pages(client, "/automations/filter", {}):
        ours = each["description"] == mark(fleet)
        named = wanted.get(each["name"])
        if ours or (named and named.sort == "automation"):
            facts = _like(named.facts, each) if named else {}
            things.append(Thing("automation", each["name"], facts, ours))
    return things


def _like(wanted: Any, found: Any) -> Any:
    """Returns of `found` what `wanted` speaks of: the server adds ids and defaults of its own."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {key: _like(value, found.get(key)) for key, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) == len(found) and any(isinstance(each, Mapping) for each in wanted):
            return [_like(one, other) for one, other in zip(wanted, found, strict=True)]
        if all(isinstance(each, str) for each in found):
            return sorted(found)
    if isinstance(wanted, list) and isinstance(found, str):
        return [found]
    return found
