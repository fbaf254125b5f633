"""Making the plan of a run. Nothing is done.

Inputs are measured (once: measurements are kept). What stages further down will get is forecast by
the kinds from what goes in, and marked so. The same code cuts items for the plan and for the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from millrace.engine.cost import predict
from millrace.engine.errors import ItemError
from millrace.engine.expansion import Cut, Found, Node, cut_item, look_up, made_of, nodes
from millrace.engine.forecasts import Forecaster
from millrace.engine.hosts.devices import Device, Host
from millrace.engine.inputs import expand_inputs
from millrace.engine.items import Item, gather, natural
from millrace.engine.journal import Journal
from millrace.engine.measuring import Measurer
from millrace.engine.outputs import Outputs
from millrace.engine.plan import Disk, Plan, Refusal, StagePlan
from millrace.engine.runs import Order
from millrace.engine.settings import Settings
from millrace.engine.space import RESERVE_BYTES, free, needed
from millrace.engine.stages import Outline
from millrace.engine.store import Store


@dataclass(frozen=True)
class _Speed:
    """What decides how fast batches of one kind run; each of them holds `cores`."""

    pace: str
    device: Device
    cores: int


@dataclass
class _Seen:
    """One item in one stage: measured, forecast or refused."""

    item: Item
    cut: Cut | None = None
    found: Found | None = None
    error: ItemError | None = None
    forecast: bool = False
    outline: Outline | None = None


def make_plan(order: Order, settings: Settings, host: Host) -> Plan:
    """Returns the plan of a work order on this host.

    Raises DocumentError, UsageError, NotPermitted and ToolMissing as a run would.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-plan-") as folder:
        scratch = Path(folder)
        measurer = Measurer(settings, host, scratch / "measure", scratch / "measure.log")
        journal = Journal(scratch / "journal", "plan")
        try:
            return _Planner(order, settings, host, measurer, journal).plan()
        finally:
            measurer.close()
            journal.close()


