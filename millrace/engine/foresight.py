"""What would come to each stage of a run, before anything is done.

Inputs are measured (once: measurements are kept). What stages further down will get is forecast by
the kinds from what goes in, and marked so. The same code cuts items here and in a run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from millrace.engine.errors import ItemError
from millrace.engine.expansion import Chooser, Cut, Found, Node, cut_item, look_up, made_of, nodes
from millrace.engine.hosts.devices import Host
from millrace.engine.inputs import expand_inputs
from millrace.engine.items import Item, gather, natural
from millrace.engine.journal import Journal
from millrace.engine.measuring import Measurer
from millrace.engine.outputs import Outputs
from millrace.engine.plan import Refusal
from millrace.engine.runs import Order
from millrace.engine.settings import Settings
from millrace.engine.stages import Outline
from millrace.engine.store import Store


@dataclass
class Seen:
    """One item in one stage: measured, forecast or refused. `outline` is its result's."""

    item: Item
    cut: Cut | None = None
    found: Found | None = None
    error: ItemError | None = None
    forecast: bool = False
    outline: Outline | None = None


@dataclass(frozen=True)
class Foreseen:
    """The stages of a run in order, and what each input and stage would see, by item."""

    order: Order
    nodes: Mapping[str, Node]
    seen: Mapping[str, Mapping[str, Seen]]

    def refusals(self) -> Iterator[Refusal]:
        """Yields the items that will not be done."""
        for name in self.nodes:
            for entry in self.seen[name].values():
                if entry.error:
                    yield Refusal(
                        item=entry.item.id,
                        stage=name,
                        code=entry.error.code,
                        reason=entry.error.message,
                        hint=entry.error.hint,
                    )

    def outputs(self) -> dict[str, int]:
        """Returns how many files each output will have."""
        return {
            name: sum(s.error is None for s in self.seen.get(output.source, {}).values())
            for name, output in self.order.pipeline.outputs.items()
        }


def foresee(
    order: Order, settings: Settings, host: Host, choice: Chooser | None = None
) -> Foreseen:
    """Returns what a work order would meet. `choice` says for which device items are cut; without
    it, for one of this host.

    Raises DocumentError, UsageError, NotPermitted and ToolMissing as a run would.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-plan-") as folder:
        scratch = Path(folder)
        measurer = Measurer(settings, host, scratch / "measure", scratch / "measure.log")
        journal = Journal(scratch / "journal", "plan")
        try:
            return _Foresight(order, settings, host, measurer, journal, choice).look()
        finally:
            measurer.close()
            journal.close()


class _Foresight:
    def __init__(
        self,
        order: Order,
        settings: Settings,
        host: Host,
        measurer: Measurer,
        journal: Journal,
        choice: Chooser | None,
    ) -> None:
        self._order, self._settings, self._host = order, settings, host
        self._measurer, self._choice = measurer, choice
        self._store = Store(settings.store)
        self._nodes = nodes(order.pipeline, order.only)
        self._outputs = Outputs(order, "run", self._store, journal)
        self._seen: dict[str, dict[str, Seen]] = {}

    def look(self) -> Foreseen:
        inputs = self._outputs.settle(expand_inputs(self._order, self._nodes, self._settings))
        for name, items in inputs.items():
            self._seen[name] = {item.id: Seen(item) for item in items}
        with ThreadPoolExecutor(self._host.cores) as threads:
            for node in self._nodes.values():
                incoming = self._incoming(node)
                seen = list(threads.map(lambda s, n=node: self._look(n, s), incoming))
                self._seen[node.name] = {s.item.id: s for s in seen}
        return Foreseen(self._order, self._nodes, self._seen)

    def _incoming(self, node: Node) -> list[Seen]:
        """Returns the items as they reach a stage: real where they exist, else as foreseen."""
        sources = [self._seen[name] for name in node.spec.sources]
        entries = [source[name] for source in sources for name in sorted(source, key=natural)]
        if not node.spec.all:
            return [self._result(e) for e in entries if e.error is None]
        origin = entries[0].item
        if node.effect and any(e.error is None for e in entries):
            entries = [e for e in entries if e.error is None]
        results = [self._result(e) for e in entries]
        whole = Item(id=node.name, origin=origin.origin, label=origin.label)
        if any(e.error for e in entries):
            error = ItemError("incomplete", f"not every item that {node.name} gathers can be had")
            return [Seen(whole, error=error)]
        if any(r.forecast or r.error for r in results):
            return [Seen(whole, forecast=True)]
        items = []
        for result in results:
            try:
                items.append(self._measurer.read(result.item))
            except ItemError as error:
                return [Seen(whole, error=error)]
        return [Seen(gather(node.name, items))]

    def _result(self, entry: Seen) -> Seen:
        """Returns what comes out of a stage for an item (or of an input: the item itself)."""
        if entry.cut is None and not entry.forecast:
            return Seen(entry.item)
        item = entry.item
        if entry.found and (manifest := entry.found.result):
            return Seen(made_of(item, manifest, self._store))
        return Seen(
            Item(id=item.id, origin=item.origin, label=item.label),
            forecast=True,
            outline=entry.outline,
        )

    def _look(self, node: Node, entry: Seen) -> Seen:
        if entry.error is not None:
            return entry
        try:
            return self._foresee(node, entry) if entry.forecast else self._measure(node, entry)
        except ItemError as error:
            return Seen(entry.item, error=error, forecast=entry.forecast)

    def _measure(self, node: Node, entry: Seen) -> Seen:
        item = self._measurer.read(entry.item)
        sides = self._sides(node, item)
        outline = self._measurer.outline(node, item)
        cut = cut_item(node, item, outline, sides, self._host, self._choice)
        forced = node.name in self._order.force
        found = Found(None, {}) if forced or node.effect else look_up(self._store, cut)
        return Seen(item, cut, found, outline=node.stage.forecast(outline))

    def _foresee(self, node: Node, entry: Seen) -> Seen:
        if entry.outline is None:
            return entry
        cut = cut_item(node, entry.item, entry.outline, {}, self._host, self._choice)
        outline = node.stage.forecast(entry.outline)
        return Seen(entry.item, cut, Found(None, {}), forecast=True, outline=outline)

    def _sides(self, node: Node, item: Item) -> Mapping[str, Item]:
        sides = {}
        for role, source in node.spec.using.items():
            entries = [self._result(e) for e in self._seen[source].values()]
            ready = [e.item for e in entries if not e.forecast]
            mine = [i for i in ready if i.origin.path == item.origin.path] or ready[:1]
            if mine:
                sides[role] = self._measurer.read(mine[0])
        return sides
