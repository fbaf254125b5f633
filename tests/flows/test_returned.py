"""What a flow returned is its own; what a server says in its place is not loaded."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from millrace.engine.errors import ServerError


@pytest.mark.slow
def test_a_state_that_points_to_a_pickle_is_an_error_and_loads_nothing(tmp_path: Path) -> None:
    from prefect.client.schemas.objects import State
    from prefect.results import ResultRecord, ResultRecordMetadata
    from prefect.serializers import PickleSerializer

    from millrace.flows.returned import returned

    mark, result = tmp_path / "mark", tmp_path / "result"
    pickled = b"cposix\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    metadata = {"storage_key": str(result), "serializer": {"type": "pickle"}}
    result.write_text(json.dumps({"metadata": metadata, "result": b64encode(pickled).decode()}))
    forged = State.model_validate({"type": "COMPLETED", "data": metadata})
    with pytest.raises(ServerError):
        returned(forged)
    assert not mark.exists()

    own = ResultRecord(
        result={"done": 1},
        metadata=ResultRecordMetadata(storage_key="none", serializer=PickleSerializer()),
    )
    assert returned(State(type="COMPLETED", data=own)) == {"done": 1}
    error = ValueError("bad")
    assert returned(State(type="FAILED", data=error)) is error

    forged.result(raise_on_failure=False, _sync=True)  # as Prefect does it
    assert mark.exists()
