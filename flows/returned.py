"""What a flow of this process returned, taken from its state and never from the server.

The server's credential is everybody's, and whoever holds it can give a flow run that is at work a
state whose result is a pickle somewhere. Prefect's `state.result()` would load it.
"""

from __future__ import annotations

from typing import Any

from prefect._internal.result_records import ResultRecord, ResultRecordMetadata
from prefect.client.schemas.objects import State

from millrace.engine.errors import ServerError


def returned(state: State[Any]) -> Any:
    """Returns what the flow returned as its state's data, an exception too.

    Raises ServerError where the state is not the flow's own but points to a result elsewhere.
    """
    if isinstance(state.data, ResultRecordMetadata):
        raise ServerError(
            f"the Prefect server says {state.type.value} of a flow run that was at work here",
            hint="somebody else has set its state; the run's journal tells what was done",
        )
    return state.data.result if isinstance(state.data, ResultRecord) else state.data
