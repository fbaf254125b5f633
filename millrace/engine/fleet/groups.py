"""Work as placement sees it: alike batches as groups, each batch as a piece of one. Pure.

Which sort of device an item's batches are made for is settled here too, before they are cut: it is
part of their keys, so it must not change with the health or the prices of the day.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from importlib.metadata import version
from math import ceil

from millrace.engine.expansion import Chooser, Cut, Node
from millrace.engine.fleet.resolved import Fleet, Pool
from millrace.engine.forecasts import Forecaster
from millrace.engine.hosts.devices import Device, Host
from millrace.engine.labels import Label, permits
from millrace.engine.placement.model import Group, Piece, Speed
from millrace.engine.stages import Needs, Outline, advice
from millrace.engine.store import Manifest


def chooser(fleet: Fleet, host: Host, pools: Collection[str] = ()) -> Chooser:
    """Returns the choice of devices on a fleet, or on these pools of it alone."""
    return lambda needs, label: choose_device(needs, label, fleet, host, pools)


def choose_device(
    needs: Needs, label: Label, fleet: Fleet, host: Host, pools: Collection[str] = ()
) -> Device:
    """Returns the device that batches of these needs are cut for on a fleet.

    A GPU is one of one's own where a permitted pool has it, and of those the one with most VRAM.
    `require` gets a GPU even when no pool has one: placement then says which rule kept it from
    which pool. The device carries the class, not the UUID, of what it will be, by the name that its
    driver gives it; a CPU is called as this host's, whose history is known.
    """
    fitting = [
        pool
        for pool in fleet.workers
        if pool.kind == "cuda"
        and pool.vram >= needs.vram
        and permits(pool.effective, label)
        and (not pools or pool.name in pools)
    ]
    if needs.gpu == "no" or (needs.gpu == "prefer" and not fitting):
        return Device(name=host.cpu, cores=max(1, needs.cores), memory=needs.memory, pooled=True)
    best = max(fitting, key=lambda p: (p.spec.where == "local", p.vram, p.name), default=None)
    return Device(
        kind="cuda",
        name=gpu_name(best) if best else "GPU",
        vram=needs.vram or (best.vram if best else 0),
        cores=max(1, needs.cores),
        memory=needs.memory,
        pooled=True,
    )


def gpu_name(pool: Pool) -> str:
    """Returns the name that the driver gives the GPUs of a pool: the ledger knows them by it."""
    return next(iter(pool.device.aliases), pool.device.title)


JOIN_LOAD = 0.001
"""A join's part of its item's load. Joins copy; what they take is not measured by load."""


_REFRESH_SECONDS = 30.0  # between two looks at all speeds, at the least


class Groups:
    """Finds the group of each item. Asks for the speeds of alike batches once, and anew when the
    forecaster has learnt something (`refresh`)."""

    def __init__(self, fleet: Fleet, forecaster: Forecaster) -> None:
        self._fleet, self._forecaster = fleet, forecaster
        self._memories = sorted(pool.memory for pool in fleet.workers)
        self._ids: dict[tuple[object, ...], str] = {}
        self._found: dict[str, tuple[Group, Node, Cut]] = {}  # with one item of each, by id
        self._turn, self._looked = forecaster.turn, float("-inf")

    def of(self, node: Node, cut: Cut, label: Label | None = None) -> Group:
        """Returns the group of an item's batches in a stage: the same for all that are alike."""
        label = cut.label if label is None else label
        needs = self._needs(cut)
        alike = (node.name, label, needs, cut.device.kind, cut.work.pace)
        if alike not in self._ids:
            group = self._group(node, cut, label, needs)
            self._ids[alike] = group.id
            self._found[group.id] = group, node, cut
        return self.get(self._ids[alike])

    def get(self, name: str) -> Group:
        """Returns a group that was found before, by its id, with the speeds of now."""
        return self._found[name][0]

    def refresh(self) -> None:
        """Takes in what the forecaster has learnt; called often, it looks now and then.

        What a group is, and its id, stay as they are; only its speeds change.
        """
        now = time.monotonic()
        if self._turn == self._forecaster.turn or now - self._looked < _REFRESH_SECONDS:
            return
        self._turn, self._looked = self._forecaster.turn, now
        for name, (group, node, cut) in self._found.items():
            self._found[name] = replace(group, speeds=self._speeds(node, cut)), node, cut

    def _group(self, node: Node, cut: Cut, label: Label, needs: Needs) -> Group:
        stage = node.stage
        what = [stage.kind, stage.version, needs.model_dump(), cut.device.kind, cut.work.pace]
        mark = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:6]
        return Group(
            id=f"{node.name}/{label}/{mark}",
            kind=stage.kind,
            version=stage.version,
            label=label,
            needs=needs,
            device=cut.device.kind,
            speeds=self._speeds(node, cut),
            millrace=version("millrace"),
            profile=cut.recipe.profile,
            advice={
                name: said
                for name, value in cut.recipe.profile.items()
                if (said := advice(type(stage), name, value))
            },
            unlike=frozenset(p.name for p in self._fleet.workers if self._unlike(node, cut, p)),
        )

    def _speeds(self, node: Node, cut: Cut) -> dict[str, Speed]:
        return {p.name: _speed(node, cut, p, self._forecaster) for p in self._fleet.workers}

    def _unlike(self, node: Node, cut: Cut, pool: Pool) -> bool:
        """True when a pool's GPUs would make other bytes than the batches' keys promise."""
        if cut.device.kind == "cpu" or pool.kind == "cpu" or gpu_name(pool) == cut.device.name:
            return False
        there = cut.device.model_copy(update={"name": gpu_name(pool)})
        return node.profile(there) != cut.recipe.profile

    def _needs(self, cut: Cut) -> Needs:
        """Returns the needs of a cut's batches, now that the sort of device is settled.

        Kinds ask for memory by the size of each file. It is rounded up, by an eighth at most and
        never past what some pool has, so that ten thousand files are not as many groups.
        """
        gpu = cut.device.kind == "cuda"
        memory = _rounded(cut.needs.memory)
        enough = next((m for m in self._memories if m >= cut.needs.memory), memory)
        return cut.needs.model_copy(
            update={
                "gpu": "require" if gpu else cut.needs.gpu,
                "memory": min(memory, enough),
            }
        )


