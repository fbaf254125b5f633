"""Which devices fit a workload, by rule, and which pools have them. Pure.

The rules are those of thumb that hold for years; what a device really does stands in the ledger and
is shown beside them. Rendering keeps a whole scene in VRAM and reads all of it again and again, so
both its size and the bandwidth count. Documents need room for an OCR and a language model at once.
Video in 4K needs room for the frames in flight of an upscaling model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from millrace.engine.fleet.catalogue import DeviceClass
from millrace.engine.fleet.pools import GIB, Basis
from millrace.engine.fleet.resolved import Fleet, Pool

Workload = Literal["render", "documents", "video"]
Verdict = Literal["best", "fits", "slow", "no"]

HOUR = 3600.0


@dataclass(frozen=True)
class Rule:
    """What a workload asks of a GPU: memory in GB, bandwidth of that memory in more than GB/s."""

    words: str
    memory_gb: float
    bandwidth: float = 0.0
    kinds: str = ""  # the first part of the names of its stage kinds


RULES: Mapping[Workload, Rule] = {
    "render": Rule(
        "24 GB or more and over 1 TB/s of memory bandwidth; RT cores preferred", 24, 1000, "render"
    ),
    "documents": Rule("12 GB or more", 12, kinds="documents"),
    "video": Rule("16 GB or more for 4K; NVENC preferred for encoding", 16, kinds="video"),
}


@dataclass(frozen=True)
class Measured:
    """What the ledger has seen: units of a kind in a second on a device class, over `n` batches."""

    device: str
    kind: str
    units_per_second: float
    n: int
    unit: str = "units"


@dataclass(frozen=True)
class Advice:
    """Whether one device class, or one pool, fits a workload, and why.

    `prices` are of an hour of one machine, by basis, in the fleet's currency; of a class without a
    pool they are empty.
    """

    name: str
    device: DeviceClass
    verdict: Verdict
    reasons: tuple[str, ...]
    prices: Mapping[Basis, float]
    measured: tuple[Measured, ...] = ()


def classes(
    workload: Workload, devices: Iterable[DeviceClass], measured: Sequence[Measured] = ()
) -> tuple[Advice, ...]:
    """Returns advice on device classes, the best first and as they come among equals."""
    found = [
        Advice(
            device.name,
            device,
            *judge(workload, device, device.memory_gb),
            prices={},
            measured=_of(measured, workload, device),
        )
        for device in devices
    ]
    return tuple(sorted(found, key=_order))


def pools(
    workload: Workload, fleet: Fleet, measured: Sequence[Measured] = ()
) -> tuple[Advice, ...]:
    """Returns advice on the pools of a fleet that take work, the best first."""
    found = [
        Advice(
            pool.name,
            pool.device,
            *judge(workload, pool.device, _memory(pool)),
            prices={o.basis: o.price * pool.slots_per_machine * HOUR for o in pool.offers},
            measured=_of(measured, workload, pool.device),
        )
        for pool in fleet.workers
    ]
    return tuple(sorted(found, key=_order))


def judge(
    workload: Workload, device: DeviceClass, memory_gb: float
) -> tuple[Verdict, tuple[str, ...]]:
    """Returns whether a device with that much memory fits a workload, with the reasons."""
    rule = RULES[workload]
    if device.kind == "cpu":
        return "slow", ("no GPU: everything runs, on the processor's cores, many times slower",)
    against: list[str] = []
    good: list[str] = []
    bad: list[str] = []
    if memory_gb < rule.memory_gb:
        against.append(f"{memory_gb:g} GB, less than {rule.memory_gb:g} GB")
    else:
        good.append(f"{memory_gb:g} GB")
    if rule.bandwidth and (device.bandwidth or 0) <= rule.bandwidth:
        against.append(f"{_bandwidth(device)}, not over {rule.bandwidth / 1000:g} TB/s")
    elif rule.bandwidth:
        good.append(_bandwidth(device))
    if workload == "render":
        _render(device, good, bad)
    if workload == "video":
        _video(device, good, bad)
    if against:
        return "no", tuple(against)
    return ("fits" if bad else "best"), (*good, *bad)


def _render(device: DeviceClass, good: list[str], bad: list[str]) -> None:
    if device.rt_cores:
        good.append(f"{device.rt_cores} RT cores of generation {device.rt_generation}")
    else:
        bad.append("no RT cores: rays are traced by its general cores")


def _video(device: DeviceClass, good: list[str], bad: list[str]) -> None:
    if device.nvenc:
        good.append(f"{device.nvenc} NVENC, {device.nvdec} NVDEC")
    else:
        bad.append(f"no NVENC: encoding falls to the processor ({device.nvdec} NVDEC decode)")


def _bandwidth(device: DeviceClass) -> str:
    return f"{device.bandwidth or 0:,.0f} GB/s"


def _memory(pool: Pool) -> float:
    """Returns what people call a pool's VRAM: declared, else that of the card's name."""
    return round(pool.spec.vram / GIB, 1) if pool.spec.vram else pool.device.memory_gb


def _of(
    measured: Sequence[Measured], workload: Workload, device: DeviceClass
) -> tuple[Measured, ...]:
    kinds = RULES[workload].kinds
    return tuple(
        one for one in measured if one.device == device.name and one.kind.split(".")[0] == kinds
    )


def _order(advice: Advice) -> int:
    return ("best", "fits", "slow", "no").index(advice.verdict)
