"""Flow runs of the fleet: sent, watched and cancelled through Prefect's client.

Prefect is told two ids for each. A server that is away is told apart from one that refuses: the
former is `ServerError`, and whoever asked tries again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from millrace.engine.errors import ServerError, UsageError

ASSIGNMENT = "millrace-assignment"
PIPELINE = "millrace-pipeline"
RUN = "run"  # the deployment of the pipeline flow that conducts a run already ordered
DELETED = "DELETED"
OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED", DELETED})

UNHEARD = "no heartbeat for"
"""How the message begins with which the server's automation calls a flow run crashed."""

PRESUMED = "CRASHED presumed"
"""What the state of such a flow run is called here. The server says so of live ones too, after it
was away itself; the run's journal knows better."""

_PAGE = 200  # flow runs a request may ask for


class FlowRuns:
    """The flow runs of one server. Safe to use from one thread at a time."""

    def __init__(self) -> None:
        self._deployments: dict[str, UUID] = {}

    def assign(
        self, pool: str, queue: str, run: str, assignment: str, *, capacity: str = ""
    ) -> str:
        """Starts an assignment's flow run in a pool and returns its id; twice is once.

        `capacity` is told to the templates of pools that choose their machines by it.
        Raises ServerError, UsageError when the pool was never deployed.
        """
        return self._start(
            f"{ASSIGNMENT}/{pool}",
            name=f"{run}/{assignment}",
            parameters={"run_id": run, "assignment_id": assignment},
            queue=queue,
            once=f"millrace-{run}-{assignment}",
            variables={"capacity": capacity} if capacity else None,
        )

    def conduct(self, run: str, queue: str, epoch: int) -> str:
        """Starts a conductor for a run and returns the flow run's id. Raises as `assign` does."""
        attempt = 0
        while True:  # one that is over will not conduct; one that waits or runs is enough
            found = self._start(
                f"{PIPELINE}/{RUN}",
                name=run,
                parameters={"run_id": run},
                queue=queue,
                once=f"millrace-{run}-conductor-{epoch}-{attempt}",
            )
            if self.states([found])[found].partition(" ")[0] not in OVER:
                return found
            attempt += 1

    def of_run(self, run: str) -> dict[str, str]:
        """Returns the names of a run's flow runs that are not over, by id: its assignments'
        (`RUN/ASSIGNMENT`), and its conductors' (`RUN`)."""
        from prefect.client.schemas.filters import (
            FlowRunFilter,
            FlowRunFilterName,
            FlowRunFilterState,
            FlowRunFilterStateType,
        )
        from prefect.client.schemas.objects import StateType

        open_ = [state for state in StateType if state.value not in OVER]
        these = FlowRunFilter(
            name=FlowRunFilterName(like_=run),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=open_)),
        )
        found: dict[str, str] = {}
        with _client() as client:
            while True:
                page = client.read_flow_runs(flow_run_filter=these, limit=_PAGE, offset=len(found))
                found |= {str(one.id): str(one.name) for one in page}
                if len(page) < _PAGE:
                    return found

    def states(self, flow_runs: Iterable[str]) -> dict[str, str]:
        """Returns the state's type of each flow run (`RUNNING`, …); DELETED for one it lacks.

        A flow of ours that failed has told the class of its error: `FAILED NotPermitted`.
        """
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        wanted = [UUID(flow_run) for flow_run in flow_runs]
        found = {str(flow_run): DELETED for flow_run in wanted}
        for start in range(0, len(wanted), _PAGE):
            these = FlowRunFilter(id=FlowRunFilterId(any_=wanted[start : start + _PAGE]))
            with _client() as client:
                for flow_run in client.read_flow_runs(flow_run_filter=these, limit=_PAGE):
                    found[str(flow_run.id)] = _word(flow_run.state)
        return found

    def cancel(self, flow_run: str, *, at_once: bool = False) -> None:
        """Asks for the end of a flow run; one that has not begun ends at once.

        With `at_once` it counts as ended though nobody said so: its worker is gone.
        """
        from prefect.client.schemas.objects import State, StateType
        from prefect.exceptions import ObjectNotFound

        with _client() as client, suppress(ObjectNotFound):
            now = client.read_flow_run(UUID(flow_run)).state_type
            if now is None or now.value in OVER:
                return
            begun = now in (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
            wish = StateType.CANCELLING if begun and not at_once else StateType.CANCELLED
            if now != wish:
                client.set_flow_run_state(UUID(flow_run), State(type=wish), force=at_once)

    def _start(
        self,
        deployment: str,
        *,
        name: str,
        parameters: dict[str, Any],
        queue: str,
        once: str,
        variables: dict[str, Any] | None = None,
    ) -> str:
        with _client() as client:
            made = client.create_flow_run_from_deployment(
                self._deployment(client, deployment),
                name=name,
                parameters=parameters,
                work_queue_name=queue,
                idempotency_key=once,
                job_variables=variables,
                tags=["millrace"],
            )
            return str(made.id)

    def _deployment(self, client: Any, name: str) -> UUID:
        from prefect.exceptions import ObjectNotFound

        if name not in self._deployments:
            try:
                self._deployments[name] = client.read_deployment_by_name(name).id
            except ObjectNotFound:
                raise UsageError(
                    f"the server has no deployment {name}",
                    hint="`millrace deploy` makes it",
                ) from None
        return self._deployments[name]


def _word(state: Any) -> str:
    if state is None:
        return ""
    message = state.message or ""
    if state.type.value == "CRASHED" and message.startswith(UNHEARD):
        return PRESUMED
    named = state.type.value == "FAILED" and message.isidentifier()
    return f"{state.type.value} {message}" if named else str(state.type.value)


@contextmanager
def _client() -> Iterator[Any]:
    """Yields a client. What it raises when the server does not answer becomes a ServerError."""
    import httpx
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, RuntimeError) as error:
        raise ServerError(
            f"the Prefect server does not answer: {type(error).__name__}",
            hint="check PREFECT_API_URL and PREFECT_API_AUTH_STRING, or `millrace server status`",
        ) from error
