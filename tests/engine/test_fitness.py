"""What a host answers when it is asked whether it would carry out an assignment."""

from __future__ import annotations

import platform

from millrace.engine.assignments import Assignment
from millrace.engine.fitness import unfit
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Needs

ORDER = Assignment(
    id="a0001", stage="one", kind="faults.bytes", params={}, needs=Needs(), device=Device(), jobs=()
)


def test_a_host_that_is_passed_over_hands_back_at_once() -> None:
    order = ORDER.model_copy(update={"avoid": ("elsewhere", platform.node())})
    refusal = unfit(order, Device())
    assert refusal is not None
    assert refusal.code == "avoided_host"


def test_another_version_of_millrace_is_refused_by_name() -> None:
    refusal = unfit(ORDER.model_copy(update={"millrace": "0.0.7"}), Device())
    assert refusal is not None
    assert refusal.code == "other_version"
    assert "0.0.7" in refusal.message
