"""The desk of a run on the fleet: what is ready, placed anew whenever the world has changed.

Nothing is decided for good. Whatever is ready is placed over the whole fleet, what a pool can take
now is sent, and the rest is placed again with the next look. What is out is watched, and taken back
when waiting for it is no longer worth it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from millrace.engine import jobs
from millrace.engine.approvals import Approvals
from millrace.engine.batches import Share, pack
from millrace.engine.errors import ItemError, NotPermitted
from millrace.engine.expansion import Cut, Node
from millrace.engine.fleet.decider import Decider
from millrace.engine.fleet.eye import Eye
from millrace.engine.fleet.out import Out
from millrace.engine.fleet.sending import Sender
from millrace.engine.fleet.strikes import Strikes
from millrace.engine.forecasts import Forecaster
from millrace.engine.jobs import Pending
from millrace.engine.journal import Journal, Record
from millrace.engine.placement.model import Decision, Placed
from millrace.engine.retries import Retries, trouble
from millrace.engine.runs import Run

_SETTLE_SECONDS = 1.0  # how long the first items wait for company
_REST_SECONDS = 0.5  # between two decisions
_AGAIN_SECONDS = 2.0  # after which the same work is placed again


@dataclass
class _Ready:
    """What is on the desk, by key, and what each of it went through."""

    jobs: dict[str, Pending] = field(default_factory=dict)
    troubles: Retries = field(default_factory=Retries)
    changed: bool = False

    def put(self, pending: Pending) -> None:
        self.jobs[pending.job.key] = pending
        self.changed = True

    def take(self, key: str) -> Pending | None:
        return self.jobs.pop(key, None)


class FleetDesk:
    """Collects jobs and places them on the fleet. Only the conductor's own thread calls it."""

    def __init__(
        self,
        run: Run,
        journal: Journal,
        forecaster: Forecaster,
        *,
        decider: Decider,
        sender: Sender,
        eye: Eye,
        stages: Sequence[str],
        target: float,
    ) -> None:
        self._run, self._journal, self._forecaster = run, journal, forecaster
        self._decider, self._sender, self._eye = decider, sender, eye
        self._stages, self._target = list(stages), target
        self._ready = _Ready()
        self._out: dict[str, Out] = {}
        self._back: list[tuple[Pending, ItemError]] = []  # to be told by the next `settle`
        self._orphans: dict[str, Out] = {}  # adopted, by key: their jobs come onto the desk yet
        self._twins: dict[str, list[Pending]] = {}
        self._strikes = Strikes()
        self._approvals = Approvals(run, journal)
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="send")
        self._turn = -1
        self._decided = 0.0
        self._stopped = False
        self._count = 0

    # -- what comes onto the desk --------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True while something is out that is still wanted."""
        return any(not out.revoked for out in self._out.values()) or bool(self._back)

    def flow_runs(self) -> list[str]:
        """Returns the flow runs that are out; any thread may ask."""
        return [out.flow_run for out in list(self._out.values()) if out.flow_run]

    def names(self) -> dict[str, list[str]]:
        """Returns the assignments that are out, by pool; any thread may ask."""
        found: dict[str, list[str]] = {}
        for out in list(self._out.values()):
            found.setdefault(out.pool, []).append(out.id)
        return found

    def adopt(self, outs: Iterable[Out], count: int) -> None:
        """Takes over assignments that an earlier conductor has sent; it sent `count` in all."""
        self._count = count
        for out in outs:
            self._out[out.id] = out
            self._orphans |= dict.fromkeys(out.keys, out)

    def add(self, node: Node, cut: Cut, share: Share, why: str, *, alone: bool = False) -> None:
        """Puts a batch on the desk."""
        self._put(jobs.batch(node, cut, share, why, self._forecaster, alone=alone))

    def add_join(self, node: Node, cut: Cut, why: str, *, alone: bool = False) -> None:
        """Puts the join of an item's finished batches on the desk."""
        self._put(jobs.join(node, cut, why, self._forecaster, alone=alone))

    def forget(self, stage: str, item: str) -> None:
        """Takes an item's jobs off the desk: the item has failed."""
        for key, pending in list(self._ready.jobs.items()):
            if (pending.stage, pending.item) == (stage, item):
                del self._ready.jobs[key]

    def _put(self, pending: Pending) -> None:
        key = pending.job.key
        orphanage = self._orphans.pop(key, None)
        if orphanage and not orphanage.over and not orphanage.revoked:
            orphanage.open[key] = pending
        elif key in self._ready.jobs or any(key in out.open for out in self._out.values()):
            self._twins.setdefault(key, []).append(pending)  # the same bytes under another name
        else:
            self._ready.put(pending)

    # -- what is heard -------------------------------------------------------------------------

    def answered(self, record: Record) -> None:
        """Takes in what a record tells of an assignment or of one of its jobs."""
        now = time.monotonic()
        out = self._out.get(str(record.data.get("assignment", "")))
        if out:
            out.hear(now, working=record.event != "queued")
        key = str(record.data.get("key", ""))
        if not key:
            return
        if record.event == "progress":
            if out:
                out.progress[key] = float(record.data.get("units", 0.0))
            return
        self._close_job(key)
        if not out:
            return
        if record.event == "done":
            out.progress[key] = float(record.data.get("units", 0.0))
            self._strikes.done(out.pool, out.kind, key, now)
        elif record.event == "lost":
            self._note_trouble(out, key, record)

    def _close_job(self, key: str) -> None:
        """A job is answered, whoever was to do it: a stale worker may have been quicker."""
        self._ready.take(key)
        self._orphans.pop(key, None)
        for out in self._out.values():
            out.open.pop(key, None)
        twin = ItemError("moved", "it waited for another file with the same content")
        self._back += [(pending, twin) for pending in self._twins.pop(key, ())]

    def _note_trouble(self, out: Out, key: str, record: Record) -> None:
        code, fault = str(record.data.get("code", "")), str(record.data.get("fault", ""))
        what = trouble(code, fault=fault)
        self._ready.troubles.exhausted(key, what)
        if what == "opinion":
            self._strikes.failed(out.pool, key)
        elif code in ("other_version", "other_device", "not_permitted", "tool_missing"):
            self._strikes.avoid(out.pool, out.kind, time.monotonic())

    def ended(self) -> list[str]:
        """Returns the assignments that are over, or no longer worth waiting for."""
        seen, now = self._eye.seen, time.monotonic()
        if self._run.stopping and not self._stopped:
            self._stop()
        for out in self._out.values():
            state = seen.states.get(out.flow_run, out.state)
            if state == "RUNNING" and out.state != state:
                out.hear(now, working=not out.ahead)
            out.state = state
        return [name for name, out in self._out.items() if out.over or self._lost(out, now)]

    def _lost(self, out: Out, now: float) -> bool:
        if out.revoked or not out.flow_run:
            return False
        if self._eye.seen.away or self._run.stopping:
            out.sign = max(out.sign, now - 30.0)  # who cannot be asked is not silent
        down = self._decider.down(out.pool, self._eye.seen)
        left = self._decider.seconds_left()
        code, why = out.trouble(now, pool_down=down, deadline=left)
        if not code:
            return False
        if code == "moved" and out.began is not None and not self._decider.elsewhere(out):
            return False
        out.revoked = why
        self._journal.write("moved", out.stage, assignment=out.id, pool=out.pool, why=why)
        self._back += [(pending, ItemError(code, why)) for pending in out.open.values()]
        for key in out.open:
            self._ready.troubles.exhausted(key, trouble(code))
        out.open.clear()
        self._threads.submit(self._sender.take_back, out)
        return True

    def settle(self, ended: Iterable[str]) -> list[tuple[Pending, ItemError]]:
        """Closes assignments; returns the jobs that no record told the end of, and why."""
        now = time.monotonic()
        for name in ended:
            out = self._out[name]
            if not out.over:
                continue
            del self._out[name]
            reason = out.reason()
            if out.open and reason.code == "not_permitted":
                self._strikes.avoid(out.pool, out.kind, now)
            for key, pending in out.open.items():
                self._ready.troubles.exhausted(key, trouble(reason.code))
                self._back.append((pending, reason))
            self._journal.write("closed", out.stage, **out.bill(now))
            self._ready.changed = True
        back, self._back = self._back, []
        return back

    # -- what is sent --------------------------------------------------------------------------

    def hand_out(self, *, more_to_come: bool) -> None:
        """Places what is ready, and sends what the pools can take now, later stages first."""
        now = time.monotonic()
        ready = [p for p in self._ready.jobs.values() if self._approvals.given(p)]
        if self._run.stopping or not ready or not self._due(now):
            return
        if more_to_come and now - min(p.since for p in ready) < _SETTLE_SECONDS:
            return
        self._turn, self._decided, self._ready.changed = self._eye.seen.turn, now, False
        seen = self._eye.seen
        decision = self._decider.decide(
            ready, self._out.values(), seen, self._ready.troubles, self._strikes
        )
        self._refuse(decision)
        self._send(decision)
        self._give_up(decision)

    def _due(self, now: float) -> bool:
        if now - self._decided < _REST_SECONDS or self._eye.seen.turn == 0:
            return False
        fresh = self._eye.seen.turn != self._turn
        return self._ready.changed or (fresh and now - self._decided >= _AGAIN_SECONDS)

    def _refuse(self, decision: Decision) -> None:
        """Raises NotPermitted when some of the work may go nowhere at all."""
        for rule, words in decision.refused.values():
            raise NotPermitted(f"{rule}: {words}", hint="`millrace plan --on fleet` tells why")

    def _give_up(self, decision: Decision) -> None:
        """Fails what waits for something that will not come: money, or a pool past the deadline."""
        for key, why in self._decider.hopeless(decision, anything_out=bool(self._out)).items():
            pending = self._ready.take(key)
            if pending:
                self._back.append((pending, why))

    def _send(self, decision: Decision) -> None:
        lots: dict[tuple[str, str, str], list[Placed]] = {}
        for placed in decision.placed:
            pending = self._ready.jobs[placed.key]
            rank = len(self._stages) - self._stages.index(pending.stage)
            lots.setdefault((placed.pool, f"{rank:04d}", placed.basis), []).append(placed)
        free, full = self._decider.free(self._out.values(), time.monotonic())
        for (pool, _, _), lot in sorted(lots.items()):
            while lot and free.get(pool, 0) > 0:
                lot = self._send_one(lot, lanes=free[pool], ahead=pool in full)
                free[pool] -= 1

    def _send_one(self, lot: list[Placed], *, lanes: int, ahead: bool) -> list[Placed]:
        """Sends as much of a lot as makes one assignment for one of `lanes`; returns the rest."""
        first = self._ready.jobs[lot[0].key]
        alike = [n for n, p in enumerate(lot) if self._ready.jobs[p.key].fit == first.fit]
        seconds = [lot[n].seconds for n in alike]
        chosen = [0] if first.alone else pack(seconds, lanes, self._target)[0]
        mine = [lot[alike[n]] for n in chosen]
        taken = [pending for p in mine if (pending := self._ready.take(p.key))]
        self._count += 1
        name = f"a{self._count:04d}"
        out = self._decider.out(name, taken, mine, time.monotonic())
        out.ahead = ahead
        self._out[name] = out
        order = jobs.assignment(name, taken)
        # The sort of device is part of the keys: a worker must not choose it anew.
        gpu = "require" if order.device.kind == "cuda" else "no"
        order = order.model_copy(
            update={
                "needs": order.needs.model_copy(update={"gpu": gpu}),
                "pool": out.pool,
                "basis": out.basis,
                "epoch": self._run.epoch,
            }
        )
        self._journal.write(
            "assigned",
            out.stage,
            assignment=name,
            keys=len(taken),
            device=first.device.name,
            host=out.pool,
            pool=out.pool,
            basis=out.basis,
            price=round(out.price * 3600, 6),
            currency=self._decider.currency,
            seconds=round(out.seconds, 3),
            cost=round(sum(p.cost for p in mine), 6),
        )
        self._threads.submit(self._sender.send, out, order)
        keys = {p.key for p in mine}
        return [p for p in lot if p.key not in keys]

    # -- the end -------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._stopped = True
        for out in self._out.values():
            self._threads.submit(self._sender.stop, out)

    def close(self) -> None:
        """Stops watching. What is out and still wanted goes on; the next conductor adopts it."""
        self._threads.shutdown(wait=True)
        self._eye.close()
        self._sender.clean(over=not self._out)