class _Planner:
    def __init__(
        self, order: Order, settings: Settings, host: Host, measurer: Measurer, journal: Journal
    ) -> None:
        self._order, self._settings, self._host = order, settings, host
        self._measurer = measurer
        self._store = Store(settings.store)
        self._nodes = nodes(order.pipeline, order.only)
        self._forecaster = Forecaster(settings)
        self._outputs = Outputs(order, "run", self._store, journal)
        self._seen: dict[str, dict[str, _Seen]] = {}  # of each input and stage, by item

    def plan(self) -> Plan:
        inputs = self._outputs.settle(expand_inputs(self._order, self._nodes, self._settings))
        for name, items in inputs.items():
            self._seen[name] = {item.id: _Seen(item) for item in items}
        stages = []
        with ThreadPoolExecutor(self._host.cores) as threads:
            for node in self._nodes.values():
                incoming = self._incoming(node)
                seen = list(threads.map(lambda s, n=node: self._look(n, s), incoming))
                self._seen[node.name] = {s.item.id: s for s in seen}
                stages.append(self._stage(node, seen))
        pipeline = self._order.pipeline
        need = sum(stage.bytes for stage in stages)
        room = free(self._settings.store)
        goal, schedule = pipeline.goal, pipeline.schedule
        return Plan(
            pipeline=pipeline.name,
            label=str(pipeline.effective_label),
            goal=_words(goal.model_dump(mode="json", exclude_none=True)) if goal else "",
            schedule=f"{schedule.cron} ({schedule.timezone})" if schedule else "",
            here=self._host.name,
            price=self._forecaster.price,
            stages=tuple(stages),
            outputs={
                name: sum(s.error is None for s in self._seen.get(output.source, {}).values())
                for name, output in pipeline.outputs.items()
            },
            refusals=tuple(self._refusals()),
            seconds=round(sum(stage.seconds for stage in stages), 3),
            cost=round(sum(stage.cost for stage in stages), 6),
            disk=Disk(
                place=self._settings.store,
                needed=need,
                free=room >> 30 << 30,
                enough=need + RESERVE_BYTES <= room,
            ),
        )

    def _incoming(self, node: Node) -> list[_Seen]:
        """Returns the items as they reach a stage: real where they exist, else as foreseen."""
        sources = [self._seen[name] for name in node.spec.sources]
        entries = [source[name] for source in sources for name in sorted(source, key=natural)]
        if not node.spec.all:
            return [self._result(e) for e in entries if e.error is None]
        results = [self._result(e) for e in entries]
        origin = entries[0].item
        whole = Item(id=node.name, origin=origin.origin, label=origin.label)
        if any(e.error for e in entries):
            error = ItemError("incomplete", f"not every item that {node.name} gathers can be had")
            return [_Seen(whole, error=error)]
        if any(r.forecast or r.error for r in results):
            return [_Seen(whole, forecast=True)]
        items = []
        for result in results:
            try:
                items.append(self._measurer.read(result.item))
            except ItemError as error:
                return [_Seen(whole, error=error)]
        return [_Seen(gather(node.name, items))]

    def _result(self, entry: _Seen) -> _Seen:
        """Returns what comes out of a stage for an item (or of an input: the item itself)."""
        if entry.cut is None and not entry.forecast:
            return _Seen(entry.item)
        item = entry.item
        if entry.found and (manifest := entry.found.result):
            return _Seen(made_of(item, manifest, self._store))
        return _Seen(
            Item(id=item.id, origin=item.origin, label=item.label),
            forecast=True,
            outline=entry.outline,
        )

    def _look(self, node: Node, entry: _Seen) -> _Seen:
        if entry.error is not None:
            return entry
        try:
            return self._foresee(node, entry) if entry.forecast else self._measure(node, entry)
        except ItemError as error:
            return _Seen(entry.item, error=error, forecast=entry.forecast)

    def _measure(self, node: Node, entry: _Seen) -> _Seen:
        item = self._measurer.read(entry.item)
        sides = self._sides(node, item)
        outline = self._measurer.outline(node, item)
        cut = cut_item(node, item, outline, sides, self._host)
        forced = node.name in self._order.force
        found = Found(None, {}) if forced else look_up(self._store, cut)
        return _Seen(item, cut, found, outline=node.stage.forecast(outline))

    def _foresee(self, node: Node, entry: _Seen) -> _Seen:
        if entry.outline is None:
            return entry
        cut = cut_item(node, entry.item, entry.outline, {}, self._host)
        outline = node.stage.forecast(entry.outline)
        return _Seen(entry.item, cut, Found(None, {}), forecast=True, outline=outline)

    def _sides(self, node: Node, item: Item) -> Mapping[str, Item]:
        sides = {}
        for role, source in node.spec.using.items():
            entries = [self._result(e) for e in self._seen[source].values()]
            ready = [e.item for e in entries if not e.forecast]
            mine = [i for i in ready if i.origin.path == item.origin.path] or ready[:1]
            if mine:
                sides[role] = self._measurer.read(mine[0])
        return sides

    def _stage(self, node: Node, seen: list[_Seen]) -> StagePlan:
        cuts = [(s.cut, s.found) for s in seen if s.cut and s.found]
        todo = [(c, f) for c, f in cuts if not f.result]
        loads: dict[_Speed, float] = {}
        left = 0.0
        for cut, found in todo:
            shares = [s for s in cut.shares if s.key not in found.parts]
            cores = max(1, min(cut.needs.cores, self._host.cores))
            speed = _Speed(cut.work.pace, cut.device, cores)
            loads[speed] = loads.get(speed, 0.0) + sum(s.load for s in shares)
            left += sum(s.units for s in shares)
        seconds, source = self._seconds(node, loads)
        return StagePlan(
            name=node.name,
            kind=node.stage.kind,
            unit=node.stage.unit,
            devices=tuple(sorted({c.device.name for c, _ in cuts})),
            items=len(seen),
            reused=sum(1 for _, f in cuts if f.result),
            refused=sum(1 for s in seen if s.error),
            forecast=sum(1 for s in seen if s.forecast and s.cut),
            unknown=sum(1 for s in seen if s.forecast and not s.cut and not s.error),
            batches=sum(len(c.shares) for c, _ in cuts),
            batches_reused=sum(len(c.shares) if f.result else len(f.parts) for c, f in cuts),
            units=sum(c.work.units for c, _ in cuts),
            units_left=left,
            seconds=round(seconds, 3),
            cost=round(self._forecaster.cost(seconds).amount, 6),
            source=source,
            bytes=sum(needed(node, c, f) for c, f in todo),
            notes=tuple(sorted({note for c, _ in todo for note in c.work.notes})),
        )

    def _seconds(
        self, node: Node, loads: Mapping[_Speed, float]
    ) -> tuple[float, Literal["ledger", "prior", ""]]:
        """Returns the wall time of the loads, and the weaker of the sources it rests on."""
        if not loads:
            return 0.0, ""
        seconds, starts, sources = 0.0, [], set()
        for speed, load in loads.items():
            rate = self._forecaster.rate(node.stage, speed.pace, speed.device)
            sources.add(rate.source)
            starts.append(rate.start_seconds)
            side_by_side = max(1, self._host.cores // speed.cores)
            seconds += predict(load, rate.load_per_second) / side_by_side
        seconds += max(starts)  # sessions open side by side and are kept for what follows
        return seconds, "prior" if "prior" in sources else "ledger"

    def _refusals(self) -> Iterable[Refusal]:
        for name in self._nodes:
            for entry in self._seen[name].values():
                if entry.error:
                    yield Refusal(
                        item=entry.item.id,
                        stage=name,
                        code=entry.error.code,
                        reason=entry.error.message,
                        hint=entry.error.hint,
                    )


def _words(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
