"""Pools that fail what others can do are avoided for a while. Pure: the caller has the clock."""

from __future__ import annotations

from millrace.engine.retries import Trouble

STRIKES = 3
AVOIDED_SECONDS = 900.0
_ITS_OWN = ("other_version", "other_device", "not_permitted", "tool_missing", "undeployed")


class Strikes:
    """Remembers which pool failed which batch, and what became of it elsewhere."""

    def __init__(self) -> None:
        self._failed: dict[str, set[str]] = {}  # pools by key
        self._strikes: dict[tuple[str, str], set[str]] = {}  # keys by pool and kind
        self._until: dict[tuple[str, str], float] = {}

    def failed(self, pool: str, key: str) -> None:
        """A pool could not do a batch; whose fault that is shows elsewhere."""
        self._failed.setdefault(key, set()).add(pool)

    def lost(self, pool: str, kind: str, key: str, what: Trouble, code: str, now: float) -> None:
        """A pool gave a batch back, for a trouble that may be its own or is, by its code."""
        if what == "opinion":
            self.failed(pool, key)
        elif code in _ITS_OWN:
            self.avoid(pool, kind, now)

    def tried(self, key: str) -> frozenset[str]:
        """Returns the pools that could not do a batch."""
        return frozenset(self._failed.get(key, ()))

    def done(self, pool: str, kind: str, key: str, now: float) -> None:
        """A pool has done a batch: a strike against each that could not."""
        for other in self._failed.pop(key, set()) - {pool}:
            keys = self._strikes.setdefault((other, kind), set())
            keys.add(key)
            if len(keys) >= STRIKES:
                self.avoid(other, kind, now)
                keys.clear()

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
