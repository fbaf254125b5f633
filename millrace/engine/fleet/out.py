"""One assignment that is out in a pool: what is open of it, and whether it is still worth waiting
for. Times are of the conductor's own monotonic clock, so that no other host's clock matters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from millrace.engine.errors import ItemError, NotPermitted, UsageError
from millrace.engine.fleet.patience import Patience
from millrace.engine.fleet.pools import Basis
from millrace.engine.jobs import Pending
from millrace.engine.recording.fleet import OVER, PRESUMED

_HURRY_SECONDS = 30.0  # how long it may wait for a worker when the deadline is near
_HASTE_SECONDS = 2.0  # how long one waits before a pool that is down is given up, at the least


@dataclass
class Out:
    """An assignment in a pool. `keys` are all its jobs', `open` those nothing was heard of yet."""

    id: str
    pool: str
    basis: Basis
    price: float  # of its slot, per second
    stage: str
    kind: str
    seconds: float  # predicted
    start: float  # until a machine is there
    sent: float
    keys: frozenset[str]
    open: dict[str, Pending] = field(default_factory=dict)
    flow_run: str = ""
    state: str = ""
    began: float | None = None
    sign: float = 0.0
    progress: dict[str, float] = field(default_factory=dict)  # units, by key
    host: str = ""  # that opened it, by its own word
    egress: float = 0.0  # price of a byte that comes home
    carried: float = 0.0  # what bytes that came home have cost
    ahead: bool = False  # sent before its slot was free, so that it is ready by then
    turned: float = 0.0  # when its state last changed
    noted: bool = False  # that it has begun stands in the journal
    revoked: str = ""
    asked: float = 0.0  # to let go
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.sign = self.sign or self.sent
        self.turned = self.turned or self.sent

    @property
    def over(self) -> bool:
        """True once Prefect says so, or it could not be sent at all.

        What the server only presumes, not having heard of it, is judged by the signs of life in the
        run's journal, until it has been taken back.
        """
        if self.state == PRESUMED:
            return bool(self.revoked)
        return self.state.partition(" ")[0] in OVER or self.error is not None

    def hear(self, now: float, *, working: bool = True, host: str = "") -> None:
        """Something was heard from whoever carries it out; not `working` while it has no slot."""
        self.sign, self.host = now, host or self.host
        if working and self.began is None:
            self.began = now

    def held(self, now: float) -> float:
        """Returns the seconds a slot has been held by now."""
        return 0.0 if self.began is None else now - self.began

    def told(self, state: str, now: float) -> None:
        """The server says in which state its flow run is."""
        if state != self.state:
            self.turned = now
            if state == "RUNNING":
                self.hear(now, working=not self.ahead)
        self.state = state

    def trouble(
        self, now: float, patience: Patience, *, pool_down: str, deadline: float | None
    ) -> tuple[str, str]:
        """Returns (code, reason) for taking it back, empty while it is worth waiting for.

        `deadline` is the seconds left. What has not begun is moved where another pool can take it
        (`moved`), and given up where it is stuck (`stuck`); what runs is judged by its signs of
        life (`silent`) and by its progress (`slow`).
        """
        if self.began is None:
            return self._waiting(now, patience, pool_down, deadline)
        silence = now - self.sign
        if silence > patience.silence:
            return "silent", f"nothing was heard of it for {silence:.0f} s"
        if deadline is not None and self._remaining(now) > max(deadline, 0.0):
            slow = self.held(now) > patience.behind * (self.seconds + patience.slack)
            if slow:
                return "slow", f"{self.pool} is slower than predicted, and the deadline near"
        return "", ""

    def _waiting(
        self, now: float, patience: Patience, pool_down: str, deadline: float | None
    ) -> tuple[str, str]:
        waited = now - self.sent
        if pool_down and waited > _HASTE_SECONDS:
            return "stuck", f"{self.pool}: {pool_down}"
        if self.state == "PENDING" and now - self.turned > patience.claim:
            return "stuck", f"a worker of {self.pool} claimed it and never began"
        if self.state in ("RUNNING", PRESUMED) and now - self.sign > patience.silence:
            return "silent", f"nothing was heard of it for {now - self.sign:.0f} s"
        if self.ahead:
            return "", ""
        limit = patience.start + self.start
        if deadline is not None:
            limit = min(limit, max(_HURRY_SECONDS, deadline - self.seconds))
        if waited > limit and self.state != "PENDING":
            return "moved", f"no worker of {self.pool} took it in {waited:.0f} s"
        return "", ""

    def abandoned(self, now: float, patience: Patience) -> bool:
        """True when it was taken back and its worker does not answer; once for each time to ask."""
        since = max(self.sign, self.asked)
        if not self.revoked or self.over or not self.flow_run or now - since < patience.leave:
            return False
        self.asked = now
        return True

    def reason(self) -> ItemError:
        """Returns why jobs that nothing was heard of are to be done again."""
        if isinstance(self.error, NotPermitted):
            return ItemError("not_permitted", self.error.message, hint=self.error.hint)
        if isinstance(self.error, UsageError):
            return ItemError("undeployed", self.error.message, hint=self.error.hint)
        if self.error is not None:
            words = getattr(self.error, "message", repr(self.error))
            return ItemError("unsent", f"it could not be sent to {self.pool}: {words}")
        if self.state == "FAILED NotPermitted":
            return ItemError("not_permitted", f"a worker of {self.pool} may not read this data")
        if self.state == "FAILED StoreError":
            hint = f"free some room on the machines of {self.pool}"
            return ItemError("worker_store", f"{self.pool} could not write its store", hint=hint)
        return ItemError("crashed_assignment", f"assignment {self.id} in {self.pool} {self._word}")

    def bill(self, now: float) -> dict[str, Any]:
        """Returns the data of the record that closes it: how it ended, what it held and cost."""
        held = self.held(now)
        return {
            "assignment": self.id,
            "pool": self.pool,
            "basis": self.basis,
            "state": "unsent" if self.error else self._word,
            "held": round(held, 3),
            "cost": round(held * self.price + self.carried, 6),
            "egress": round(self.carried, 6),
        }

    @property
    def _word(self) -> str:
        if self.revoked:
            return "revoked"
        return {"COMPLETED": "completed", "CANCELLED": "cancelled"}.get(self.state, "crashed")

    def backlog(self, now: float) -> float:
        """Returns the seconds its slot is predicted to be held from now on."""
        return self._remaining(now)

    def _remaining(self, now: float) -> float:
        """Returns the seconds left by its own speed so far, by the prediction before there is.

        What has gone on past its prediction and shown nothing is expected to take as long again.
        """
        ran = self.held(now)
        done = sum(self._done.values())
        if ran > 0 and done > 0 and self._total > done:
            return ran * (self._total - done) / done
        return self.seconds - ran if ran <= self.seconds else ran

    @property
    def _total(self) -> float:
        return sum(pending.job.units for pending in self.open.values()) + sum(
            units for key, units in self.progress.items() if key not in self.open
        )

    @property
    def _done(self) -> dict[str, float]:
        return self.progress
