"""How often a batch is tried again: a budget for each sort of trouble.

A session that dies may well be the batch's own doing, so it gets few attempts. A machine that was
lost, or taken away because somebody paid more, says nothing about the batch.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

Trouble = Literal["session", "machine", "preempted", "opinion", "outage", "moved"]

LIMITS: dict[Trouble, int] = {
    "session": 2, "machine": 4, "preempted": 12, "opinion": 2, "outage": 4,
}  # fmt: skip
"""Attempts by the trouble that ended them; what was only moved has no limit. A batch that was
preempted often is placed on machines that cannot be taken away, long before the limit."""

UNREACHABLE = "unreachable"
"""The code of a failure whose reason is that something the stage needs is away for now."""

PAUSES = (5.0, 20.0, 60.0)
"""Seconds to wait before a batch is tried again, after its first, second and third outage."""

_MACHINE = (
    "crashed_assignment",
    "worker_store",
    "silent",
    "damaged_result",
    "damaged_input",
    "missing_input",
    "unshipped",
)
_MOVED = (
    "moved",
    "stuck",
    "slow",
    "unsent",
    "undeployed",
    "other_version",
    "other_device",
    "not_permitted",
    "avoided_host",
    "part_missing",
)


def trouble(code: str, *, fault: str = "") -> Trouble:
    """Returns what sort of trouble a code of a `lost` record tells of."""
    if code == "preempted":
        return "preempted"
    if code == UNREACHABLE:
        return "outage"
    if code in _MACHINE:
        return "machine"
    if code in _MOVED:
        return "moved"
    return "opinion" if fault == "stage" else "session"


class Retries:
    """What one item's batches went through, by key."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[Trouble]] = {}

    def of(self, key: str) -> Counter[Trouble]:
        """Returns the troubles of a batch so far."""
        return self._counts.setdefault(key, Counter())

    def exhausted(self, key: str, what: Trouble) -> bool:
        """Enters one more trouble of a batch; True when that was one too many."""
        counts = self.of(key)
        counts[what] += 1
        return counts[what] >= LIMITS.get(what, 1 << 30)
