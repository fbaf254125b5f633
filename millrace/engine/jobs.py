"""Jobs: batches and joins that are ready to be done, and the assignments they are put into."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from millrace.engine.assignments import Assignment, Job, Material
from millrace.engine.batches import Share
from millrace.engine.expansion import Cut, Node
from millrace.engine.forecasts import Forecaster
from millrace.engine.hosts.devices import Device
from millrace.engine.labels import Label, derived
from millrace.engine.stages import Needs, Span


@dataclass(frozen=True)
class Pending:
    """A job that is ready. `alone` keeps one that went down with a session from taking others."""

    stage: str
    item: str
    node: Node
    cut: Cut
    job: Job
    seconds: float
    alone: bool
    since: float

    @property
    def needs(self) -> Needs:
        """What the job needs of a host."""
        return self.cut.needs

    @property
    def device(self) -> Device:
        """The device it was cut for."""
        return self.cut.device

    @property
    def label(self) -> Label:
        """The highest label among what it reads."""
        return derived([self.cut.item.label, *(side.label for side in self.cut.sides.values())])

    @property
    def fit(self) -> tuple[Device, Needs, Label]:
        """What jobs must have in common to share a session: all but the memory they take."""
        anyhow = {"memory": 0}
        device, needs = self.device.model_copy(update=anyhow), self.needs.model_copy(update=anyhow)
        return device, needs, self.label


def batch(
    node: Node, cut: Cut, share: Share, why: str, forecaster: Forecaster, *, alone: bool
) -> Pending:
    """Returns a batch of an item as a job that is ready."""
    job = Job(
        key=share.key,
        material=Material.of(cut.item, cut.sides),
        outline=cut.outline,
        recipe=cut.recipe,
        span=share.span,
        whole=not cut.join,
        units=share.units,
        load=share.load,
        pace=cut.work.pace,
        why=why,
    )
    return _pending(node, cut, job, forecaster, alone)


def join(node: Node, cut: Cut, why: str, forecaster: Forecaster, *, alone: bool) -> Pending:
    """Returns the join of an item's finished batches as a job that is ready."""
    job = Job(
        key=cut.join,
        material=Material.of(cut.item, cut.sides),
        outline=cut.outline,
        recipe=cut.recipe,
        span=Span(start=cut.shares[0].span.start, stop=cut.shares[-1].span.stop),
        whole=True,
        parts=tuple(share.key for share in cut.shares),
        units=cut.work.units,
        load=0.0,
        pace=cut.work.pace,
        why=why,
    )
    return _pending(node, cut, job, forecaster, alone)


def assignment(name: str, jobs: Sequence[Pending]) -> Assignment:
    """Returns jobs that fit each other as one assignment."""
    first = jobs[0]
    greediest = max(jobs, key=lambda pending: pending.needs.memory)
    return Assignment(
        id=name,
        stage=first.stage,
        kind=first.node.stage.kind,
        params=first.node.params,
        needs=greediest.needs,
        device=greediest.device,
        jobs=tuple(pending.job for pending in jobs),
        label=derived(pending.label for pending in jobs),
        millrace=version("millrace"),
        version=first.node.stage.version,
    )


def _pending(node: Node, cut: Cut, job: Job, forecaster: Forecaster, alone: bool) -> Pending:
    seconds = forecaster.seconds(node.stage, cut.work.pace, cut.device, job.load, session=False)
    return Pending(
        stage=node.name,
        item=cut.item.id,
        node=node,
        cut=cut,
        job=job,
        seconds=seconds,
        alone=alone,
        since=time.monotonic(),
    )