def pieces_of(
    group: Group,
    node: Node,
    cut: Cut,
    *,
    parts: Mapping[str, Manifest] = {},
    foreseen: Outline | None = None,
) -> tuple[Piece, ...]:
    """Returns a piece for each batch of a cut and, where there are several, for their join.

    A batch takes its share of its item's files, which a pool fetches once for all it gets of the
    item; a join takes all the parts, and counts as a thousandth of the item's load, so that it is
    free nowhere. What comes back weighs what the kind forecasts, or, once they exist, what `parts`
    weigh. `foreseen` spares the kind a second forecast.
    """
    out = (foreseen or node.stage.forecast(cut.outline)).size
    source = _bytes_in(cut)
    total = sum(share.units for share in cut.shares)
    pieces = []
    for share in cut.shares:
        portion = share.units / total if total else 1 / len(cut.shares)
        made = parts.get(share.key)
        pieces.append(
            Piece(
                key=share.key,
                group=group.id,
                load=share.load,
                bytes_in=ceil(source * portion),
                bytes_out=made.output.size if made else ceil(out * portion),
            )
        )
    if cut.join:
        joined = sum(piece.bytes_out for piece in pieces)
        load = sum(share.load for share in cut.shares) * JOIN_LOAD
        pieces.append(Piece(cut.join, group.id, load, bytes_in=joined, bytes_out=out))
    return tuple(pieces)


def _bytes_in(cut: Cut) -> int:
    own = cut.item.artifact.size if cut.item.artifact else cut.outline.size
    return own + sum(side.artifact.size for side in cut.sides.values() if side.artifact)


def _rounded(memory: int) -> int:
    """Returns bytes rounded up to four binary digits and zeros."""
    step = 1 << max(0, memory.bit_length() - 4)
    return -(-memory // step) * step


def _speed(node: Node, cut: Cut, pool: Pool, forecaster: Forecaster) -> Speed:
    device = cut.device
    name = gpu_name(pool) if device.kind == "cuda" and pool.kind == "cuda" else device.name
    there = device.model_copy(update={"name": name})
    rate = forecaster.rate(node.stage, cut.work.pace, there, pool.name)
    return Speed(rate.load_per_second, rate.start_seconds, rate.source, rate.overhead_seconds)
