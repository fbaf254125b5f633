"""The GPUs: what each is, how it is set up, and what slows it at this moment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from millrace.engine.hosts.devices import Host, size
from millrace.engine.hosts.doctor.finding import Finding
from millrace.engine.hosts.nvml import Gpu

AREA = "gpu"
OLDEST_DRIVER = 525  # CUDA 12 needs 525.60 (NVIDIA's table of minor version compatibility)
HIGH_BANDWIDTH = {"A100", "A30", "H100", "H200", "B100", "B200", "GH200", "GB200", "V100"}


def findings(host: Host, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yields the state of every GPU that CUDA_VISIBLE_DEVICES leaves."""
    if host.simulated:
        text = f"a device table stands in for this host: {len(host.gpus)} GPUs, none of them real"
        yield Finding(area=AREA, level="warn", text=text, fix="unset MILLRACE_DEVICES")
    wish = environment.get("CUDA_VISIBLE_DEVICES")
    if wish is not None:
        text = f"CUDA_VISIBLE_DEVICES={wish!r} leaves {len(host.gpus)} GPUs"
        yield Finding(area=AREA, level="note", text=text, fix="unset it to use all")
    if not host.gpus and wish is None:
        text = "no NVIDIA GPU, or no driver for it: what prefers a GPU runs on the CPU"
        yield Finding(area=AREA, level="note", text=text)
    if wish and wish[:1].isdigit() and len({gpu.name for gpu in host.gpus}) > 1:
        yield from _order(environment)
    for gpu in host.gpus:
        yield from _gpu(gpu)


def _order(environment: Mapping[str, str]) -> Iterator[Finding]:
    if environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        yield Finding(
            area=AREA,
            level="warn",
            text="the GPUs differ and CUDA_VISIBLE_DEVICES counts them: Millrace by PCI bus, other "
            "programs from the fastest",
            fix="set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name GPUs by UUID (nvidia-smi -L)",
        )


def _gpu(gpu: Gpu) -> Iterator[Finding]:
    facts = [
        size(gpu.vram) if gpu.vram else "VRAM not measured",
        f"{gpu.bandwidth / 1e9:.0f} GB/s by its clocks" if gpu.bandwidth else "",
        f"compute capability {gpu.compute_capability}" if gpu.compute_capability else "",
        f"driver {gpu.driver}" if gpu.driver else "",
    ]
    yield _finding(gpu, "ok", ", ".join(fact for fact in facts if fact))
    yield from _driver(gpu)
    yield from _memory(gpu)
    yield from _setup(gpu)
    yield from _link(gpu)
    if gpu.condition.slowed_by:
        text = f"slowed at this moment: {', '.join(gpu.condition.slowed_by)}"
        yield _finding(gpu, "warn", text, "nvidia-smi -q -d PERFORMANCE; see to cooling and power")
    yield from _unmeasured(gpu)


def _driver(gpu: Gpu) -> Iterator[Finding]:
    major = gpu.driver.partition(".")[0]
    if major.isdigit() and int(major) < OLDEST_DRIVER:
        text = f"driver {gpu.driver} is too old for CUDA 12: networks would run on the CPU"
        yield _finding(gpu, "warn", text, f"install driver {OLDEST_DRIVER} or newer")


def _memory(gpu: Gpu) -> Iterator[Finding]:
    if gpu.vram and gpu.free is not None and gpu.free < 0.9 * gpu.vram:
        text = f"{size(gpu.vram - gpu.free)} of VRAM is in use; leases bind only who asks for one"
        yield _finding(gpu, "note", text, "nvidia-smi shows by whom")


def _setup(gpu: Gpu) -> Iterator[Finding]:
    condition = gpu.condition
    if condition.persistence is False:
        text = "persistence mode is off: the driver loads anew for each session that finds it idle"
        yield _finding(gpu, "warn", f"{text}, seconds each", "nvidia-smi -pm 1")
    limit, default = condition.power_limit, condition.power_default
    if limit is not None and default is not None and limit < default:
        text = f"limited to {limit:.0f} W of {default:.0f} W: lower clocks under sustained load"
        yield _finding(gpu, "warn", text, f"nvidia-smi -pl {default:.0f}")
    if condition.ecc and not HIGH_BANDWIDTH & set(re.split(r"[ -]", gpu.name)):
        text = "ECC is on: on GDDR memory it costs about 6 % of VRAM and some bandwidth"
        yield _finding(gpu, "note", text, "nvidia-smi -e 0 and a restart, if you can do without")
    if gpu.parent:
        yield _finding(gpu, "note", "an instance of a divided GPU (MIG): a share of its speed")


def _link(gpu: Gpu) -> Iterator[Finding]:
    condition = gpu.condition
    width, widest = condition.pcie_width, condition.pcie_width_max
    if width is not None and widest is not None and width < widest:
        text = f"PCIe ×{width} of ×{widest}: frames reach it at {width / widest:.0%} of the speed"
        yield _finding(gpu, "warn", text, "seat it anew or move it to a slot with all lanes")
    now, newest = condition.pcie_generation, condition.pcie_generation_max
    if now is None or newest is None or now >= newest:
        return
    if condition.performance_state == 0:
        text = f"PCIe generation {now} of {newest} at full clocks: half the speed for each step"
        yield _finding(gpu, "warn", text, "see the BIOS's setting of the slot, and risers")
    else:
        text = f"PCIe generation {now} of {newest} while idle (it saves power); under load: "
        yield _finding(gpu, "note", f"{text}not measured")


def _unmeasured(gpu: Gpu) -> Iterator[Finding]:
    names = [name.replace("_", " ") for name, value in gpu.condition if value is None]
    if names:
        yield _finding(gpu, "note", f"not measured (not reported): {', '.join(names)}")


def _finding(gpu: Gpu, level: str, text: str, fix: str = "") -> Finding:
    words = {"area": AREA, "level": level, "text": f"{gpu.name} ({gpu.uuid}): {text}", "fix": fix}
    return Finding.model_validate(words)
