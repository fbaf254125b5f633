"""The hard rules: may this pool do this group's work at all, and can it now?

Rules that are about what a pool *is* (clearance, device, memory, tools, version) refuse it for
good. Those about how it is *now* (store, health, avoided) let the work wait for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from millrace.engine.fleet.pools import GIB, HOME
from millrace.engine.labels import permits
from millrace.engine.placement.model import Group, PoolState, Rule

_ORDER: tuple[Rule, ...] = ("clearance", "device", "memory", "tools", "version")
_PASSING: tuple[Rule, ...] = ("store", "health", "avoided")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found of a pool: nothing (`rule` is ""), or what forbids it, in words."""

    rule: Rule = ""
    reason: str = ""

    @property
    def fits(self) -> bool:
        """True when no rule forbids the pool."""
        return not self.rule

    @property
    def passing(self) -> bool:
        """True when the pool is permitted and only cannot take work at this moment."""
        return self.rule in _PASSING


def examine(group: Group, pool: PoolState) -> Finding:
    """Returns the first rule that forbids the pool for the group: what it is before how it is."""
    for rule in _RULES:
        finding = rule(group, pool)
        if finding is not None:
            return Finding(finding.rule, f"{pool.name}: {finding.reason}")
    return Finding()


def nowhere(rules: Collection[Rule]) -> bool:
    """True when these verdicts of all pools leave none to wait for: each refuses, or has failed."""
    return all(rule in _ORDER or rule == "avoided" for rule in rules)


def closest(findings: Sequence[Finding]) -> Rule:
    """Returns the rule that stopped the pool which came closest to being permitted."""
    return max((finding.rule for finding in findings), key=_ORDER.index)


def _clearance(group: Group, pool: PoolState) -> Finding | None:
    if not permits(pool.clearance, group.label):
        return Finding("clearance", f"may see {pool.clearance} data, this is {group.label}")
    if not permits(pool.store_clearance, group.label):
        return Finding(
            "clearance",
            f"its store {pool.store} may hold {pool.store_clearance} data, this is {group.label}",
        )
    return None


def _device(group: Group, pool: PoolState) -> Finding | None:
    needs = group.needs
    if pool.device != group.device:
        if group.device == "cuda":
            return Finding("device", "has no GPU, and this work is for GPUs")
        if needs.gpu != "no" and pool.vram >= needs.vram:  # a machine with a GPU has a CPU as well
            return Finding("device", "would use its GPU, and this work is cut for processors")
    if needs.gpu == "require" and pool.device != "cuda":
        return Finding("device", "has no GPU, one is required")
    if group.device == "cuda" and pool.vram < needs.vram:
        has = f"{_gib(pool.vram)} of VRAM" if pool.vram else "an unknown amount of VRAM"
        return Finding("device", f"{has}, {_gib(needs.vram)} needed")
    if pool.name in group.unlike:
        return Finding(
            "device", f"its {pool.device_name} would make another result than was cut for"
        )
    speed = group.speeds.get(pool.name)
    if speed is None or not speed.rate > 0:
        return Finding("device", f"nothing is known of how fast {group.kind} goes there")
    return None


def _memory(group: Group, pool: PoolState) -> Finding | None:
    if pool.memory < group.needs.memory:
        return Finding(
            "memory", f"{_gib(pool.memory)} of memory a slot, {_gib(group.needs.memory)} needed"
        )
    return None


def _tools(group: Group, pool: PoolState) -> Finding | None:
    if pool.tools is None:
        return None
    missing = sorted(set(group.needs.tools) - pool.tools)
    if missing:
        return Finding("tools", f"its workers lack {', '.join(missing)}")
    return None


def _version(group: Group, pool: PoolState) -> Finding | None:
    if group.millrace and pool.millrace is not None and pool.millrace != group.millrace:
        return Finding(
            "version", f"its workers have Millrace {pool.millrace}, this run is of {group.millrace}"
        )
    if pool.kinds is None:
        return None
    has = pool.kinds.get(group.kind)
    if has is None:
        return Finding("version", f"its workers have no {group.kind}")
    if has != group.version:
        return Finding(
            "version",
            f"its workers have version {has} of {group.kind}, this is for {group.version}",
        )
    return None


def _libraries(group: Group, pool: PoolState) -> Finding | None:
    """Finds what the workers say would make other bytes; what they do not say passes."""
    able = pool.capabilities.get((group.device, group.kind), {})
    for name in sorted(able.keys() & group.profile.keys()):
        if able[name] != (wanted := group.profile[name]):
            advice = f": {group.advice[name]}" if group.advice.get(name) else ""
            return Finding(
                "tools", f"its workers have {name} {able[name]}, {wanted} is needed{advice}"
            )
    return None


def _store(group: Group, pool: PoolState) -> Finding | None:
    if not pool.reachable:
        where = "the conductor's store" if pool.store == HOME else f"the store {pool.store}"
        return Finding("store", f"{where} cannot be reached")
    return None


def _health(group: Group, pool: PoolState) -> Finding | None:
    if not pool.up:
        return Finding("health", pool.why_down or "takes no work at the moment")
    if pool.slots < 1:
        return Finding("health", "has no slot")
    if not pool.offers:
        return Finding("health", "nothing is offered there")
    return None


def _avoided(group: Group, pool: PoolState) -> Finding | None:
    if pool.name in group.failed:
        return Finding("avoided", "could not do these batches; another pool is to try")
    if group.kind in pool.avoided:
        return Finding(
            "avoided", f"its workers failed {group.kind} that others could do; avoided for a while"
        )
    return None


def _gib(size: int) -> str:
    return f"{size / GIB:.3g} GiB"


_RULES = (
    _clearance,
    _device,
    _memory,
    _tools,
    _version,
    _libraries,
    _store,
    _health,
    _avoided,
)
