"""Hosts of a pool that fail what others of it can do are passed over for a while. Pure.

Prefect gives work to a pool, and nobody chooses which of its workers takes it. So an assignment
names the hosts that are to hand it back at once, and another worker of the pool gets it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

STRIKES = 3
AVOIDED_SECONDS = 900.0
BOUNCES = 5
"""How often a batch may come back from hosts that are passed over: they may be all there are."""


class Hosts:
    """Remembers which host failed which batch, and what became of it elsewhere in its pool."""

    def __init__(self) -> None:
        self._failed: dict[str, set[tuple[str, str]]] = {}  # (pool, host) by key
        self._strikes: dict[tuple[str, str, str], set[str]] = {}  # keys by pool, host and kind
        self._until: dict[tuple[str, str, str], float] = {}
        self._bounced: Counter[str] = Counter()

    def failed(self, pool: str, host: str, key: str) -> None:
        """A host could not do a batch; whose fault that is shows elsewhere."""
        if host:
            self._failed.setdefault(key, set()).add((pool, host))

    def done(self, pool: str, host: str, kind: str, key: str, now: float) -> None:
        """A host has done a batch: a strike against each other of its pool that could not."""
        self._bounced.pop(key, None)
        for other_pool, other in self._failed.pop(key, set()):
            if not host or other_pool != pool or other == host:
                continue
            keys = self._strikes.setdefault((pool, other, kind), set())
            keys.add(key)
            if len(keys) >= STRIKES:
                self._until[pool, other, kind] = now + AVOIDED_SECONDS
                keys.clear()

    def bounced(self, key: str) -> None:
        """A batch came back from a host that is passed over."""
        self._bounced[key] += 1

    def avoid(
        self, pool: str, kind: str, keys: Collection[str], there: Collection[str], now: float
    ) -> tuple[str, ...]:
        """Returns the hosts that are to hand these batches back: none when no other is `there`."""
        wrong = {
            h for (p, h, k), until in self._until.items() if (p, k) == (pool, kind) and until > now
        }
        wrong |= {host for key in keys for p, host in self._failed.get(key, ()) if p == pool}
        worn = any(self._bounced[key] >= BOUNCES for key in keys)
        return () if worn or not set(there) - wrong else tuple(sorted(wrong))
