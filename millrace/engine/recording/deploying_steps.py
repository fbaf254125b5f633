"""The steps of a deployment, taken on a Prefect server: make, change or remove one thing."""

from __future__ import annotations

from typing import Any

from millrace.engine.fleet.declared import PIPELINE, Change

_ID = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"}
_PARAMETERS = {"run_id": _ID, "assignment_id": _ID, "scheduled": _ID}


def take(client: Any, change: Change) -> None:
    """Makes the server so that `change` is no longer needed."""
    steps = {"pool": _pool, "queue": _queue, "deployment": _deployment}
    steps["automation"] = _automation
    steps[change.sort](client, change)


def _pool(client: Any, change: Change) -> None:
    path = f"/work_pools/{change.name}"
    if change.mark == "-":
        client.request("DELETE", path)
        return
    facts = change.facts
    body = {
        "description": facts["description"],
        "concurrency_limit": facts["limit"],
        "base_job_template": facts["template"],
    }
    if change.mark == "+":
        made = {"name": change.name, "type": facts["type"]}
        client.request("POST", "/work_pools/", json=body | made)
    else:
        client.request("PATCH", path, json=body)


def _queue(client: Any, change: Change) -> None:
    pool, _, name = change.name.partition("/")
    path = f"/work_pools/{pool}/queues/{name}"
    if change.mark == "-":
        client.request("DELETE", path)
    elif change.mark == "+":
        client.request("POST", f"/work_pools/{pool}/queues", json={"name": name, **change.facts})
    else:
        client.request("PATCH", path, json=dict(change.facts))


def _deployment(client: Any, change: Change) -> None:
    flow, _, name = change.name.partition("/")
    if change.mark == "+":
        flow_id = client.request("POST", "/flows/", json={"name": flow}).json()["id"]
        body = _body(change) | {"name": name, "flow_id": flow_id}
        client.request("POST", "/deployments/", json=body | {"schedules": _schedules(change)})
        return
    found = client.request("GET", f"/deployments/name/{flow}/{name}").json()
    path = f"/deployments/{found['id']}"
    if change.mark == "-":
        client.request("DELETE", path)
        return
    body = _body(change)
    if any(detail.startswith(("cron ", "timezone ")) for detail in change.details):
        body["schedules"] = _schedules(change)  # else a person's pause of it would be undone
    client.request("PATCH", path, json=body)


def _body(change: Change) -> dict[str, Any]:
    facts = change.facts
    known = ("run_id", "scheduled") if change.name.startswith(PIPELINE) else tuple(_PARAMETERS)[:2]
    schema = {"title": "Parameters", "type": "object"}
    return {
        "work_pool_name": facts["pool"],
        "work_queue_name": facts["queue"],
        "entrypoint": facts["entrypoint"],
        "version": facts["version"],
        "parameters": facts["parameters"],
        "tags": facts["tags"],
        "job_variables": facts["variables"],
        "pull_steps": None,
        "path": None,
        "enforce_parameter_schema": True,
        "parameter_openapi_schema": schema
        | {"properties": {key: {"title": key, **_PARAMETERS[key]} for key in known}},
    }


def _schedules(change: Change) -> list[dict[str, Any]]:
    if not change.facts["cron"]:
        return []
    when = {"cron": change.facts["cron"], "timezone": change.facts["timezone"]}
    return [{"schedule": when, "active": True, "slug": "millrace"}]


def _automation(client: Any, change: Change) -> None:
    body = {"name": change.name, "enabled": True, **change.facts}
    if change.mark == "+":
        client.request("POST", "/automations/", json=body)
        return
    named = {"automations": {"name": {"any_": [change.name]}}}
    for found in client.request("POST", "/automations/filter", json=named).json():
        path = f"/automations/{found['id']}"
        if change.mark == "-":
            client.request("DELETE", path)
        else:
            client.request("PUT", path, json=body | {"enabled": found["enabled"]})
