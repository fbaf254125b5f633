"""Considering an item for a stage: read, measured, cut, and looked up in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from millrace.engine.errors import BadInput
from millrace.engine.expansion import Chooser, Cut, Found, Node, cut_item, look_up
from millrace.engine.hosts.devices import Host
from millrace.engine.items import Item
from millrace.engine.measuring import Measurer
from millrace.engine.runs import Order
from millrace.engine.settings import Settings
from millrace.engine.space import require_space
from millrace.engine.store import Store
from millrace.engine.whys import Whys

_ALWAYS = "always run: it has an effect outside the store"


@dataclass(frozen=True)
class Considered:
    """What is to be done for an item in a stage, what is done already, and why the rest is not."""

    cut: Cut
    found: Found
    why: str


@dataclass(frozen=True)
class Considering:
    """What it takes to consider items. Thread-safe. `choice` None: devices are this host's."""

    order: Order
    settings: Settings
    host: Host
    store: Store
    measurer: Measurer
    whys: Whys
    choice: Chooser | None = None

    def consider(self, node: Node, item: Item, sides: Mapping[str, Item]) -> Considered:
        """Returns what is to be done. The store is asked first: resume is not a mode.

        Raises ItemError when the item cannot be done, NotPermitted when nothing may do it.
        """
        absent = tuple(self._if_readable(one) for one in item.absent)
        item = self.measurer.read(item)
        if node.effect:
            item = replace(item, absent=absent, complete=item.complete and self.order.complete)
        sides = {role: self.measurer.read(side) for role, side in sides.items()}
        outline = self.measurer.outline(node, item)
        cut = cut_item(node, item, outline, sides, self.host, self.choice)
        forced = node.name in self.order.force
        anew = forced or node.effect
        found = Found(None, {}) if anew else look_up(self.store, cut)
        if found.result:
            return Considered(cut, found, "")
        if not (anew or self.order.retry):
            self._refuse_known(cut)
        require_space(self.settings, node, cut, found)
        if node.effect:
            return Considered(cut, found, _ALWAYS)
        return Considered(cut, found, self.whys.of(node.name, item.id, cut, forced))

    def _if_readable(self, item: Item) -> Item:
        """Returns an item that failed with its content's digest, where it has one."""
        try:
            return self.measurer.read(item)
        except BadInput:
            return item

    def anew(self, node: Node, cut: Cut) -> Considered:
        """Returns what is to be done for an item whose stage now asks for another device."""
        again = cut_item(node, cut.item, cut.outline, cut.sides, self.host, self.choice)
        forced = node.name in self.order.force or node.effect
        found = Found(None, {}) if forced else look_up(self.store, again)
        return Considered(again, found, self.whys.of(node.name, cut.item.id, again, forced))

    def _refuse_known(self, cut: Cut) -> None:
        """Raises the remembered BadInput of a batch that failed by its input's own fault."""
        for key in {cut.key, *(share.key for share in cut.shares)}:
            words = self.store.known_failure(key)
            if words:
                code, message, hint = (
                    str(words.get(n, "")).replace("{name}", cut.item.id)
                    for n in ("code", "message", "hint")
                )
                raise BadInput(code, message, hint=hint).remembered()
