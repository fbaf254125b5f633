"""A proving ground whose pools take no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from millrace.engine.assignments import Assignment, Job
from millrace.engine.journal import Journal
from millrace.engine.runs import Runs
from millrace.engine.store import Store
from tests.engine.fleet.ground import Ground


class Instant(Ground):
    """Pools that do a batch the moment they have it: what is left is the desk's own doing.

    Each batch says that it took `seconds` by its load.
    """

    seconds: Callable[[float], float] = staticmethod(lambda load: 0.001)

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
                device="CPU",
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
                pace=job.pace,
                device="CPU",
                seconds=self.seconds(job.load),
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
