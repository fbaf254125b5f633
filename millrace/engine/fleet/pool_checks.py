"""What is wrong or doubtful about pools beyond their keys: devices, stores, slots, who conducts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from millrace.engine.document.problems import Finding, listed, nearest
from millrace.engine.document.quantities import show_size
from millrace.engine.fleet import catalogue
from millrace.engine.fleet.draft import Draft, of_model
from millrace.engine.fleet.pools import HOME, PoolSpec
from millrace.engine.fleet.resolved import gpus_of, slots_of
from millrace.engine.labels import Label

FIRST_CLASS = ("process", "docker", "kubernetes")
RESERVED = {"here": "this machine", "fleet": "all pools together", HOME: "the conductor's store"}

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


def problems(draft: Draft, base: Path) -> Iterator[Finding]:
    """Yields what is wrong between pools and what they refer to."""
    for name, pool in draft.pools.items():
        where = ("pools", name)
        if not _NAME.fullmatch(name):
            message = (
                f"{name!r} is no name for a pool: use small letters, digits and -, begin with a "
                "letter, at most 40 of them"
            )
            yield Finding(where, message, at_key=True)
        elif name in RESERVED or name.startswith("prefect"):
            means = RESERVED.get(name, "something of Prefect's own")
            yield Finding(where, f"{name!r} already means {means}; use another name", at_key=True)
        if pool is not None:
            yield from _store(draft, name, pool)
            yield from _device(name, pool)
            yield from _template(name, pool, base)
    yield from _division(draft)


def doubts(draft: Draft) -> Iterator[Finding]:
    """Yields what is allowed and probably not meant."""
    for name, pool in draft.pools.items():
        if pool is not None:
            yield from _clearance(draft, name, pool)
            yield from _unlikely(name, pool)
    known = [pool for pool in draft.pools.values() if pool is not None]
    if known and len(known) == len(draft.pools) and not any(p.runs == "conductors" for p in known):
        message = "no pool has `runs: conductors`: pipelines cannot run by themselves on a schedule"
        yield Finding(("pools",), message, at_key=True)


def _store(draft: Draft, name: str, pool: PoolSpec) -> Iterator[Finding]:
    where = ("pools", name, "store")
    unknown = pool.store not in (HOME, *draft.stores)  # a missing `home` is told once
    if unknown and "stores" not in draft.broken:
        near = nearest(pool.store, draft.stores)
        known = f"; there are {listed(list(draft.stores), 'and')}" if draft.stores else ""
        yield Finding(where, f"no store is called {pool.store!r}{near or known}")
    elif pool.runs == "conductors" and pool.store != HOME:
        message = f"conductors keep their runs in the store 'home'; {name!r} must use it"
        yield Finding(where, message)


def _device(name: str, pool: PoolSpec) -> Iterator[Finding]:
    where = ("pools", name)
    device = catalogue.get(pool.device)
    if device is None:
        yield Finding((*where, "device"), catalogue.unknown(pool.device))
        return
    if device.kind == "cuda" and of_model(pool, "gpus") and not pool.gpus:
        message = f"{device.title} is a GPU; leave gpus out for one of them, or write `device: cpu`"
        yield Finding((*where, "gpus"), message)
    for key in ("gpus", "vram"):
        if device.kind == "cpu" and getattr(pool, key):
            message = f"the class 'cpu' has no GPU; name a device class to have {key}"
            yield Finding((*where, key), message)
    slots = slots_of(pool, device)
    if slots > pool.cores and pool.runs == "work":  # conductors share cores: they mostly wait
        at = "slots" if pool.slots else "cores"
        message = f"a machine with {pool.cores} cores cannot hold {slots} slots; each needs one"
        yield Finding((*where, at), message)


def _template(name: str, pool: PoolSpec, base: Path) -> Iterator[Finding]:
    where = ("pools", name, "template" if pool.template else "type")
    if pool.template:
        if not (base / pool.template).is_file():
            message = (
                f"there is no file {pool.template!r}; relative paths start from this file's folder"
            )
            yield Finding(where, message)
    elif pool.type not in FIRST_CLASS:
        near = nearest(pool.type, FIRST_CLASS)
        words = f"a pool of type {pool.type!r} needs `template:`, Prefect's base job template"
        yield Finding(where, words + (near or f"; {listed(FIRST_CLASS, 'and')} need none"))


def _division(draft: Draft) -> Iterator[Finding]:
    if not draft.pools and "pools" not in draft.broken:
        yield Finding(("pools",), "a fleet needs at least one pool", at_key=True)
        return
    known = {name: pool for name, pool in draft.pools.items() if pool is not None}
    conductors = [name for name, pool in known.items() if pool.runs == "conductors"]
    for name in conductors[1:]:
        message = f"{conductors[0]!r} runs conductors already; a fleet has one such pool"
        yield Finding(("pools", name, "runs"), message)
    if conductors and len(conductors) == len(draft.pools):
        yield Finding(("pools",), "no pool takes work; all of them run conductors", at_key=True)


def _clearance(draft: Draft, name: str, pool: PoolSpec) -> Iterator[Finding]:
    store = draft.stores.get(pool.store)
    if store is not None and pool.clearance > store.clearance:
        message = (
            f"{name!r} is cleared for {pool.clearance} and its store {pool.store!r} for "
            f"{store.clearance} only; work that is more than {store.clearance} never goes there"
        )
        yield Finding(("pools", name, "clearance"), message, at_key=True)
    elif not of_model(pool, "clearance"):
        message = f"{name!r} has no clearance and so may see public data only"
        yield Finding(("pools", name), message, at_key=True)
    if pool.runs == "conductors" and pool.clearance < Label.RESTRICTED:
        message = (
            f"conductors read names and sizes of all files; with this clearance no pipeline above "
            f"{pool.clearance} can run by itself"
        )
        yield Finding(("pools", name, "clearance"), message, at_key=True)


def _unlikely(name: str, pool: PoolSpec) -> Iterator[Finding]:
    where = ("pools", name)
    device = catalogue.get(pool.device)
    if device is None or pool.runs == "conductors":
        return
    if pool.vram and device.kind == "cuda" and pool.vram > device.memory_gb * (1 << 30):
        message = (
            f"{device.title} has {device.memory_gb:g} GB; work that needs {show_size(pool.vram)} "
            "would be sent where it does not fit"
        )
        yield Finding((*where, "vram"), message)
    gpus, slots = gpus_of(pool, device), slots_of(pool, device)
    if gpus > slots:
        message = f"a machine has {gpus} GPUs and {slots} slots; a slot uses one GPU at a time"
        yield Finding((*where, "slots"), message)
    if pool.store != HOME and pool.bandwidth is None:
        message = f"{name!r} says no bandwidth to its store; 100 Mbit/s is assumed"
        yield Finding(where, message, at_key=True)
    if pool.where == "cloud" and pool.store == HOME:
        message = f"{name!r} is in the cloud and needs the conductor's own folder there"
        yield Finding((*where, "store"), message)
