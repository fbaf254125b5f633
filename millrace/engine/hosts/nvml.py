"""What NVIDIA's management library says about the GPUs of this host; the only module that asks it.

A host without the driver has no GPUs, which is no error. Every value that a GPU, a driver or a
virtual machine does not report is None: nothing is guessed. Units are SI and bytes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ByteSize, ConfigDict

SLOWED = {  # name in NVML → what it means; "idle" and clocks set by a person are left out
    "SwPowerCap": "power limit reached",
    "HwSlowdown": "hardware slowdown",
    "HwThermalSlowdown": "too hot (hardware)",
    "SwThermalSlowdown": "too hot (driver)",
    "HwPowerBrakeSlowdown": "power brake from the supply",
}


class Condition(BaseModel):
    """How a GPU is set up and how it runs right now. None = not reported."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    persistence: bool | None = None
    power_limit: float | None = None  # W
    power_default: float | None = None  # W
    ecc: bool | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    performance_state: int | None = None  # 0 = full clocks … 15 = idle
    slowed_by: tuple[str, ...] | None = None


class Gpu(BaseModel):
    """One GPU, or one MIG instance of a GPU. `vram` 0 = not reported; `bandwidth` in bytes/s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uuid: str
    name: str
    vram: ByteSize = ByteSize(0)
    free: ByteSize | None = None
    driver: str = ""
    compute_capability: str = ""
    bandwidth: float | None = None
    parent: str = ""  # UUID of the physical GPU that a MIG instance belongs to
    condition: Condition = Condition()


class Nvml:
    """The management library; initialised for each question and shut down after it.

    `library` is anything with pynvml's functions; a simulated one stands in for it in tests.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = library if library is not None else importlib.import_module("pynvml")

    def gpus(self) -> tuple[Gpu, ...]:
        """Returns the GPUs of this host in PCI order; a divided one as its MIG instances."""
        try:
            self._library.nvmlInit()
        except self._library.NVMLError:
            return ()
        try:
            count = self._ask("nvmlDeviceGetCount") or 0
            return tuple(gpu for index in range(count) for gpu in self._at(index))
        finally:
            self._ask("nvmlShutdown")

    def _at(self, index: int) -> Iterator[Gpu]:
        handle = self._ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            return  # fallen off the bus, or not ours to see
        whole = self._gpu(handle)
        mode = self._ask("nvmlDeviceGetMigMode", handle)
        if not mode or mode[0] != 1:
            yield whole
            return
        for slot in range(self._ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
            part = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, slot)
            if part is not None:
                yield self._instance(part, whole)

    def _gpu(self, handle: Any) -> Gpu:
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        capability = self._ask("nvmlDeviceGetCudaComputeCapability", handle)
        return Gpu(
            uuid=self._ask("nvmlDeviceGetUUID", handle) or "",
            name=self._ask("nvmlDeviceGetName", handle) or "GPU",
            vram=memory.total if memory else ByteSize(0),
            free=memory.free if memory else None,
            driver=self._ask("nvmlSystemGetDriverVersion") or "",
            compute_capability=".".join(map(str, capability)) if capability else "",
            bandwidth=self._bandwidth(handle),
            condition=self._condition(handle),
        )

    def _instance(self, part: Any, whole: Gpu) -> Gpu:
        memory = self._ask("nvmlDeviceGetMemoryInfo", part)
        return whole.model_copy(
            update={
                "uuid": self._ask("nvmlDeviceGetUUID", part) or "",
                "name": self._ask("nvmlDeviceGetName", part) or f"{whole.name} MIG",
                "vram": ByteSize(memory.total if memory else 0),
                "free": ByteSize(memory.free) if memory else None,
                "bandwidth": None,  # an instance has a share that NVML does not tell
                "parent": whole.uuid,
            }
        )

    def _bandwidth(self, handle: Any) -> float | None:
        """Returns the theoretical bandwidth: two transfers a clock over the bus width (bits)."""
        width = self._ask("nvmlDeviceGetMemoryBusWidth", handle)
        clock = self._ask("nvmlDeviceGetMaxClockInfo", handle, self._library.NVML_CLOCK_MEM)
        return 2 * clock * 1e6 * width / 8 if width and clock else None

    def _condition(self, handle: Any) -> Condition:
        ecc = self._ask("nvmlDeviceGetEccMode", handle)
        persistence = self._ask("nvmlDeviceGetPersistenceMode", handle)
        return Condition(
            persistence=None if persistence is None else bool(persistence),
            power_limit=_watts(self._ask("nvmlDeviceGetPowerManagementLimit", handle)),
            power_default=_watts(self._ask("nvmlDeviceGetPowerManagementDefaultLimit", handle)),
            ecc=bool(ecc[0]) if ecc else None,
            pcie_width=self._ask("nvmlDeviceGetCurrPcieLinkWidth", handle),
            pcie_width_max=self._ask("nvmlDeviceGetMaxPcieLinkWidth", handle),
            pcie_generation=self._ask("nvmlDeviceGetCurrPcieLinkGeneration", handle),
            pcie_generation_max=self._ask("nvmlDeviceGetMaxPcieLinkGeneration", handle),
            performance_state=self._ask("nvmlDeviceGetPerformanceState", handle),
            slowed_by=self._slowed_by(handle),
        )

    def _slowed_by(self, handle: Any) -> tuple[str, ...] | None:
        bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        if bits is None:
            return None
        names = {
            getattr(self._library, f"nvmlClocksThrottleReason{n}"): t for n, t in SLOWED.items()
        }
        return tuple(text for bit, text in names.items() if bits & bit)

    def _ask(self, function: str, *arguments: Any) -> Any:
        """Returns what NVML answers, or None where this GPU, driver or user gets no answer."""
        try:
            return getattr(self._library, function)(*arguments)
        except self._library.NVMLError:
            return None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000
