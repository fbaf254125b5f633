"""Which library runs a network on which device, and what that makes of a batch's profile.

In a pool (`Device.pooled`) the GPUs of all hosts are to make the same bytes, whoever plans: what
counts there is what workers with GPUs are told to have, ONNX Runtime `GPU_RUNTIME` with CUDA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from millrace.engine.hosts.devices import Device
from millrace.tasks.video.network import ARITHMETIC, Network, Precision

Backend = Literal["tensorrt", "cuda", "openvino"]

GPU_RUNTIME = "1.23.2"  # of onnxruntime-gpu, as the image of workers with GPUs has it
_GPU_HINT = f"install onnxruntime-gpu {GPU_RUNTIME} there, in the place of onnxruntime"


@dataclass(frozen=True)
class Attempt:
    """A backend to try, or why it is not tried."""

    backend: Backend
    refused: str = ""


def attempts(device: Device, providers: Sequence[str]) -> tuple[Attempt, ...]:
    """Returns the backends for a device in the order to try them. Pure.

    `providers` are ONNX Runtime's that this installation has: tensorrt, cuda, cpu.
    """
    if device.kind == "cpu":
        return (Attempt("openvino"),)
    missing = "this ONNX Runtime is built without it (install onnxruntime-gpu)"
    gpu: tuple[Backend, ...] = ("tensorrt", "cuda")
    tried = (Attempt(name, "" if name in providers else missing) for name in gpu)
    return (*tried, Attempt("openvino"))


def profile_of(network: Network, precision: Precision, device: Device) -> dict[str, str]:
    """Returns what of the network's side changes the output on a device, by the backend that is to
    be used there: the digest, the backend and its version, the arithmetic, and a GPU's name."""
    first = next(a.backend for a in attempts(device, providers_here(device)) if not a.refused)
    found = {"network": network.digest, **_library(first, device)}
    if first != "openvino":
        return found | {"precision": ARITHMETIC[first, precision]}
    if precision == "exact":
        return found | {"precision": "f32"}
    from millrace.tasks.video.backend_openvino import fast_arithmetic

    return found | {"precision": fast_arithmetic()}


def library_of(device: Device) -> dict[str, str]:
    """Returns what of a profile is the same for all networks and precisions on a device."""
    first = next(a.backend for a in attempts(device, providers_here(device)) if not a.refused)
    return _library(first, device)


def library_advice(name: str, value: str) -> str:
    """Returns what makes a host have a value in its profile, "" where nothing special does."""
    wanted = {"backend": "onnxruntime-cuda", "backend_version": GPU_RUNTIME}
    return _GPU_HINT if wanted.get(name) == value else ""


def _library(backend: Backend, device: Device) -> dict[str, str]:
    if backend == "openvino":
        return {"backend": backend, "backend_version": metadata.version("openvino")}
    if _elsewhere(device):
        version = GPU_RUNTIME
    else:
        from millrace.tasks.video.backend_onnxruntime import runtime_version

        version = runtime_version()
    return {
        "backend": f"onnxruntime-{backend}",
        "backend_version": version,
        "device": device.name,
    }


def _elsewhere(device: Device) -> bool:
    """True for a GPU of a pool that this host only plans for."""
    return device.pooled and not device.uuid


def providers_here(device: Device) -> tuple[str, ...]:
    """Returns the providers that ONNX Runtime has for a device; none are asked for on a CPU, and of
    the GPUs of pools what all are to have."""
    if device.kind == "cpu":
        return ()
    if _elsewhere(device):
        return ("cuda",)
    try:
        from millrace.tasks.video.backend_onnxruntime import available
    except ImportError:
        return ()
    return tuple(name for name in available() if name != "tensorrt" or not device.pooled)
