"""What a Prefect server knows of a fleet's pools now: their workers' signs of life, and their load.

The age of a heartbeat is counted by the server's clock, which stamped it: the clocks of workers
and of this host may be wrong without a worker seeming dead. Call inside `recording(...)`.
"""

from __future__ import annotations

import datetime
import email.utils
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from millrace.engine.errors import ServerError
from millrace.engine.fleet.observed import Observed, Worker

_PAGE = 200  # the server's own limit of an answer
_LATE_SECONDS = 15.0  # the server calls a run late after as long
_LEAVING_SECONDS = 120.0  # a worker that is told to end takes half a minute
_GONE_SECONDS = 3600.0  # workers that have been silent for as long are not told of
_ACTIVE = ("RUNNING", "CANCELLING", "PENDING", "SCHEDULED")


def observe(pools: Sequence[str]) -> dict[str, Observed]:
    """Returns each named pool as the server has it; workers carry no card yet.

    `pending` counts all flow runs that wait for a slot, the late ones too; runs planned for later
    are not counted. A pool that the server does not know has `exists` False. Takes two requests and
    one for each pool, and one more for every 200 runs that are under way. Raises ServerError.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    names = list(dict.fromkeys(pools))
    if not names:
        return {}
    try:
        with get_client(sync_client=True) as client:
            return _observed(client, names)
    except (httpx.HTTPError, PrefectException) as error:
        raise ServerError(
            f"the Prefect server does not say how the pools are: {type(error).__name__}",
            hint="`millrace server status` shows which server is asked, and whether it answers",
        ) from error


def _observed(client: Any, names: list[str]) -> dict[str, Observed]:
    chosen = {"work_pools": {"name": {"any_": names}}, "limit": _PAGE}
    answer = client.request("POST", "/work_pools/filter", json=chosen)
    now = _server_time(answer.headers.get("date"))
    found = {pool["name"]: pool for pool in answer.json()}
    load = _load(client, names, now)
    return {
        name: _one(found[name], _workers(client, name, now), load)
        if name in found
        else Observed(name, exists=False)
        for name in names
    }


def _one(pool: dict[str, Any], workers: tuple[Worker, ...], load: Counter[str]) -> Observed:
    name = pool["name"]
    return Observed(
        pool=name,
        paused=bool(pool["is_paused"]),
        status=str(pool.get("status") or "").lower(),
        workers=workers,
        running=load[f"running {name}"],
        pending=load[f"pending {name}"],
        late=load[f"late {name}"],
    )


def _workers(client: Any, pool: str, now: float) -> tuple[Worker, ...]:
    path = {"work_pool_name": pool}
    answer = client.request(
        "POST", "/work_pools/{work_pool_name}/workers/filter", path_params=path, json={}
    )
    told = [(str(w["name"]), _seconds(w.get("last_heartbeat_time"))) for w in answer.json()]
    aged = [Worker(name, max(0.0, now - beat)) for name, beat in told if beat]
    return tuple(sorted((w for w in aged if w.age < _GONE_SECONDS), key=lambda w: (w.age, w.name)))


def _load(client: Any, names: list[str], now: float) -> Counter[str]:
    """Counts flow runs as "<running|pending|late> <pool>"."""
    count: Counter[str] = Counter()
    until = datetime.datetime.fromtimestamp(now + 1, datetime.UTC).isoformat()  # it tells seconds
    body: dict[str, Any] = {
        "work_pools": {"name": {"any_": names}},
        "flow_runs": {
            "state": {"type": {"any_": list(_ACTIVE)}},
            "expected_start_time": {"before_": until},
        },
        "limit": _PAGE,
        "sort": "ID_DESC",
    }
    offset = 0
    while True:
        runs = client.request("POST", "/flow_runs/filter", json=body | {"offset": offset}).json()
        for run in runs:
            count.update(f"{word} {run['work_pool_name']}" for word in _words(run, now))
        if len(runs) < _PAGE:
            return count
        offset += len(runs)


def _words(run: dict[str, Any], now: float) -> tuple[str, ...]:
    if run["state_type"] == "CANCELLING" and now - _turned(run) > _LEAVING_SECONDS:
        return ()  # nobody is there to end it
    if run["state_type"] in ("RUNNING", "CANCELLING"):
        return ("running",)
    if run["state_type"] != "SCHEDULED":
        return ("pending",)
    due = _seconds(run.get("expected_start_time")) or now
    late = run.get("state_name") == "Late" or now - due > _LATE_SECONDS
    return ("pending", "late") if late else ("pending",)


def _turned(run: dict[str, Any]) -> float:
    return _seconds((run.get("state") or {}).get("timestamp"))


def _server_time(header: str | None) -> float:
    """Returns the server's time, to the second; ours where a proxy has taken the header away."""
    if header:
        return email.utils.parsedate_to_datetime(header).timestamp()
    return time.time()


def _seconds(moment: str | None) -> float:
    return datetime.datetime.fromisoformat(moment).timestamp() if moment else 0.0
