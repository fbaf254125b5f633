"""What the doctor says of GPUs and CUDA, on GPUs that a table simulates."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.hosts.devices import Host
from millrace.engine.hosts.doctor import cuda, gpus, worst
from millrace.engine.hosts.doctor.finding import Finding
from millrace.engine.hosts.nvml import Condition, Gpu

GIB = 1 << 30
SOUND = Condition(
    persistence=True,
    power_limit=300.0,
    power_default=300.0,
    ecc=False,
    pcie_width=16,
    pcie_width_max=16,
    pcie_generation=4,
    pcie_generation_max=4,
    performance_state=0,
    slowed_by=(),
)
GPU = Gpu(
    uuid="GPU-1",
    name="NVIDIA RTX A1000",
    vram=24 * GIB,
    free=24 * GIB,
    driver="580.1",
    compute_capability="8.6",
    bandwidth=1.008e12,
    condition=SOUND,
)


def host(*found: Gpu) -> Host:
    return Host(cores=4, memory=GIB, gpus=found)


def seen(gpu: Gpu = GPU, **condition: object) -> list[Finding]:
    changed = gpu.model_copy(update={"condition": SOUND.model_copy(update=condition)})
    return list(gpus.findings(host(changed), {}))


def text(found: list[Finding], level: str) -> str:
    return "\n".join(f"{f.text} → {f.fix}" for f in found if f.level == level)


def test_a_sound_gpu_has_one_finding_that_tells_what_it_is() -> None:
    (finding,) = seen()
    assert finding.level == "ok"
    for fact in ("24.0 GiB", "1008 GB/s", "compute capability 8.6", "driver 580.1"):
        assert fact in finding.text


@pytest.mark.parametrize(
    ("condition", "says", "fix"),
    [
        ({"persistence": False}, "persistence mode is off", "nvidia-smi -pm 1"),
        ({"power_limit": 200.0}, "limited to 200 W of 300 W", "nvidia-smi -pl 300"),
        ({"pcie_width": 4}, "PCIe ×4 of ×16: frames reach it at 25%", "slot"),
        ({"pcie_generation": 3}, "generation 3 of 4 at full clocks", "BIOS"),
        ({"slowed_by": ("too hot (driver)",)}, "slowed at this moment: too hot", "cooling"),
    ],
)
def test_a_gpu_that_is_held_back_is_told_by_what(
    condition: dict[str, object], says: str, fix: str
) -> None:
    warning = text(seen(**condition), "warn")
    assert says in warning
    assert fix in warning.split("→")[1]


def test_an_idle_link_is_not_called_slow() -> None:
    found = seen(pcie_generation=1, performance_state=8)
    assert worst(found) == "note"
    assert "while idle" in text(found, "note")
    assert "not measured" in text(found, "note")


def test_a_driver_too_old_for_cuda_12_is_warned_of() -> None:
    assert "too old" in text(seen(GPU.model_copy(update={"driver": "470.1"})), "warn")


def test_ecc_is_noted_on_gddr_and_not_on_hbm() -> None:
    assert "ECC is on" in text(seen(ecc=True), "note")
    hbm = GPU.model_copy(update={"name": "NVIDIA A100-SXM4-80GB"})
    assert worst(seen(hbm, ecc=True)) == "ok"


def test_vram_that_others_use_is_noted() -> None:
    assert "4.0 GiB of VRAM is in use" in text(
        seen(GPU.model_copy(update={"free": 20 * GIB})), "note"
    )


def test_what_a_gpu_does_not_report_is_listed_as_not_measured() -> None:
    bare = Gpu(uuid="GPU-1", name="GB10")
    found = list(gpus.findings(host(bare), {}))
    assert "VRAM not measured" in text(found, "ok")
    notes = text(found, "note")
    for name in Condition.model_fields:
        assert name.replace("_", " ") in notes
    assert worst(found) == "note"


def test_a_host_without_gpus_says_what_that_means() -> None:
    assert "runs on the CPU" in text(list(gpus.findings(host(), {})), "note")


def test_hidden_gpus_are_not_called_missing() -> None:
    found = list(gpus.findings(host(), {"CUDA_VISIBLE_DEVICES": ""}))
    assert "leaves 0 GPUs" in text(found, "note")
    assert "no NVIDIA GPU" not in text(found, "note")


def test_counting_gpus_that_differ_is_warned_of() -> None:
    two = host(GPU, GPU.model_copy(update={"uuid": "GPU-2", "name": "T4"}))
    counted = {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert "PCI_BUS_ID" in text(list(gpus.findings(two, counted)), "warn")
    ordered = {**counted, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert text(list(gpus.findings(two, ordered)), "warn") == ""


def test_a_simulated_host_is_called_so() -> None:
    found = list(gpus.findings(host(GPU).model_copy(update={"simulated": True}), {}))
    assert "none of them real" in text(found, "warn")


def settings(tmp_path: Path, *found: Gpu, **environment: str) -> list[Finding]:
    return list(cuda.findings(host(*found), {"HOME": str(tmp_path), **environment}))


def test_a_host_without_gpus_and_settings_has_nothing_to_say_of_cuda(tmp_path: Path) -> None:
    assert settings(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "value", "cost"),
    [
        ("CUDA_CACHE_DISABLE", "1", "compiles its kernels anew"),
        ("CUDA_CACHE_MAXSIZE", "1048576", "push each other out"),
        ("CUDA_CACHE_PATH", "/dev/null/none", "cannot be written"),
        ("CUDA_MODULE_LOADING", "EAGER", "costs seconds"),
        ("CUDA_LAUNCH_BLOCKING", "1", "wait for each other"),
        ("NVIDIA_TF32_OVERRIDE", "0", "without tensor cores"),
        ("PYTORCH_NO_CUDA_MEMORY_CACHING", "1", "very slowly"),
    ],
)
def test_a_setting_that_costs_speed_is_warned_of_with_what_to_set(
    tmp_path: Path, name: str, value: str, cost: str
) -> None:
    without = {f.text for f in settings(tmp_path, GPU)}
    (warning,) = [
        f
        for f in settings(tmp_path, GPU, **{name: value})
        if f.level == "warn" and f.text not in without
    ]
    assert cost in warning.text
    assert warning.fix


def test_harmless_values_of_the_same_settings_are_not_warned_of(tmp_path: Path) -> None:
    usual = settings(tmp_path, GPU)
    quiet = settings(
        tmp_path,
        GPU,
        CUDA_CACHE_DISABLE="0",
        CUDA_MODULE_LOADING="LAZY",
        CUDA_LAUNCH_BLOCKING="0",
        NVIDIA_TF32_OVERRIDE="1",
        PYTORCH_NO_CUDA_MEMORY_CACHING="0",
    )
    assert quiet == usual


def with_packages(tmp_path: Path, **versions: str) -> list[Finding]:
    def version(package: str) -> str:
        return versions.get(package.replace("-", "_"), "")

    return list(cuda.findings(host(GPU), {"HOME": str(tmp_path)}, version))


def test_the_cpu_build_of_onnx_runtime_beside_a_gpu_is_warned_of(tmp_path: Path) -> None:
    warning = text(with_packages(tmp_path, onnxruntime="1.32"), "warn")
    assert "onnxruntime 1.32 is the CPU's build: networks run on the CPU" in warning
    assert "pip install onnxruntime-gpu" in warning
    assert "not installed: networks" in text(with_packages(tmp_path), "warn")


def test_the_gpu_build_of_onnx_runtime_is_well_but_its_arena_is_noted(tmp_path: Path) -> None:
    found = with_packages(tmp_path, onnxruntime_gpu="1.32")
    assert "onnxruntime-gpu 1.32" in text(found, "ok")
    assert text(found, "warn") == ""
    assert "gpu_mem_limit" in text(found, "note")


def test_frameworks_are_spoken_of_only_where_they_are_installed(tmp_path: Path) -> None:
    bare = with_packages(tmp_path, onnxruntime_gpu="1")
    both = with_packages(tmp_path, onnxruntime_gpu="1", torch="2.9", tensorflow="2.20")
    assert not [f for f in bare if "torch" in f.text or "TensorFlow" in f.text]
    assert "expandable_segments:True" in text(both, "note")
    assert "set_float32_matmul_precision" in text(both, "ok")
    assert "TF_FORCE_GPU_ALLOW_GROWTH=true" in text(both, "warn")


def test_tf32_is_spoken_of_only_where_a_gpu_has_it(tmp_path: Path) -> None:
    assert "TF32" in text(settings(tmp_path, GPU), "ok")
    old = GPU.model_copy(update={"compute_capability": "7.5"})
    assert "TF32" not in text(settings(tmp_path, old), "ok")


def test_an_allocator_setting_that_sessions_do_not_get_is_told_so(tmp_path: Path) -> None:
    found = settings(tmp_path, GPU, PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True")
    assert "sessions do not get it" in text(found, "note")
