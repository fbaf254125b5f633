"""Pools that fail what others can do are avoided for a while. Pure: the caller has the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from millrace.engine.fleet.hosts import Hosts
from millrace.engine.placement.model import PoolState
from millrace.engine.retries import Trouble

STRIKES = 3
AVOIDED_SECONDS = 900.0
DOUBT_SECONDS = 60.0
_ITS_OWN = ("other_version", "other_device", "not_permitted", "tool_missing", "undeployed")


class Strikes:
    """Remembers which pool failed which batch, and what became of it elsewhere."""

    def __init__(self) -> None:
        self._failed: dict[str, set[str]] = {}  # pools by key
        self._strikes: dict[tuple[str, str], set[str]] = {}  # keys by pool and kind
        self._doubts: dict[tuple[str, str], dict[str, float]] = {}  # when, by pool, kind and key
        self._until: dict[tuple[str, str], float] = {}
        self.hosts = Hosts()

    def failed(self, pool: str, kind: str, key: str, now: float) -> None:
        """A pool could not do a batch; whose fault that is shows elsewhere."""
        self._failed.setdefault(key, set()).add(pool)
        for doubts in self._doubts.values():
            doubts.pop(key, None)  # who fails what others failed is not to be blamed alone
        if len(self._failed[key]) == 1:
            self._doubts.setdefault((pool, kind), {})[key] = now

    def lost(
        self, pool: str, kind: str, key: str, what: Trouble, code: str, now: float, host: str = ""
    ) -> None:
        """A pool gave a batch back, for a trouble that may be its own or is, by its code."""
        if code == "avoided_host":
            self.hosts.bounced(key)
        elif what == "opinion":
            self.failed(pool, kind, key, now)
            self.hosts.failed(pool, host, key)
        elif code in _ITS_OWN:
            self.avoid(pool, kind, now)

    def tried(self, key: str) -> frozenset[str]:
        """Returns the pools that could not do a batch."""
        return frozenset(self._failed.get(key, ()))

    def done(self, pool: str, kind: str, key: str, now: float, host: str = "") -> None:
        """A pool has done a batch: a strike against each that could not."""
        self.hosts.done(pool, host, kind, key, now)
        self._doubts.pop((pool, kind), None)
        for other in self._failed.pop(key, set()) - {pool}:
            keys = self._strikes.setdefault((other, kind), set())
            keys.add(key)
            if len(keys) >= STRIKES:
                self.avoid(other, kind, now)
                keys.clear()

    def doubted(self, now: float) -> dict[str, frozenset[str]]:
        """Returns the kinds of which each pool failed several batches lately, and nobody knows yet
        whether others can do them: better not to give it more, where another can take it."""
        found: dict[str, set[str]] = {}
        for (pool, kind), doubts in self._doubts.items():
            fresh = [key for key, at in doubts.items() if at > now - DOUBT_SECONDS]
            if len(fresh) >= STRIKES:
                found.setdefault(pool, set()).add(kind)
        return {pool: frozenset(kinds) for pool, kinds in found.items()}

    def avoid(self, pool: str, kind: str, now: float) -> None:
        """A pool gets no more work of a kind for a while."""
        self._until[pool, kind] = now + AVOIDED_SECONDS

    def avoided(self, now: float) -> dict[str, frozenset[str]]:
        """Returns the kinds that are kept from each pool now."""
        found: dict[str, set[str]] = {}
        for (pool, kind), until in self._until.items():
            if until > now:
                found.setdefault(pool, set()).add(kind)
        return {pool: frozenset(kinds) for pool, kinds in found.items()}


def doubtful(pools: Sequence[PoolState], doubted: Mapping[str, frozenset[str]]) -> list[PoolState]:
    """Returns the pools, each without the kinds it is doubted to be able to do, where there is
    another that is up and not in doubt."""
    return [
        replace(
            pool,
            avoided=pool.avoided
            | {
                kind
                for kind in doubted.get(pool.name, ())
                if any(
                    other.up and kind not in other.avoided | doubted.get(other.name, frozenset())
                    for other in pools
                    if other.name != pool.name
                )
            },
        )
        for pool in pools
    ]
