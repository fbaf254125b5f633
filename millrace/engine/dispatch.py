"""The desk of a run: what is ready to be done, packed into assignments as this host has room."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from millrace.engine import jobs
from millrace.engine.approvals import Approvals
from millrace.engine.batches import Share, pack
from millrace.engine.errors import ItemError, MillraceError
from millrace.engine.expansion import Cut, Node
from millrace.engine.forecasts import Forecaster
from millrace.engine.hosts.devices import Device, Host
from millrace.engine.jobs import Pending
from millrace.engine.journal import Journal, Record
from millrace.engine.runs import Run

_SETTLE_SECONDS = 0.3  # how long the first items wait for company in their session


@dataclass
class _Active:
    assignment: str
    cores: int
    device: Device
    open: dict[str, Pending]
    thread: threading.Thread
    error: MillraceError | Exception | None = None


class HereDesk:
    """Collects jobs and hands them out. Only the conductor's own thread calls it."""

    def __init__(
        self,
        run: Run,
        host: Host,
        journal: Journal,
        forecaster: Forecaster,
        dispatch: Callable[[str], None],
    ) -> None:
        self._run, self._host, self._journal = run, host, journal
        self._forecaster, self._dispatch = forecaster, dispatch
        self._approvals = Approvals(run, journal)
        self._pending: dict[str, list[Pending]] = {}
        self._active: dict[str, _Active] = {}
        self._count = 0

    @property
    def busy(self) -> bool:
        """True while an assignment is out."""
        return bool(self._active)

    def add(self, node: Node, cut: Cut, share: Share, why: str, *, alone: bool = False) -> None:
        """Puts a batch on the desk."""
        self._put(jobs.batch(node, cut, share, why, self._forecaster, alone=alone))

    def add_join(self, node: Node, cut: Cut, why: str, *, alone: bool = False) -> None:
        """Puts the join of an item's finished batches on the desk."""
        self._put(jobs.join(node, cut, why, self._forecaster, alone=alone))

    def forget(self, stage: str, item: str) -> None:
        """Takes an item's jobs off the desk: the item has failed."""
        self._pending[stage] = [p for p in self._pending.get(stage, []) if p.item != item]

    def hand_out(self, *, more_to_come: bool) -> None:
        """Sends out assignments while this host has cores free, later stages first.

        With `more_to_come`, the first jobs wait a moment, so that small files share a session.
        """
        for stage in reversed(list(self._pending)):
            while (group := self._group(stage)) and (slots := self._slots(group[0])):
                oldest = min(p.since for p in group)
                if more_to_come and time.monotonic() - oldest < _SETTLE_SECONDS:
                    break
                alone = [[n] for n, p in enumerate(group) if p.alone][:slots]
                bins = alone or pack([p.seconds for p in group], slots)
                shares = [[group[n] for n in chosen] for chosen in bins]
                taken = {p.job.key for share in shares for p in share}
                self._pending[stage] = [p for p in self._pending[stage] if p.job.key not in taken]
                for share in shares:
                    self._send(share)

    def answered(self, record: Record) -> None:
        """Strikes off a job that a record tells the end of."""
        active = self._active.get(record.data.get("assignment", ""))
        if active and record.event not in ("opened", "progress", "alive"):
            active.open.pop(record.data["key"], None)

    def ended(self) -> list[str]:
        """Returns the assignments whose carrying out is over."""
        return [name for name, a in self._active.items() if not a.thread.is_alive()]

    def settle(self, ended: Iterable[str]) -> list[tuple[Pending, ItemError]]:
        """Closes assignments; returns the jobs that no record told the end of, and why."""
        lost: list[tuple[Pending, ItemError]] = []
        for name in ended:
            active = self._active.pop(name)
            error = active.error
            if isinstance(error, ItemError):
                reason = error
            elif isinstance(error, MillraceError):
                reason = ItemError("store", error.message, hint=error.hint)
            else:
                what = f"assignment {name} ended early" + (f": {error!r}" if error else "")
                reason = ItemError("lost", what, hint=f"see `millrace logs {self._run.id}`")
            lost += [(pending, reason) for pending in active.open.values()]
        return lost

    def close(self) -> None:
        """Waits until every assignment has ended."""
        for active in self._active.values():
            active.thread.join()

    def leave(self) -> None:
        """Waits as `close` does: what this host has begun, it ends."""
        self.close()

    def _put(self, pending: Pending) -> None:
        self._pending.setdefault(pending.stage, []).append(pending)

    def _group(self, stage: str) -> list[Pending]:
        """Returns the stage's jobs that can share a session with the first of them."""
        pending = [p for p in self._pending[stage] if self._approvals.given(p)]
        if not pending:
            return []
        first = pending[0].fit
        return [p for p in pending if p.fit == first]

    def _slots(self, pending: Pending) -> int:
        used = sum(active.cores for active in self._active.values())
        slots = (self._host.cores - used) // self._cores(pending)
        if pending.device.kind == "cuda":
            busy = sum(active.device.kind == "cuda" for active in self._active.values())
            slots = min(slots, len(self._host.gpus) - busy)
        return max(slots, 0)

    def _cores(self, pending: Pending) -> int:
        return max(1, min(pending.needs.cores, self._host.cores))

    def _send(self, share: list[Pending]) -> None:
        self._count += 1
        first = share[0]
        assignment = jobs.assignment(f"a{self._count:04d}", share)
        assignment.save(self._run.assignments)
        self._journal.write(
            "assigned",
            first.stage,
            assignment=assignment.id,
            keys=len(share),
            device=first.device.name,
            host=self._host.name,
            seconds=round(sum(p.seconds for p in share), 3),
        )
        # Prefect finds the surrounding flow run in the context of the calling thread.
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._carry_out, assignment.id), name=assignment.id
        )
        self._active[assignment.id] = _Active(
            assignment=assignment.id,
            cores=self._cores(first),
            device=first.device,
            open={p.job.key: p for p in share},
            thread=thread,
        )
        thread.start()

    def _carry_out(self, name: str) -> None:
        try:
            self._dispatch(name)
        except Exception as error:  # noqa: BLE001 - whatever it was, the jobs are placed again
            self._active[name].error = error
