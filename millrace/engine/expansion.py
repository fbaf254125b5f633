"""What one stage has to do for one item: needs, device, recipe, batches. Plan and run share it."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from millrace.engine.batches import Recipe, Share, cut, join_key
from millrace.engine.hosts.devices import Device, Host, choose
from millrace.engine.items import Item
from millrace.engine.labels import Label, derived
from millrace.engine.pipeline import Pipeline, StageSpec, suffix_for
from millrace.engine.stages import Needs, Outline, Stage, Work, is_effect, load
from millrace.engine.store import Manifest, Store

Chooser = Callable[[Needs, Label], Device]
"""Says which device batches of these needs, reading data of this label, are cut for."""


@dataclass(frozen=True)
class Node:
    """A stage of a pipeline, ready to be asked. `consumers` are the stages fed from it."""

    name: str
    spec: StageSpec
    stage: Stage
    params: dict[str, JsonValue]
    pipeline: Pipeline
    consumers: tuple[str, ...]
    feeders: tuple[str, ...]
    _suffixes: dict[str, str] = field(default_factory=dict)
    _profiles: dict[Device, dict[str, str]] = field(default_factory=dict)

    @property
    def effect(self) -> bool:
        """True where the kind changes something outside the store, so that it always runs."""
        return is_effect(self.stage)

    def suffix(self, item: Item) -> str:
        """Returns the suffix the outputs ask for (".mp4"), "" where the kind may choose."""
        source = item.origin.suffix
        if source not in self._suffixes:
            self._suffixes[source] = suffix_for(self.pipeline, self.name, source)
        return self._suffixes[source]

    def profile(self, device: Device) -> dict[str, str]:
        """Returns what of this host's tools changes the output; asked once for each device."""
        if device not in self._profiles:
            self._profiles[device] = dict(self.stage.profile(device))
        return self._profiles[device]

    def without_gpu(self) -> Node:
        """Returns the stage as if it had said `gpu: no`."""
        resources = self.spec.resources.model_copy(update={"gpu": "no"})
        return replace(self, spec=self.spec.model_copy(update={"resources": resources}))

    def needs(self, work: Work) -> Needs:
        """Returns what the kind needs for this work, with what the pipeline asks for on top."""
        asked = self.spec.resources
        return work.needs.model_copy(
            update={
                name: value
                for name in ("gpu", "vram", "cores", "memory")
                if (value := getattr(asked, name)) is not None
            }
        )


@dataclass(frozen=True)
class Cut:
    """An item cut into batches for one stage. `join` is the joined result's key, "" if none."""

    item: Item
    sides: Mapping[str, Item]
    outline: Outline
    work: Work
    needs: Needs
    device: Device
    recipe: Recipe
    shares: tuple[Share, ...]
    join: str

    @property
    def key(self) -> str:
        """Key of the item's result in this stage."""
        return self.join or self.shares[0].key

    @property
    def label(self) -> Label:
        """The highest label among what its batches read."""
        return label_of(self.item, self.sides)


@dataclass(frozen=True)
class Found:
    """What the store holds of a cut: the item's result, or the parts finished so far."""

    result: Manifest | None
    parts: Mapping[str, Manifest]


def nodes(pipeline: Pipeline, only: str | None = None) -> dict[str, Node]:
    """Returns the stages in an order that work can flow in; with `only`, what that stage needs.

    Raises UsageError when a kind cannot be loaded.
    """
    specs = pipeline.stages
    feeders = {
        name: tuple(s for s in (*spec.sources, *spec.using.values()) if s in specs)
        for name, spec in specs.items()
    }
    order = list(graphlib.TopologicalSorter(feeders).static_order())
    wanted = _upstream(only, feeders) if only else set(order)
    found = {}
    for name in (n for n in order if n in wanted):
        kind = load(specs[name].uses)
        params = kind.Params.model_validate(specs[name].params)
        found[name] = Node(
            name=name,
            spec=specs[name],
            stage=kind(params),
            params=params.model_dump(mode="json"),
            pipeline=pipeline,
            consumers=tuple(n for n in order if n in wanted and name in specs[n].sources),
            feeders=feeders[name],
        )
    return found


def cut_item(
    node: Node,
    item: Item,
    outline: Outline,
    sides: Mapping[str, Item],
    host: Host,
    choice: Chooser | None = None,
) -> Cut:
    """Returns the item cut into batches for a stage, for a device of `host` or another's `choice`.

    Raises BadInput when the kind refuses the item, NotPermitted when no device may do it.
    """
    stage = node.stage
    outline = outline.model_copy(update={"output_suffix": node.suffix(item)})
    work = stage.work(outline)
    needs = node.needs(work)
    device = choice(needs, label_of(item, sides)) if choice else choose(needs, host)
    inputs = {"": item.artifact.digest if item.artifact else f"forecast:{item.id}"}
    inputs |= {role: side.artifact.digest for role, side in sides.items() if side.artifact}
    recipe = Recipe(
        kind=stage.kind,
        version=stage.version,
        params=node.params,
        inputs=inputs,
        profile=node.profile(device),
        output_suffix=node.suffix(item),
    )
    load = work.units if work.load is None else work.load
    shares = tuple(cut(recipe.digest, stage.split(outline), load))
    join = join_key(recipe.digest, shares) if len(shares) > 1 else ""
    return Cut(item, sides, outline, work, needs, device, recipe, shares, join)


def label_of(item: Item, sides: Mapping[str, Item]) -> Label:
    """Returns the highest label of an item and its side inputs."""
    return derived([item.label, *(side.label for side in sides.values())])


def look_up(store: Store, plan: Cut) -> Found:
    """Returns what the store already holds of a cut."""
    result = store.find(plan.key)
    if result or not plan.join:
        return Found(result, {})
    parts = {s.key: m for s in plan.shares if (m := store.find(s.key))}
    return Found(None, parts)


def made_of(item: Item, manifest: Manifest, store: Store) -> Item:
    """Returns the item as it goes on to the next stage: its result, under the same identity."""
    members = manifest.output.members
    return Item(
        id=item.id,
        origin=item.origin,
        label=item.label,
        location=store.locate(manifest.output.digest),
        artifact=manifest.output,
        members=tuple(store.locate(m.digest) for m in members),
        member_names=tuple(m.name for m in members),
    )


def _upstream(stage: str, feeders: Mapping[str, tuple[str, ...]]) -> set[str]:
    wanted, todo = set[str](), [stage]
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += feeders[name]
    return wanted
