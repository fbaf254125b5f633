"""Many batches on a simulated fleet: few assignments, and a desk that costs next to nothing."""

from __future__ import annotations

import time

import pytest

from millrace.engine.fleet.desk import FleetDesk
from tests.engine.fleet.ground import Yard, fleet_text
from tests.engine.fleet.instant import Instant
from tests.engine.runs.conftest import PIPELINE, Workshop

FILES, CUTS = 50, 100


@pytest.mark.slow
def test_five_thousand_batches_make_few_assignments_and_little_work_for_the_desk(
    shop: Workshop, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(FILES):
        shop.file(f"{n}.txt", f"{n}".encode().ljust(1000 * CUTS, b"x"))
    yard.ground = Instant()
    yard.declare(
        fleet_text(*({"name": name, "price": 1.0, "slots": 2} for name in ("a", "b", "c")))
    )
    spent: list[float] = []  # CPU seconds of this thread
    hand_out = FleetDesk.hand_out

    def timed(desk: FleetDesk, *, more_to_come: bool) -> None:
        began = time.thread_time()
        hand_out(desk, more_to_come=more_to_come)
        spent.append(time.thread_time() - began)

    monkeypatch.setattr(FleetDesk, "hand_out", timed)
    # 5 s of work and 0.15 s for an assignment: as 10,000 s are to the usual 300 s.
    outcome = yard.conduct(yard.order(shop.order(PIPELINE)), target=0.15)

    assert outcome.state == "succeeded"
    assert len(yard.events("done")) == FILES * (CUTS + 1)
    assert len(yard.ground.sent) <= 200
    assert sum(spent) < 20  # 2 to 5 as a rule
