"""From the question to a problem of lanes and jobs, and from its division back to a decision."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from millrace.engine.placement.board import EASE, Division
from millrace.engine.placement.model import (
    Aim,
    Decision,
    Group,
    Offer,
    Piece,
    Placed,
    PoolState,
    Rule,
    Snapshot,
)
from millrace.engine.placement.problem import Job, Lane, Pace, Problem, delay, lanes_of, pace
from millrace.engine.placement.rules import Finding, closest, examine
from millrace.engine.placement.spot import Room, last_attempt
from millrace.engine.placement.verdicts import Asked, verdicts

MONEY = "money: the budget does not cover it"
SPOT_ONLY = "only spot machines are offered there, and this is its last permitted attempt"


@dataclass(frozen=True)
class Case:
    """One question, sorted: what each rule found, and the jobs that can be placed."""

    pools: tuple[PoolState, ...]
    lanes: tuple[Lane, ...]
    findings: Mapping[str, tuple[Finding, ...]]
    paces: Mapping[tuple[str, int], Pace]
    jobs: tuple[Job, ...]
    at_risk: tuple[Job, ...]
    waiting: Mapping[str, str]
    refused: Mapping[str, tuple[Rule, str]]

    @classmethod
    def of(
        cls,
        groups: Mapping[str, Group],
        pieces: Sequence[Piece],
        snapshot: Snapshot,
        offered: Callable[[Offer, str], bool],
    ) -> Self:
        """Returns the case; `offered` says which offers may be used for which group."""
        pools = tuple(sorted(snapshot.pools, key=lambda pool: pool.name))
        lanes = lanes_of(pools)
        findings = {
            key: tuple(examine(groups[key], pool) for pool in pools) for key in sorted(groups)
        }
        open_ = {
            key: tuple(
                index
                for index, (lane, offer) in enumerate(lanes)
                if found[lane.pool].fits and offered(offer, key)
            )
            for key, found in findings.items()
        }
        known = tuple(lane for lane, _ in lanes)
        refused = {
            key: _refusal(found)
            for key, found in findings.items()
            if not any(finding.fits or finding.passing for finding in found)
        }
        ordered = sorted(
            (piece for piece in pieces if piece.group not in refused),
            key=lambda piece: (piece.group, piece.key),
        )
        jobs = [_job(piece, open_[piece.group], known, snapshot.retries) for piece in ordered]
        risky = [
            _job(piece, open_[piece.group], known, snapshot.retries)
            for piece in sorted(snapshot.at_risk, key=lambda piece: (piece.group, piece.key))
        ]
        return cls(
            pools=pools,
            lanes=known,
            findings=findings,
            paces=_paces(groups, pools, known, open_, ordered),
            jobs=tuple(job for job in jobs if job.lanes),
            at_risk=tuple(job for job in risky if job.lanes),
            waiting={
                job.key: _awaited(findings[job.group], open_[job.group], known)
                for job in jobs
                if not job.lanes
            },
            refused=refused,
        )

    def problem(self, room: Room) -> Problem:
        """Returns what is to be divided, in spot lanes only what leaves room for a restart."""
        jobs = room.narrowed(self.jobs, self.lanes, self.paces)
        return self._problem(jobs, room.closes, restart=False)

    def restarted(self) -> Problem:
        """Returns what would be left if all spot machines went now: every machine starts anew."""
        return self._problem(self.jobs + self.at_risk, math.inf, restart=True)

    def _problem(self, jobs: tuple[Job, ...], closes: float, restart: bool) -> Problem:
        return Problem(
            self.lanes,
            tuple(delay(pool, restart) for pool in self.pools),
            tuple(max(1, min(pool.slots, len(jobs))) for pool in self.pools),
            self.paces,
            jobs,
            closes,
        )

    def decision(self, problem: Problem, division: Division, aim: Aim) -> Decision:
        """Returns the division in the words of the contract."""
        placed = []
        waiting = dict(self.waiting)
        for job, lane, take in zip(problem.jobs, division.choice, division.takes, strict=True):
            if lane is None:
                waiting[job.key] = MONEY
                continue
            where = self.lanes[lane]
            placed.append(Placed(job.key, where.name, where.basis, *take))
        late = aim.deadline is not None and division.makespan > aim.deadline * (1 + EASE)
        asked = Asked(self.pools, problem, division.choice, aim)
        return Decision(
            placed=tuple(placed),
            verdicts={key: verdicts(asked, key, found) for key, found in self.findings.items()},
            waiting=dict(sorted(waiting.items())),
            refused=self.refused,
            makespan=division.makespan,
            cost=math.fsum(p.cost for p in placed),
            late=late,
        )


def _paces(
    groups: Mapping[str, Group],
    pools: Sequence[PoolState],
    lanes: Sequence[Lane],
    open_: Mapping[str, tuple[int, ...]],
    pieces: Sequence[Piece],
) -> dict[tuple[str, int], Pace]:
    loads: dict[str, list[float]] = defaultdict(list)
    for piece in pieces:
        loads[piece.group].append(piece.load)
    totals = {key: math.fsum(loads[key]) for key in open_}
    return {
        (key, lane): pace(groups[key], pools[lanes[lane].pool], lanes[lane], totals[key])
        for key in open_
        for lane in open_[key]
    }


def _job(piece: Piece, open_: tuple[int, ...], lanes: Sequence[Lane], retries: int) -> Job:
    if last_attempt(piece, retries):
        open_ = tuple(lane for lane in open_ if not lanes[lane].spot)
    return Job(piece.key, piece.group, piece.load, piece.bytes_in, piece.bytes_out, open_)


def _awaited(found: Sequence[Finding], open_: tuple[int, ...], lanes: Sequence[Lane]) -> str:
    reasons = [finding.reason for finding in found if finding.passing]
    spot_only = sorted({lanes[lane].name for lane in open_})
    return "; ".join(reasons + [f"{name}: {SPOT_ONLY}" for name in spot_only])


def _refusal(found: Sequence[Finding]) -> tuple[Rule, str]:
    if not found:
        return "health", "the fleet has no pool"
    return closest(found), "; ".join(finding.reason for finding in found)
