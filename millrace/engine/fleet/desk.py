"""The desk of a run on the fleet: what is ready, placed anew whenever the world has changed.

Nothing is decided for good. Whatever is ready is placed over the whole fleet, what a pool can take
now is sent, and the rest is placed again with the next look. What is out is watched, and taken back
when waiting for it is no longer worth it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from millrace.engine import jobs
from millrace.engine.approvals import Approvals
from millrace.engine.batches import Share
from millrace.engine.errors import ItemError
from millrace.engine.expansion import Cut, Node
from millrace.engine.fleet import lots
from millrace.engine.fleet.decider import Decider
from millrace.engine.fleet.eye import Eye
from millrace.engine.fleet.out import Out
from millrace.engine.fleet.patience import Patience
from millrace.engine.fleet.sending import Sender
from millrace.engine.fleet.shelf import Shelf
from millrace.engine.fleet.strikes import Strikes
from millrace.engine.forecasts import Forecaster
from millrace.engine.jobs import Pending
from millrace.engine.journal import Journal, Record
from millrace.engine.placement.model import Decision, Placed
from millrace.engine.retries import trouble
from millrace.engine.runs import Run

_SETTLE_SECONDS = 1.0  # how long the first items wait for company
_REST_SECONDS = 0.5  # between two decisions, and
_REST = 4.0  # so many times as long as the last one took
_AGAIN_SECONDS = 2.0  # after which the same work is placed again, and
_AGAIN = 20.0  # so many times as long as the last one took


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
        patience: Patience,
    ) -> None:
        self._run, self._journal, self._forecaster = run, journal, forecaster
        self._decider, self._sender, self._eye = decider, sender, eye
        self._stages, self._target, self._patience = list(stages), target, patience
        self._epoch = run.epoch
        self._shelf = Shelf()
        self._out: dict[str, Out] = {}
        self._back: list[tuple[Pending, ItemError]] = []  # to be told by the next `settle`
        self._strikes = Strikes()
        self._hurried: set[str] = set()  # moved because they were slow
        self._approvals = Approvals(run, journal)
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="send")
        self._turn, self._decided, self._took = -1, 0.0, 0.0
        self._stopped, self._count = False, 0

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
        """Takes over assignments that an earlier conductor has sent; it sent `count` in all.

        One that it wrote down and perhaps never sent is sent again: twice is once.
        """
        self._count = count
        for out in outs:
            self._out[out.id] = out
            if out.revoked:
                self._threads.submit(self._sender.take_back, out)
                continue
            self._shelf.adopt(out)
            if not out.flow_run:
                self._threads.submit(self._sender.send_again, out)

    def add(self, node: Node, cut: Cut, share: Share, why: str, *, alone: bool = False) -> None:
        """Puts a batch on the desk."""
        self._shelf.put(jobs.batch(node, cut, share, why, self._forecaster, alone=alone))

    def add_join(self, node: Node, cut: Cut, why: str, *, alone: bool = False) -> None:
        """Puts the join of an item's finished batches on the desk."""
        self._shelf.put(jobs.join(node, cut, why, self._forecaster, alone=alone))

    def forget(self, stage: str, item: str) -> None:
        """Takes an item's jobs off the desk: the item has failed."""
        self._shelf.forget(stage, item)

    # -- what is heard -------------------------------------------------------------------------

    def answered(self, record: Record) -> None:
        """Takes in what a record tells of an assignment or of one of its jobs."""
        now = time.monotonic()
        out = self._out.get(str(record.data.get("assignment", "")))
        if out:
            said = record.data.get("host", "") if record.event == "opened" else ""
            out.hear(now, working=record.event != "queued", host=str(said))
            self._note_begin(out)
        key = str(record.data.get("key", ""))
        if out and record.event in ("progress", "done"):
            out.progress[key] = float(record.data.get("units", 0.0))
        if not key or record.event == "progress":
            return
        twin = ItemError("moved", "it waited for another file with the same content")
        self._back += [(pending, twin) for pending in self._shelf.answered(key)]
        if not out:
            return
        if record.event == "done":
            out.carried += float(record.data.get("bytes", 0)) * out.egress
            self._strikes.done(out.pool, out.kind, key, now, out.host)
        elif record.event == "lost":
            code = str(record.data.get("code", ""))
            what = trouble(code, fault=str(record.data.get("fault", "")))
            self._shelf.troubles.exhausted(key, what)
            self._strikes.lost(out.pool, out.kind, key, what, code, now, out.host)

    def _note_begin(self, out: Out) -> None:
        if out.began is not None and not out.noted:
            out.noted = True
            self._journal.write("begun", out.stage, assignment=out.id)

    def ended(self) -> list[str]:
        """Returns the assignments that are over, or no longer worth waiting for."""
        seen, now = self._eye.seen, time.monotonic()
        if self._run.stopping and not self._stopped:
            self._stop()
        self._decider.due.heed()
        for out in self._out.values():
            out.told(self._decider.state(out, seen), now)
            self._note_begin(out)
            if out.abandoned(now, self._patience):
                self._threads.submit(self._sender.let_go, out)
        return [name for name, out in self._out.items() if out.over or self._lost(out, now)]

    def _lost(self, out: Out, now: float) -> bool:
        if out.revoked or not out.flow_run:
            return False
        seen = self._eye.seen
        if seen.away:
            out.sign = max(out.sign, now - self._patience.silence / 3)  # nobody could be asked
        down, left = self._decider.down(out.pool, seen), self._decider.due.left()
        code, why = out.trouble(now, self._patience, pool_down=down, deadline=left)
        if not code:
            return False
        # Where nobody came, the pool's other machines may; else only another pool is better.
        others = code == "moved" and self._decider.dried_up(out.pool, out.basis, now)
        if code in ("moved", "slow") and not others and not self._better(out, code, now):
            return False
        out.revoked, out.asked = why, now
        self._journal.write("moved", out.stage, assignment=out.id, pool=out.pool, why=why)
        self._take_back(out, ItemError(code, why), now)
        self._threads.submit(self._sender.take_back, out)
        return True

    def _take_back(self, out: Out, why: ItemError, now: float) -> None:
        for pending in self._shelf.take_back(out):
            key, what = pending.job.key, trouble(why.code)
            self._shelf.troubles.exhausted(key, what)
            again = what == "machine" and self._shelf.troubles.of(key)["machine"] > 1
            if again or why.code == "worker_store":
                self._strikes.failed(out.pool, out.kind, key, now)  # another shows whose fault
            self._back.append((pending, why))

    def _better(self, out: Out, code: str, now: float) -> bool:
        """True when moving it is better than waiting; what was slow twice is slow everywhere."""
        if code == "slow" and self._hurried & out.open.keys():
            return False
        if not self._decider.elsewhere(out, self._out.values(), self._eye.seen, self._strikes, now):
            return False
        self._hurried |= out.open.keys() if code == "slow" else set()
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
            for key in out.open:
                self._strikes.lost(out.pool, out.kind, key, "moved", reason.code, now)
            self._take_back(out, reason, now)
            self._journal.write("closed", out.stage, **out.bill(now))
            self._shelf.changed = True
        back, self._back = self._back, []
        return back

    def hand_out(self, *, more_to_come: bool) -> None:
        """Places what is ready, and sends what the pools can take now, later stages first.

        Raises NotPermitted when some of the work may go nowhere at all.
        """
        now = time.monotonic()
        ready = [p for p in self._shelf.jobs.values() if self._approvals.given(p)]
        if self._run.stopping or not ready or not self._due(now):
            return
        if more_to_come and now - min(p.since for p in ready) < _SETTLE_SECONDS:
            return
        seen = self._eye.seen
        self._turn, self._decided, self._shelf.changed = seen.turn, now, False
        troubles = self._shelf.troubles
        decision = self._decider.decide(ready, self._out.values(), seen, troubles, self._strikes)
        self._hand_back(self._decider.refuse(decision, ready))
        self._send(decision)
        self._hand_back(self._decider.due.hopeless(decision, anything_out=bool(self._out)))
        self._took = time.monotonic() - now

    def _due(self, now: float) -> bool:
        rested = now - self._decided
        if rested < max(_REST_SECONDS, _REST * self._took) or self._eye.seen.turn == 0:
            return False
        again = rested >= max(_AGAIN_SECONDS, _AGAIN * self._took)
        return self._shelf.changed or (again and self._eye.seen.turn != self._turn)

    def _hand_back(self, given_up: Mapping[str, ItemError]) -> None:
        """Gives back what no pool is going to do as it is."""
        for key, why in given_up.items():
            if pending := self._shelf.take(key):
                self._back.append((pending, why))

    def _send(self, decision: Decision) -> None:
        free, full = self._decider.free(self._out.values(), time.monotonic())
        for lot in lots.by_pool(decision.placed, self._shelf.jobs, self._stages):
            pool, rest = lot[0].pool, lot
            while rest and free.get(pool, 0) > 0:
                mine, rest = lots.share(
                    rest,
                    self._shelf.jobs,
                    lanes=free[pool],
                    target=self._target,
                    losses=lambda key: self._shelf.troubles.of(key)["machine"],
                )
                self._send_one(mine, ahead=pool in full)
                free[pool] -= 1

    def _send_one(self, placed: list[Placed], *, ahead: bool) -> None:
        """Sends an assignment."""
        taken = [pending for p in placed if (pending := self._shelf.take(p.key))]
        self._count += 1
        name = f"a{self._count:04d}" if self._epoch <= 1 else f"a{self._epoch}{self._count:05d}"
        out = self._decider.out(name, taken, placed, time.monotonic())
        out.ahead = ahead
        self._out[name] = out
        self._shelf.hand(out, taken)
        told = lots.told(out, taken, placed, self._decider.currency)
        self._journal.write("assigned", out.stage, **told)
        there = self._eye.seen.hosts(out.pool)
        avoid = self._strikes.hosts.avoid(out.pool, out.kind, out.keys, there, out.sent)
        self._threads.submit(self._sender.send, out, lots.order(out, taken, self._epoch, avoid))

    def _stop(self) -> None:
        self._stopped = True
        for out in self._out.values():
            self._threads.submit(self._sender.stop, out)

    def close(self) -> None:
        """Stops watching. What is out and still wanted goes on; the next conductor adopts it."""
        self._threads.shutdown(wait=True)
        self._eye.close()
        now = time.monotonic()
        for out in [out for out in self._out.values() if out.revoked or self._run.stopping]:
            out.told(self._eye.seen.states.get(out.flow_run, out.state), now)
            self._journal.write("closed", out.stage, **out.bill(now))
            del self._out[out.id]
        self._sender.clean(over=not self._out)

    def leave(self) -> None:
        """Stops watching and leaves everything as it is: another conducts the run from now on."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._eye.close()
