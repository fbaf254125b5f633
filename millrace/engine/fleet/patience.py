"""How long a conductor waits for what may not come."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.engine.fleet.observed import HEARTBEAT_LIMIT


@dataclass(frozen=True)
class Patience:
    """Limits of waiting for an assignment that is out. Times in seconds, of the conductor's clock.

    `silence`: without a sign of life, it is given up. `start`: how long it may wait for a worker of
    a pool that is up before another pool is looked for. `claim`: how long a worker may take from
    claiming it to beginning. `leave`: how long, after it was taken back, its worker may be silent
    until it counts as over. `behind`: so many times slower than predicted (plus `slack`) is slow,
    and reason enough to move it when the deadline is near.
    """

    silence: float = HEARTBEAT_LIMIT
    start: float = 120.0
    claim: float = 60.0
    leave: float = 60.0
    behind: float = 3.0
    slack: float = 60.0
