"""Fleets, groups and pieces for the tests of placement."""

from __future__ import annotations

from typing import Any

from millrace.engine.fleet.pools import GIB
from millrace.engine.labels import Label
from millrace.engine.placement.model import Group, Offer, Piece, PoolState, Snapshot, Speed
from millrace.engine.stages import Needs

HOUR = 3600.0


def pool(name: str = "studio", **changes: Any) -> PoolState:
    """Returns a local GPU pool that may see everything, for 0.36 an hour of a slot."""
    facts: dict[str, Any] = {
        "name": name,
        "where": "local",
        "clearance": Label.RESTRICTED,
        "store": "home",
        "store_clearance": Label.RESTRICTED,
        "offers": (Offer("own", 0.36 / HOUR),),
        "device": "cuda",
        "device_name": "rtx-4090",
        "vram": 24 * GIB,
        "cores": 8,
        "memory": 64 * GIB,
        "slots": 1,
        "free": 1,
    }
    return PoolState(**(facts | changes))


def cloud(name: str = "burst", **changes: Any) -> PoolState:
    """Returns a cloud pool for internal data: 3.60 an hour on demand, 1.08 on spot."""
    facts: dict[str, Any] = {
        "where": "cloud",
        "clearance": Label.INTERNAL,
        "store": "bucket",
        "store_clearance": Label.INTERNAL,
        "offers": (Offer("on_demand", 3.6 / HOUR), Offer("spot", 1.08 / HOUR, 0.1 / HOUR)),
        "slots": 4,
        "free": 4,
    }
    return pool(name, **(facts | changes))


def group(id_: str = "scale", *names: str, rate: float = 1.0, **changes: Any) -> Group:
    """Returns a group for GPUs with the same speed on every named pool (studio and burst)."""
    facts: dict[str, Any] = {
        "id": id_,
        "kind": "video.upscale",
        "version": 1,
        "label": Label.INTERNAL,
        "needs": Needs(gpu="prefer", vram=2 * GIB),
        "device": "cuda",
        "speeds": {name: Speed(rate, 0.0) for name in names or ("studio", "burst")},
    }
    return Group(**(facts | changes))


def pieces(count: int, load: float = 60.0, group_: str = "scale", **changes: Any) -> list[Piece]:
    """Returns pieces that are alike."""
    return [Piece(f"{group_}-{i:04}", group_, load, **changes) for i in range(count)]


def fleet(*pools: PoolState, **changes: Any) -> Snapshot:
    """Returns a snapshot of these pools."""
    return Snapshot(pools=pools, **changes)
