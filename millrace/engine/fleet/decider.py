"""Deciding where a run's work goes now: the fleet as it was seen, the run's goal and money, and
what each batch went through, put before placement; and what follows from its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from millrace.engine.errors import ItemError, NotPermitted
from millrace.engine.fleet.decisions import decision_record, gist
from millrace.engine.fleet.due import Due
from millrace.engine.fleet.eye import Seen
from millrace.engine.fleet.groups import Groups, pieces_of
from millrace.engine.fleet.out import Out
from millrace.engine.fleet.pools import HOME
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.fleet.snapshot import PROCESS, snapshot, why_down
from millrace.engine.fleet.strikes import Strikes, doubtful
from millrace.engine.forecasts import Forecaster
from millrace.engine.jobs import Pending
from millrace.engine.journal import Journal
from millrace.engine.labels import permits
from millrace.engine.placement.decision import place
from millrace.engine.placement.model import Decision, Group, Piece, Placed, PoolState, Snapshot
from millrace.engine.placement.rules import examine, nowhere
from millrace.engine.retries import Retries

AHEAD_SECONDS = 30.0
"""How long before a slot is free the next assignment is sent: a process takes seconds to start, and
inputs have to come."""

DRY_SECONDS = 600.0
"""How long an offer is passed over after no machine came for it."""

Money = Callable[[float], float | None]
"""Returns the money left to a run whose open assignments will cost so much; None: no limit."""


class Decider:
    """Decides for one run. `pool` names the only pool to use, "" for the whole fleet."""

    def __init__(
        self,
        fleet: Fleet,
        journal: Journal,
        forecaster: Forecaster,
        *,
        due: Due,
        money: Money,
        pool: str = "",
        priority: str = "normal",
    ) -> None:
        self._fleet = fleet
        self._journal = journal
        self.due, self._money, self._pool = due, money, pool
        self._priority = priority
        self._pending: dict[str, int] = {}  # flow runs that wait in each pool, of all runs
        self._groups = Groups(fleet, forecaster)
        self._pieces: dict[str, Piece] = {}
        self._group_of: dict[str, str] = {}  # ids, by key
        self._dry: dict[tuple[str, str], float] = {}  # offers that nobody took up, until when
        self._snapshot = Snapshot(())
        self._others, self._looked = Snapshot(()), -1
        self._said: object = None

    @property
    def currency(self) -> str:
        """The currency of every price and cost."""
        return self._fleet.currency

    def down(self, pool: str, seen: Seen) -> str:
        """Returns why a pool cannot take work now, "" when it can or nobody knows."""
        if seen.observed is None or pool not in seen.observed:
            return ""
        return why_down(self._fleet.pool(pool), seen.observed[pool])

    def state(self, out: Out, seen: Seen) -> str:
        """Returns the state of an assignment's flow run. Where it has begun, or begun and ended
        between two looks, it is the one before while the pool's store is out of reach: what it left
        is not home yet, and would be done again."""
        pool, told = self._fleet.pools.get(out.pool), seen.states.get(out.flow_run, out.state)
        worked = out.began is not None or told == "COMPLETED"
        store = pool.spec.store if pool and worked else HOME
        if store != HOME and seen.unreachable.keys() & {store, ""}:
            return out.state
        return told

    def decide(
        self,
        ready: Sequence[Pending],
        outs: Iterable[Out],
        seen: Seen,
        troubles: Retries,
        strikes: Strikes,
    ) -> Decision:
        """Returns where each ready job goes, and says so in the journal when it is news."""
        now = time.monotonic()
        out = list(outs)
        self._groups.refresh()
        self._snapshot = self._look(out, seen, strikes, now)
        groups: dict[str, Group] = {}
        pieces = []
        for pending in ready:
            group = self._spared(self._group(pending), strikes.tried(pending.job.key))
            groups[group.id] = group
            pieces.append(self._piece(pending, group, troubles))
        at_risk = []
        for pending in (p for one in out if one.basis == "spot" for p in one.open.values()):
            group = self._group(pending)
            groups.setdefault(group.id, group)
            at_risk.append(self._piece(pending, group, troubles))
        self._snapshot = replace(self._snapshot, at_risk=tuple(at_risk))
        committed = sum(o.price * o.backlog(now) for o in out)
        wish = self.due.aim(self._money(committed))
        decision = place(groups, pieces, self._snapshot, wish)
        self._tell(decision, groups)
        return decision

    def refuse(self, decision: Decision, ready: Sequence[Pending]) -> dict[str, ItemError]:
        """Returns, by key, work for GPUs that no pool can do on one and that would do without: it
        is to be cut anew. Raises NotPermitted when some of the rest may go nowhere at all."""
        anew: dict[str, ItemError] = {}
        for pending in ready:
            group = self._group(pending)
            found = decision.verdicts.get(group.id)
            if group.device != "cuda" or pending.needs.gpu != "prefer" or found is None:
                continue
            if nowhere([verdict.rule for verdict in found]):
                why = "; ".join(verdict.reason for verdict in found)
                anew[pending.job.key] = ItemError("no_gpu", f"no GPU can do it: {why}")
        for group_id, (rule, words) in decision.refused.items():
            if any(self._group(p).id == group_id and p.job.key not in anew for p in ready):
                hint = "`millrace plan --on fleet` tells why"
                raise NotPermitted(f"{rule}: {words}", hint=hint)
        return anew

    def _group(self, pending: Pending) -> Group:
        key = pending.job.key  # asked with every decision, for every batch that waits
        if key not in self._group_of:
            self._group_of[key] = self._groups.of(pending.node, pending.cut, pending.label).id
        return self._groups.get(self._group_of[key])

    def _spared(self, group: Group, tried: frozenset[str]) -> Group:
        """Returns the group of batches that some pools could not do, if others can now."""
        if not tried or not any(
            pool.name not in tried and examine(group, pool).fits for pool in self._snapshot.pools
        ):
            return group
        return replace(group, id=f"{group.id}-not-{'-'.join(sorted(tried))}", failed=tried)

    def _piece(self, pending: Pending, group: Group, troubles: Retries) -> Piece:
        key = pending.job.key
        if key not in self._pieces:
            whole = self._group(pending)
            self._pieces |= {p.key: p for p in pieces_of(whole, pending.node, pending.cut)}
        been = troubles.of(key)
        if not been and not group.failed:
            return self._pieces[key]
        return replace(
            self._pieces[key],
            group=group.id,
            losses=been["machine"],
            preemptions=been["preempted"],
            tried=tuple(sorted(group.failed)),
        )

    def _look(self, out: Sequence[Out], seen: Seen, strikes: Strikes, now: float) -> Snapshot:
        backlog: dict[str, float] = {}
        busy: dict[str, int] = {}
        for one in out:
            if one.pool not in self._fleet.pools or (one.revoked and one.began is None):
                continue  # an adopted one's pool is gone; or nobody has it, and nobody will
            busy[one.pool] = busy.get(one.pool, 0) + 1
            slots = max(1, self._fleet.pool(one.pool).slots)
            backlog[one.pool] = backlog.get(one.pool, 0.0) + one.backlog(now) / slots
        self._pending = {name: o.pending for name, o in (seen.observed or {}).items()}
        found = snapshot(
            self._fleet,
            seen.observed,
            backlog=backlog,
            busy=busy,
            avoided=strikes.avoided(now),
            unreachable=set(seen.unreachable),
            at=time.time(),
        )
        pools = [self._wetted(p, now) for p in found.pools if self._pool in ("", p.name)]
        return replace(found, pools=tuple(doubtful(pools, strikes.doubted(now))))

    def dried_up(self, pool: str, basis: str, now: float) -> bool:
        """Notes that no machine of a basis came; True when the pool has others to ask for."""
        if pool not in self._fleet.pools:
            return True  # an adopted one's pool is declared no more: any other will do
        others = {o.basis for o in self._fleet.offers(pool)} - {basis}
        if others:
            self._dry[pool, basis] = now + DRY_SECONDS
        return any(self._dry.get((pool, other), 0.0) <= now for other in others)

    def _wetted(self, pool: PoolState, now: float) -> PoolState:
        """Returns a pool without the offers that nobody took up lately, unless it has no others."""
        there = tuple(o for o in pool.offers if self._dry.get((pool.name, o.basis), 0.0) <= now)
        return replace(pool, offers=there) if there else pool

    def free(self, outs: Iterable[Out], now: float) -> tuple[dict[str, int], set[str]]:
        """Returns how many assignments each pool can take, and which pools take them ahead.

        Where every slot is taken but will soon be free, the next assignment is sent before: its
        process starts and its inputs come while the one before it ends. Where others hold the
        slots, one waits in the pool's queue, so that the server can let the urgent go first.
        """
        free = {pool.name: pool.free for pool in self._snapshot.pools}
        ahead = set()
        every = list(outs)
        out = [one for one in every if not one.revoked]
        held = {one.pool for one in every if one.revoked and one.began is not None}
        for pool in self._snapshot.pools:
            if pool.free or not pool.up or self._fleet.pool(pool.name).spec.type != PROCESS:
                continue
            mine = [one for one in out if one.pool == pool.name]
            soon = [o for o in mine if o.began is not None and o.backlog(now) <= AHEAD_SECONDS]
            waiting = [one for one in mine if one.began is None]
            if self._priority == "low" and self._pending.get(pool.name, 0) > len(waiting):
                continue  # others wait there, and go first
            if pool.name not in held and self._queues(pool, mine) and not soon and not waiting:
                free[pool.name] = 1
                ahead.add(pool.name)
            if len(soon) > len(waiting):
                free[pool.name] = len(soon) - len(waiting)
                ahead.add(pool.name)
        return free, ahead

    def _queues(self, pool: PoolState, mine: Sequence[Out]) -> bool:
        """True when the run may have work wait for a slot that others hold."""
        if self._priority == "high":
            return len(mine) < pool.slots
        return self._priority == "normal" and not mine

    def out(self, name: str, jobs: Sequence[Pending], placed: Sequence[Placed], now: float) -> Out:
        """Returns the record of an assignment that is about to be sent."""
        first, where = jobs[0], placed[0]
        pool = next(p for p in self._snapshot.pools if p.name == where.pool)
        offer = next(o for o in pool.offers if o.basis == where.basis)
        return Out(
            id=name,
            pool=where.pool,
            basis=where.basis,
            price=offer.price,
            stage=first.stage,
            kind=first.node.stage.kind,
            seconds=sum(p.seconds for p in placed),
            start=pool.start if pool.cold else 0.0,
            egress=pool.egress,
            sent=now,
            keys=frozenset(p.key for p in placed),
        )

    def elsewhere(
        self, out: Out, outs: Iterable[Out], seen: Seen, strikes: Strikes, now: float
    ) -> bool:
        """True when another pool that is up could take over what is left of an assignment now."""
        left = list(out.open.values())
        if not left:
            return False
        if self._looked != seen.turn:  # asked again and again while something is in trouble
            self._looked = seen.turn
            self._others = self._look(list(outs), seen, strikes, now)
        return any(
            pool.up
            and pool.reachable
            and pool.free
            and pool.name != out.pool
            and out.kind not in pool.avoided
            and pool.device == left[0].device.kind
            and permits(min(pool.clearance, pool.store_clearance), max(p.label for p in left))
            for pool in self._others.pools
        )

    def _tell(self, decision: Decision, groups: Mapping[str, Group]) -> None:
        """Writes the decision down when it differs from the last one in more than numbers."""
        news = gist(decision, groups)
        if news != self._said:
            self._said = news
            self._journal.write("placed", **decision_record(decision, self._snapshot, groups))
        if decision.late:
            self.due.missed()
