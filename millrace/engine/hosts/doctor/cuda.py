"""Settings of CUDA and of the frameworks on it: caches, TF32, allocators.

Sources: "CUDA Environment Variables" in NVIDIA's CUDA Programming Guide; PyTorch's notes on CUDA
semantics; ONNX Runtime's page on the CUDA execution provider.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from millrace.engine.hosts.devices import Host, size
from millrace.engine.hosts.doctor.finding import Finding, installed
from millrace.engine.sessions.environment import clean

AREA = "cuda"
SMALL_CACHE = 1 << 30  # bytes; the driver's default, which one framework's kernels can fill
LARGEST_CACHE = 1 << 32


def findings(
    host: Host, environment: Mapping[str, str], version: Callable[[str], str] = installed
) -> Iterator[Finding]:
    """Yields what the environment sets that costs speed. Of a host without GPUs, only mistakes.

    `version` tells the version of an installed Python package, or "".
    """
    yield from _cache(environment, usable=bool(host.gpus))
    yield from _loading(environment)
    yield from _tf32(host, environment, version)
    if host.gpus:
        yield from _runtime(version)
        yield from _allocators(environment, version)


def _cache(environment: Mapping[str, str], *, usable: bool) -> Iterator[Finding]:
    again = "every process compiles its kernels anew, seconds to minutes at each start"
    if environment.get("CUDA_CACHE_DISABLE", "0") == "1":
        text = f"CUDA_CACHE_DISABLE=1: {again}"
        yield Finding(area=AREA, level="warn", text=text, fix="unset CUDA_CACHE_DISABLE")
        return
    limit = environment.get("CUDA_CACHE_MAXSIZE", "")
    if limit.isdigit() and int(limit) < SMALL_CACHE:
        text = f"CUDA_CACHE_MAXSIZE is {size(int(limit))}: kernels push each other out, {again}"
        fix = f"unset it, or CUDA_CACHE_MAXSIZE={LARGEST_CACHE}"
        yield Finding(area=AREA, level="warn", text=text, fix=fix)
    home = Path(environment.get("HOME") or "~").expanduser()
    folder = Path(environment.get("CUDA_CACHE_PATH") or home / ".nv" / "ComputeCache")
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        fix = "set CUDA_CACHE_PATH to a local folder that you may write"
        text = f"the kernel cache {folder} cannot be written: {again}"
        yield Finding(area=AREA, level="warn", text=text, fix=fix)
    elif usable:
        text = f"kernel cache: {folder}, at most {size(int(limit)) if limit.isdigit() else '1 GiB'}"
        yield Finding(area=AREA, level="ok", text=text)


def _loading(environment: Mapping[str, str]) -> Iterator[Finding]:
    if environment.get("CUDA_MODULE_LOADING", "").upper() == "EAGER":
        text = (
            "CUDA_MODULE_LOADING=EAGER: every kernel is loaded at the start, which costs seconds "
        )
        text += "and hundreds of MB of VRAM in each session"
        fix = "unset it (LAZY is the default since CUDA 12.2)"
        yield Finding(area=AREA, level="warn", text=text, fix=fix)
    if environment.get("CUDA_LAUNCH_BLOCKING", "0") == "1":
        text = "CUDA_LAUNCH_BLOCKING=1: CPU and GPU wait for each other at every kernel"
        yield Finding(area=AREA, level="warn", text=text, fix="unset it; it is for debugging")


def _tf32(
    host: Host, environment: Mapping[str, str], version: Callable[[str], str]
) -> Iterator[Finding]:
    override = environment.get("NVIDIA_TF32_OVERRIDE")
    if override == "0":
        text = (
            "NVIDIA_TF32_OVERRIDE=0: fp32 networks run without tensor cores, several times slower"
        )
        yield Finding(area=AREA, level="warn", text=text, fix="unset NVIDIA_TF32_OVERRIDE")
        return
    capable = [g for g in host.gpus if _major(g.compute_capability) >= 8]
    if not capable:
        return
    text = "TF32: ONNX Runtime and TensorRT use it unless told otherwise"
    if version("torch"):
        text += "; torch uses it for convolutions, not for matrix products"
    fix = 'for torch: torch.set_float32_matmul_precision("high")' if version("torch") else ""
    yield Finding(area=AREA, level="ok", text=f"{text}. What a session uses: not measured", fix=fix)


def _runtime(version: Callable[[str], str]) -> Iterator[Finding]:
    gpu, cpu = version("onnxruntime-gpu"), version("onnxruntime")
    if gpu:
        yield Finding(area=AREA, level="ok", text=f"onnxruntime-gpu {gpu}")
    else:
        there = f"onnxruntime {cpu} is the CPU's build" if cpu else "onnxruntime is not installed"
        fix = "pip uninstall onnxruntime; pip install onnxruntime-gpu"
        text = f"{there}: networks run on the CPU though there is a GPU"
        yield Finding(area=AREA, level="warn", text=text, fix=fix)


def _allocators(environment: Mapping[str, str], version: Callable[[str], str]) -> Iterator[Finding]:
    if environment.get("PYTORCH_NO_CUDA_MEMORY_CACHING", "0") == "1":
        text = (
            "PYTORCH_NO_CUDA_MEMORY_CACHING=1: torch asks the driver for every tensor, very slowly"
        )
        yield Finding(area=AREA, level="warn", text=text, fix="unset it; it is for debugging")
    names = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
    setting = next((environment[name] for name in names if environment.get(name)), "")
    if version("torch") and "expandable_segments:True" not in setting:
        text = "torch's allocator keeps fixed segments: changing shapes fragment the VRAM"
        fix = "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True (newer torch: PYTORCH_ALLOC_CONF)"
        yield Finding(area=AREA, level="note", text=text, fix=fix)
    if version("tensorflow") and environment.get("TF_FORCE_GPU_ALLOW_GROWTH") != "true":
        text = "TensorFlow takes all VRAM at its start, more than its lease"
        fix = "TF_FORCE_GPU_ALLOW_GROWTH=true, and TF_GPU_ALLOCATOR=cuda_malloc_async"
        yield Finding(area=AREA, level="warn", text=text, fix=fix)
    text = "ONNX Runtime's arena doubles as it grows, past its lease, unless the session bounds it"
    fix = "in a kind: gpu_mem_limit = the lease's vram, arena_extend_strategy = kSameAsRequested"
    yield Finding(area=AREA, level="note", text=text, fix=fix)
    kept = clean(environment)
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "TF_GPU_ALLOCATOR"):
        if environment.get(name) and name not in kept:
            text = f"{name} is set in your shell, but sessions do not get it"
            yield Finding(area=AREA, level="note", text=text, fix="a kind has to declare it")


def _major(capability: str) -> int:
    major = capability.partition(".")[0]
    return int(major) if major.isdigit() else 0
