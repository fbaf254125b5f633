"""GPUs as the management library reports them; a simulated one stands in for the driver."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from millrace.engine.hosts.devices import inventory
from millrace.engine.hosts.nvml import Nvml

GIB = 1 << 30


class SimulatedLibrary:
    """Answers like pynvml, function by function, for GPUs given as tables of answers."""

    NVMLError = pynvml.NVMLError

    def __init__(self, *gpus: dict[str, Any]) -> None:
        self.gpus = gpus
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        if self.gpus[index].get("lost"):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return self.gpus[index]

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: dict[str, Any], slot: int) -> Any:
        if slot >= len(gpu["parts"]):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return gpu["parts"][slot]

    def __getattr__(self, name: str) -> Any:
        real = getattr(pynvml, name)  # a name that pynvml lacks fails here as it would there
        if not callable(real):
            return real

        def answer(gpu: dict[str, Any], *_: Any) -> Any:
            if name.removeprefix("nvmlDeviceGet") not in gpu:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return gpu[name.removeprefix("nvmlDeviceGet")]

        return answer


def memory(total: int, free: int) -> SimpleNamespace:
    return SimpleNamespace(total=total, free=free, used=total - free)


H100 = {
    "UUID": "GPU-1",
    "Name": "NVIDIA H100 80GB HBM3",
    "MemoryInfo": memory(80 * GIB, 79 * GIB),
    "CudaComputeCapability": (9, 0),
    "MemoryBusWidth": 5120,
    "MaxClockInfo": 2619,
    "PersistenceMode": 1,
    "PowerManagementLimit": 500_000,
    "PowerManagementDefaultLimit": 700_000,
    "EccMode": [1, 1],
    "CurrPcieLinkWidth": 8,
    "MaxPcieLinkWidth": 16,
    "CurrPcieLinkGeneration": 1,
    "MaxPcieLinkGeneration": 5,
    "PerformanceState": 8,
    "CurrentClocksThrottleReasons": (
        pynvml.nvmlClocksThrottleReasonSwPowerCap | pynvml.nvmlClocksThrottleReasonGpuIdle
    ),
    "MigMode": [0, 0],
}


def test_everything_a_gpu_reports_is_taken_in_si_units() -> None:
    library = SimulatedLibrary(H100)
    (gpu,) = Nvml(library).gpus()
    assert (gpu.uuid, gpu.name) == ("GPU-1", "NVIDIA H100 80GB HBM3")
    assert (gpu.vram, gpu.free) == (80 * GIB, 79 * GIB)
    assert (gpu.driver, gpu.compute_capability) == ("580.1", "9.0")
    assert gpu.bandwidth == pytest.approx(3.35e12, rel=0.01)  # as the data sheet has it
    condition = gpu.condition
    assert (condition.power_limit, condition.power_default) == (500.0, 700.0)
    assert (condition.persistence, condition.ecc) == (True, True)
    assert (condition.pcie_width, condition.pcie_width_max) == (8, 16)
    assert (condition.pcie_generation, condition.pcie_generation_max) == (1, 5)
    assert condition.performance_state == 8
    assert condition.slowed_by == ("power limit reached",)
    assert library.open == 0


def test_what_a_gpu_does_not_report_is_unknown_not_guessed() -> None:
    (gpu,) = Nvml(SimulatedLibrary({"UUID": "GPU-1", "Name": "GB10"})).gpus()
    assert (gpu.vram, gpu.free, gpu.bandwidth, gpu.compute_capability) == (0, None, None, "")
    assert set(gpu.condition.model_dump().values()) == {None}


def test_a_divided_gpu_is_its_instances() -> None:
    parts = [
        {"UUID": f"MIG-{n}", "Name": "H100 MIG 1g.10gb", "MemoryInfo": memory(10 * GIB, 10 * GIB)}
        for n in range(2)
    ]
    divided = H100 | {"MigMode": [1, 1], "MaxMigDeviceCount": 7, "parts": parts}
    gpus = Nvml(SimulatedLibrary(divided, H100 | {"UUID": "GPU-2"})).gpus()
    assert [(g.uuid, g.parent) for g in gpus] == [
        ("MIG-0", "GPU-1"),
        ("MIG-1", "GPU-1"),
        ("GPU-2", ""),
    ]
    assert [g.vram for g in gpus] == [10 * GIB, 10 * GIB, 80 * GIB]
    assert gpus[0].bandwidth is None


def test_a_gpu_that_fell_off_the_bus_is_left_out() -> None:
    assert [g.uuid for g in Nvml(SimulatedLibrary({"lost": True}, H100)).gpus()] == ["GPU-1"]


def test_a_host_without_the_driver_has_no_gpus() -> None:
    class NoDriver(SimulatedLibrary):
        def nvmlInit(self) -> None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    assert Nvml(NoDriver(H100)).gpus() == ()
    assert inventory(environment={}, nvml=NoDriver(H100)).gpus == ()


def test_the_inventory_holds_the_gpus_that_cuda_may_see() -> None:
    library = SimulatedLibrary(H100, H100 | {"UUID": "GPU-2"})
    host = inventory(environment={"CUDA_VISIBLE_DEVICES": "GPU-2"}, nvml=library)
    assert [gpu.uuid for gpu in host.gpus] == ["GPU-2"]
