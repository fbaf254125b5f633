"""Who may go on: items as they come out of inputs and stages, and the stages they make ready.

Readiness is per item: what one stage has finished goes on at once. Only a stage that gathers waits
for every item of its sources, and a stage with side inputs for those it needs. What gathers needs
all of them; an effect takes what is there. Pure: no files, no clock, no threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from millrace.engine.errors import BadInput
from millrace.engine.expansion import Node
from millrace.engine.items import Item, gather, natural


@dataclass(frozen=True)
class Admission:
    """An item that a stage can take now (`refusal` None), or never will."""

    node: Node
    item: Item
    sides: Mapping[str, Item] = field(default_factory=dict)
    refusal: BadInput | None = None


class Readiness:
    """What inputs and stages have brought forth so far."""

    def __init__(self, nodes: Mapping[str, Node], inputs: Mapping[str, Sequence[Item]]) -> None:
        self._nodes = nodes
        self._inputs = {item.id: item for items in inputs.values() for item in items}
        self.expected = {name: len(items) for name, items in inputs.items()}
        for name, node in nodes.items():
            alone = bool(node.spec.all)
            self.expected[name] = 1 if alone else self.expected[node.spec.sources[0]]
        self._results: dict[str, dict[str, Item | None]] = {name: {} for name in self.expected}
        self._waiting: list[tuple[Node, Item]] = []

    def bring(self, source: str, item: Item, result: Item | None) -> list[Admission]:
        """An input or stage has brought forth an item (`result`), or failed to (None).

        Returns what that makes possible, or impossible, in the stages below.
        """
        self._results[source][item.id] = result
        found: list[Admission] = []
        for node in self._nodes.values():
            if source not in node.spec.sources:
                continue
            if node.spec.all:
                found += self._gathered(node, item)
            elif result is not None:
                found += self._admitted(node, result)
            else:
                found += self.bring(node.name, item, None)
        waiting, self._waiting = self._waiting, []
        for node, waiter in waiting:
            found += self._admitted(node, waiter)
        return found

    def _gathered(self, node: Node, item: Item) -> list[Admission]:
        brought = {name: self._results[name] for name in node.spec.sources}
        if any(len(results) < self.expected[name] for name, results in brought.items()):
            return []
        # As the inputs were named, not as they were finished: the order is part of the result.
        entries = [(name, r[name]) for r in brought.values() for name in sorted(r, key=natural)]
        missing = [name for name, result in entries if result is None]
        if missing and not (node.effect and len(missing) < len(entries)):
            what = f"{len(missing)} of {len(entries)} items are missing, the first is {missing[0]}"
            whole = Item(id=node.name, origin=item.origin, label=item.label)
            return [Admission(node, whole, refusal=BadInput("incomplete", what))]
        whole = gather(node.name, [i for _, i in entries if i is not None])
        absent = tuple(self._inputs[name] for name in missing if name in self._inputs)
        unknown = len(absent) < len(missing)  # made of several items: nobody knows which
        return self._admitted(
            node, replace(whole, absent=absent, complete=whole.complete and not unknown)
        )

    def _admitted(self, node: Node, item: Item) -> list[Admission]:
        sides: dict[str, Item] = {}
        for role, source in node.spec.using.items():
            side = self._side(source, item)
            if side is not None:
                sides[role] = side
            elif len(self._results[source]) < self.expected[source]:
                self._waiting.append((node, item))
                return []
            else:
                what = f"the side input {role} ({source}) of {item.id} is missing"
                return [Admission(node, item, refusal=BadInput("incomplete", what))]
        return [Admission(node, item, sides)]

    def _side(self, source: str, item: Item) -> Item | None:
        """Returns the one item of a source, or the one that comes from the same file."""
        found = self._results[source]
        if self.expected[source] == 1:
            return next(iter(found.values()), None)
        by_path = {i.origin.path: i for i in found.values() if i is not None}
        return found.get(item.id) or by_path.get(item.origin.path)
