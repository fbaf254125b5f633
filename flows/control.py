"""What a worker says to the Prefect server, and the little that it takes from the answers.

Answers are read as plain JSON: ids, names of queues, words for states. They never become Prefect's
own models, which resolve serializers and storage by names that stand in them.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

from httpx import HTTPStatusError
from prefect.client.orchestration import PrefectClient

from millrace.engine.errors import UsageError

_PAGE = 200  # the server's own limit of an answer

Word = Literal["PENDING", "CRASHED", "CANCELLED"]


class Control:
    """The work pool of a worker, on the server. Every method may raise httpx's errors."""

    def __init__(self, client: PrefectClient, pool: str) -> None:
        self._client, self._pool = client, pool
        self._ahead = 0.0  # of the server's clock, seconds

    async def check(self, kind: str) -> None:
        """Returns when the pool is there and of this type; raises UsageError if not."""
        pool = await self._ask("GET", "/work_pools/{name}", name=self._pool)
        if pool is None:
            raise UsageError(
                f"the Prefect server has no work pool {self._pool!r}",
                hint="`millrace deploy` makes the pools that pools.yaml declares",
            )
        if pool["type"] != kind:
            raise UsageError(
                f"the work pool {self._pool!r} is of another type than {kind}",
                hint="docs/threat-model.md says how workers of other types are locked down",
            )

    async def beat(self, worker: str, seconds: float) -> None:
        """Says that a worker lives, and will say so again in `seconds`."""
        body = {"name": worker, "heartbeat_interval_seconds": seconds}
        await self._ask("POST", "/work_pools/{name}/workers/heartbeat", body, name=self._pool)

    async def leave(self, worker: str) -> None:
        """Says that a worker is gone, so that nobody waits for its next sign of life."""
        path = "/work_pools/{name}/workers/{worker}"
        await self._ask("DELETE", path, name=self._pool, worker=worker)

    async def queues(self) -> list[str]:
        """Returns the names of the pool's queues."""
        body = {"limit": _PAGE}
        found = await self._ask("POST", "/work_pools/{name}/queues/filter", body, name=self._pool)
        return [str(queue["name"]) for queue in found or ()]

    async def waiting(self, queues: Sequence[str], most: int, by: float) -> list[UUID]:
        """Returns at most so many flow runs that wait in these queues, the first ones first.

        Their time comes in `by` seconds at the latest, by the server's clock: a worker whose own is
        slow is not late.
        """
        by += time.time() + self._ahead
        body = {
            "work_queue_names": list(queues),
            "scheduled_before": datetime.datetime.fromtimestamp(by, datetime.UTC).isoformat(),
            "limit": most,
        }
        path = "/work_pools/{name}/get_scheduled_flow_runs"
        found = await self._ask("POST", path, body, name=self._pool)
        return [UUID(one["flow_run"]["id"]) for one in found or ()]

    async def propose(
        self, flow_run: UUID, word: Word, message: str, *, force: bool = False
    ) -> bool:
        """Proposes a state for a flow run; True when it has it now, False when the server, because
        another has claimed it or it is over, does not agree."""
        body = {"state": {"type": word, "message": message}, "force": force}
        answer = await self._ask("POST", "/flow_runs/{id}/set_state", body, id=str(flow_run))
        return bool(answer and answer["status"] == "ACCEPT")

    async def states(self, flow_runs: Iterable[UUID]) -> dict[UUID, str]:
        """Returns the type of each flow run's state; those that were deleted are not in it."""
        body = {"flow_runs": {"id": {"any_": [str(f) for f in flow_runs]}}, "limit": _PAGE}
        found = await self._ask("POST", "/flow_runs/filter", body)
        return {UUID(run["id"]): str(run["state_type"]) for run in found}

    async def _ask(
        self, method: Literal["GET", "POST", "DELETE"], path: Any, body: Any = None, **words: str
    ) -> Any:
        """Returns the answer to a request, None when what it is about is not there."""
        try:
            answer = await self._client.request(method, path, path_params=words, json=body)
        except HTTPStatusError as error:
            if error.response.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise
        if stamped := answer.headers.get("date"):
            self._ahead = parsedate_to_datetime(stamped).timestamp() - time.time()
        return answer.json() if answer.content else None
