"""What was found of each pool for a group, in words: the answer to "why there, why not here?"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from millrace.engine.placement.board import EASE
from millrace.engine.placement.model import Aim, PoolState, Rule, Verdict
from millrace.engine.placement.problem import Bulk, Job, Problem, delay
from millrace.engine.placement.rules import Finding

_HOUR = 3600.0


@dataclass(frozen=True)
class Asked:
    """Everything the words are made from: the pools, the problem, and the lane of each job."""

    pools: tuple[PoolState, ...]
    problem: Problem
    choice: tuple[int | None, ...]
    aim: Aim

    @cached_property
    def by_group(self) -> Mapping[str, list[Job]]:
        """The jobs of each group."""
        found: dict[str, list[Job]] = {}
        for job in self.problem.jobs:
            found.setdefault(job.group, []).append(job)
        return found

    @cached_property
    def chosen(self) -> Counter[tuple[str, int | None]]:
        """How many jobs of a group are in a lane."""
        return Counter(
            (job.group, lane) for job, lane in zip(self.problem.jobs, self.choice, strict=True)
        )

    @cached_property
    def bulk(self) -> Mapping[str, Bulk]:
        """The sums of each group's jobs."""
        return {group: Bulk.of(jobs) for group, jobs in self.by_group.items()}

    @cached_property
    def open(self) -> Mapping[str, frozenset[int]]:
        """The lanes that any job of a group may take."""
        return {
            group: frozenset(lane for lanes in {job.lanes for job in jobs} for lane in lanes)
            for group, jobs in self.by_group.items()
        }

    @cached_property
    def smallest(self) -> Mapping[str, Job]:
        """The job of each group that is done first."""
        return {
            group: min(jobs, key=lambda job: (job.load, job.bytes_in + job.bytes_out, job.key))
            for group, jobs in self.by_group.items()
        }

    def alone(self, group: str, lane: int) -> tuple[float, float]:
        """Seconds of slots and cost of all the group's jobs in one lane."""
        bulk = self.bulk.get(group)
        return (0.0, 0.0) if bulk is None else self.problem.paces[group, lane].total(bulk)


def verdicts(asked: Asked, group: str, found: Sequence[Finding]) -> tuple[Verdict, ...]:
    """Returns a verdict of every pool for the group, by the pools' names."""
    return tuple(
        _verdict(asked, group, index, pool, finding)
        for index, (pool, finding) in enumerate(zip(asked.pools, found, strict=True))
    )


def _verdict(asked: Asked, group: str, index: int, pool: PoolState, finding: Finding) -> Verdict:
    queue = delay(pool)
    if not finding.fits:
        return Verdict(pool.name, finding.rule, finding.reason, queue=queue)
    lanes = [
        lane
        for lane, known in enumerate(asked.problem.lanes)
        if known.pool == index and (group, lane) in asked.problem.paces
    ]
    if not lanes:
        return Verdict(
            pool.name, "price", f"{pool.name}: no offer of the kind that was asked for", queue=queue
        )
    totals = {lane: asked.alone(group, lane) for lane in lanes}
    best = min(lanes, key=lambda i: (-asked.chosen[group, i], totals[i][1], i))
    chosen = sum(asked.chosen[group, lane] for lane in lanes)
    rule: Rule = ""
    reason = ""
    if not chosen:
        rule, reason = _passed_over(asked, group, lanes, pool)
    seconds, cost = totals[best]
    return Verdict(
        pool=pool.name,
        rule=rule,
        reason=reason,
        basis=asked.problem.lanes[best].basis,
        price=asked.problem.lanes[best].price * _HOUR,
        seconds=seconds,
        queue=queue,
        cost=cost,
        chosen=chosen,
    )


def _passed_over(
    asked: Asked, group: str, lanes: Sequence[int], pool: PoolState
) -> tuple[Rule, str]:
    if group not in asked.bulk:
        return "", ""
    open_ = [lane for lane in lanes if lane in asked.open[group]]
    if not open_:
        return "spot", f"{pool.name}: only spot machines there, and no time or attempt to spare"
    shortest = min(asked.problem.take(asked.smallest[group], lane)[0] for lane in open_)
    if asked.aim.deadline is not None and delay(pool) + shortest > asked.aim.deadline * (1 + EASE):
        return "deadline", f"{pool.name}: nothing would be done there by the deadline"
    if asked.chosen[group, None] == asked.bulk[group].count:
        return "budget", f"{pool.name}: the budget does not cover it"
    if asked.aim.prefer == "fastest":
        return "price", f"{pool.name}: it fits, others are done sooner"
    return "price", f"{pool.name}: it fits, others cost less"
