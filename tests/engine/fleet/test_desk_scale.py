"""Many batches on a simulated fleet: few assignments, and a desk that costs next to nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from millrace.engine.assignments import Assignment, Job
from millrace.engine.fleet.desk import FleetDesk
from millrace.engine.journal import Journal
from millrace.engine.runs import Runs
from millrace.engine.store import Store
from tests.engine.fleet.ground import Ground, Yard, fleet_text
from tests.engine.runs.conftest import PIPELINE, Workshop

FILES, CUTS = 50, 100


class Instant(Ground):
    """Pools that do a batch the moment they have it: what is left is the desk's own doing."""

    def _work(self, flow_run: str, pool: str, run: str, assignment: str) -> None:
        self._states[flow_run] = "RUNNING"
        mine = Runs(self.home).get(run)
        order = Assignment.read(mine.assignments, assignment)
        store, journal = Store(self.home.store), Journal(mine.journal, assignment)
        folder = mine.scratch / assignment
        folder.mkdir(parents=True)
        for job in order.jobs:
            path = self._made(job, folder, store)
            store.commit(
                job.key,
                path,
                recipe=job.recipe,
                media_type="text/plain",
                units=job.units,
                seconds=0.001,
                device="cpu",
                facts={},
            )
            journal.write(
                "done",
                order.stage,
                job.material.name,
                assignment=assignment,
                key=job.key,
                units=job.units,
                load=job.load,
                seconds=0.001,
                join=bool(job.parts),
            )
        journal.close()
        self._states[flow_run] = "COMPLETED"

    def _made(self, job: Job, folder: Path, store: Store) -> Path:
        path = folder / job.key
        if job.parts:
            parts = [store.find(key) for key in job.parts]
            path.write_bytes(
                b"".join(store.locate(p.output.digest).read_bytes() for p in parts if p)
            )
        else:
            data = job.material.files[0].read_bytes()
            path.write_bytes(data[int(job.span.start) : int(job.span.stop)])
        return path


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
