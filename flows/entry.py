"""What a worker starts for a flow run, and the only thing: `python -m millrace.flows.entry`.

The environment names the flow run. Its flow's name and the ids among its parameters decide what is
done; nothing else that the server says of it is used, and no result is ever loaded from there.
"""

from __future__ import annotations

import contextvars
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from millrace.engine import halting
from millrace.engine.errors import NotPermitted
from millrace.engine.worker import CONDUCTOR, FLOW_RUN, REFUSED, Task, read_task

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

_CONTAINERS = "PREFECT__FLOW_RUN_ID"  # by which Prefect's docker and kubernetes workers name it
_HEARTBEAT = "30"  # seconds; an automation for dead flow runs counts them
_POLL_SECONDS = 0.5
_LET_GO_SECONDS = halting.GRACE_SECONDS - 4  # then this process ends itself, before it is killed


def main() -> int:
    """Carries out the flow run that the environment names; returns the exit code.

    0 when the flow ended in a state of its own, good or bad; 2 when the flow run was refused; 143
    when SIGTERM asked this process to end.
    """
    halting.install()
    flow_run = UUID(os.environ.get(FLOW_RUN) or os.environ.get(_CONTAINERS, ""))
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", _HEARTBEAT)
    codes: list[int] = []
    # The engine would take SIGTERM for itself in the main thread, and abort what is half done.
    context = contextvars.copy_context()
    thread = threading.Thread(
        target=lambda: codes.append(context.run(carry_out, flow_run)), daemon=True
    )
    thread.start()
    deadline = None
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        if halting.event().is_set():
            deadline = deadline or time.monotonic() + _LET_GO_SECONDS
            if time.monotonic() > deadline:
                os._exit(halting.ENDED)  # what it started ends with it
    if halting.event().is_set():
        return halting.ENDED
    return codes[0] if codes else 1


def carry_out(flow_run_id: UUID) -> int:
    """Runs our flow for a flow run of the server; returns the exit code."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run_id)
        name = client.read_flow(flow_run.flow_id).name
        try:
            task = read_task(name, flow_run.parameters, conductor=CONDUCTOR in os.environ)
        except NotPermitted as error:
            _refuse(client, flow_run_id, error)
            return REFUSED
    _run(task, flow_run)
    return 0


def _run(task: Task, flow_run: FlowRun) -> None:
    from prefect.exceptions import Abort, Pause
    from prefect.flow_engine import run_flow

    # Without a storage of its own, the server would be asked what the flow's is.
    flow = _flow(task).with_options(result_storage=Path(os.environ.get("TMPDIR", ".")))
    try:
        # The state and not the result: a result that the server's state points to is a pickle.
        run_flow(flow, flow_run=flow_run, parameters=dict(task.parameters), return_type="state")
    except (Abort, Pause):
        return  # the server has ended or paused it meanwhile


def _flow(task: Task) -> Flow[Any, Any]:
    if task.flow == "assignment":
        from millrace.flows.assignment import assignment

        return assignment
    from millrace.flows.pipeline import pipeline

    return pipeline


def _refuse(client: SyncPrefectClient, flow_run: UUID, error: NotPermitted) -> None:
    from prefect.states import Failed

    client.set_flow_run_state(flow_run, Failed(message=f"refused: {error.message}"), force=True)


if __name__ == "__main__":
    sys.exit(main())
