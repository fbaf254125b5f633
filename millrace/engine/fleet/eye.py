"""The one loop that watches a fleet for a run: its pools, its flow runs, what comes home.

It runs in a thread of its own, because a server or store that is slow must not keep the conductor
from what it can do meanwhile. What it saw is a value that the conductor reads when it likes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from millrace.engine.errors import MillraceError
from millrace.engine.fleet.observed import Observed

_TURN_SECONDS = 1.0
_POOLS_SECONDS = 5.0


@dataclass(frozen=True)
class Seen:
    """What was seen last. `states` are of flow runs whose results have been brought home since.

    `turn` grows with every look; `away` says why the server does not answer, "" while it does;
    `unreachable` names stores that do not.
    """

    turn: int = 0
    observed: Mapping[str, Observed] | None = None
    states: Mapping[str, str] = field(default_factory=dict)
    away: str = ""
    unreachable: Mapping[str, str] = field(default_factory=dict)

    def hosts(self, pool: str) -> set[str]:
        """Returns the hosts of a pool's workers that are alive and say where they are."""
        found = self.observed.get(pool) if self.observed else None
        return {w.card.host for w in found.workers if w.alive and w.card} if found else set()


class Eye:
    """Looks at the fleet again and again until closed.

    `observe()` asks the server for the pools, `states(ids)` for flow runs, `collect()` brings home
    results and returns the stores that were out of reach, by name with the reason. `ids()` are the
    flow runs of interest.
    """

    def __init__(
        self,
        observe: Callable[[], Mapping[str, Observed]],
        states: Callable[[list[str]], Mapping[str, str]],
        collect: Callable[[], Mapping[str, str]],
        ids: Callable[[], list[str]],
    ) -> None:
        self._observe, self._states, self._collect, self._ids = observe, states, collect, ids
        self._seen = Seen()
        self._over = threading.Event()
        self._looked = 0.0
        self._thread = threading.Thread(target=self._watch, name="fleet", daemon=True)

    @property
    def seen(self) -> Seen:
        """What was seen last."""
        return self._seen

    def open(self) -> None:
        """Begins to look."""
        self._thread.start()

    def close(self) -> None:
        """Looks once more, so that nothing that came home is left behind, and stops."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Looks once."""
        before = self._seen
        observed, away = before.observed, ""
        states: Mapping[str, str] = before.states
        try:
            ids = self._ids()
            states = self._states(ids) if ids else {}
            if observed is None or time.monotonic() - self._looked >= _POOLS_SECONDS:
                observed, self._looked = self._observe(), time.monotonic()
        except MillraceError as error:
            away = error.message
        except Exception as error:  # noqa: BLE001 - whatever it was, the next look may be better
            away = f"the Prefect server's answer was not understood: {type(error).__name__}"
        # After the states: what a flow run that is over has left is home before it is told over.
        unreachable = self._gather(before.unreachable)
        self._seen = Seen(before.turn + 1, observed, states, away, unreachable)

    def _gather(self, before: Mapping[str, str]) -> Mapping[str, str]:
        try:
            return self._collect()
        except Exception as error:  # noqa: BLE001 - else nobody would ever look again
            return {**before, "": f"results could not be brought home: {type(error).__name__}"}

    def _watch(self) -> None:
        while not self._over.is_set():
            self.look()
            self._over.wait(_TURN_SECONDS)
        self.look()
