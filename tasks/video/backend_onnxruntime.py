"""The network on a GPU, by ONNX Runtime's TensorRT or CUDA provider; its CPU provider is the judge.

TensorRT engines are kept under everything that they depend on, and made for exact shapes: an engine
of another shape has been seen to give wrong pictures, and one made for changing shapes NaN. So each
shape's first window is also computed on the CPU in float32, and a provider that strays is refused.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from millrace.engine.hosts.devices import Device
from millrace.tasks.video.colour import Plane
from millrace.tasks.video.network import (
    ARITHMETIC,
    Levels,
    Network,
    Precision,
    Provider,
    Unusable,
    margin_of,
)

NAMES: dict[Provider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
# Of 255: half a step is what rounding hides; half-precision arithmetic may cost one step more.
_TOLERANCE = {"f32": 0.5, "tf32": 1.0, "f16": 1.5}
_TENSORRT = "libnvinfer.so.10"  # of TensorRT 10, which ONNX Runtime 1.19 and newer want
_KEPT_SHAPES = 2
_GPU_LANES = 4  # conversion and copies of one window hide behind the computation of others
_PIXEL_BYTES = 64 * 4 * 3  # three live layers of a network four times as wide as ours


@dataclass(frozen=True)
class Host:
    """What a TensorRT engine depends on beside the network, its precision and its shape."""

    runtime: str
    tensorrt: str
    gpu: str
    driver: str


def host_of(device: Device) -> Host:
    """Returns the versions and the GPU that engines made here depend on; "" for what is unknown."""
    return Host(onnxruntime.__version__, _tensorrt_version(), device.name, _driver_version())


def engine_key(network: Network, precision: str, shape: tuple[int, int], host: Host) -> str:
    """Returns the name of the folder for an engine made under exactly these conditions. Pure."""
    parts = (network.digest, precision, f"{shape[0]}x{shape[1]}")
    text = "\n".join((*parts, host.runtime, host.tensorrt, host.gpu, host.driver))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def provider_options(provider: Provider, arithmetic: str, engines: Path) -> dict[str, str]:
    """Returns the options of a provider. Pure. `engines` is TensorRT's folder for one engine."""
    if provider == "tensorrt":
        return {
            "trt_fp16_enable": "1" if arithmetic == "f16" else "0",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(engines),
        }
    if provider == "cuda":
        tf32 = "1" if arithmetic == "tf32" else "0"
        # The exhaustive search times algorithms, so that two runs may pick different ones.
        return {"use_tf32": tf32, "cudnn_conv_algo_search": "HEURISTIC"}
    return {}


def strays(made: npt.NDArray[np.float32], right: npt.NDArray[np.float32], arithmetic: str) -> str:
    """Returns why a result is not good enough, or "". Pure; both in 0…1."""
    if not np.isfinite(made).all():
        return "it computes values that are no numbers"
    worst = float(np.abs(made - right).max()) * 255
    limit = _TOLERANCE[arithmetic]
    return "" if worst <= limit else f"it is off by {worst:.2f} of 255 (at most {limit} is right)"


class OnnxRuntime:
    """A Doubler: one network on one provider, a session for each shape of window.

    Raises Unusable, when built or on the first window of a shape, if the provider does not load or
    computes something else than the CPU.
    """

    def __init__(
        self,
        network: Network,
        provider: Provider,
        precision: Precision,
        device: Device,
        cache: Path,
    ) -> None:
        self._network, self._provider, self._device, self._cache = network, provider, device, cache
        self._precision, self._arithmetic = precision, ARITHMETIC[provider, precision]
        self.lanes = max(1, device.cores if provider == "cpu" else min(device.cores, _GPU_LANES))
        self.pixel_bytes = _PIXEL_BYTES
        self._sessions: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = threading.Lock()
        self._judge = self._start("cpu", None)
        self.margin = margin_of(network, self._judge.get_modelmeta().custom_metadata_map)

    @property
    def info(self) -> dict[str, str]:
        """What computes."""
        return identity(self._provider, self._precision, self._device)

    def __call__(self, window: Plane, levels: Levels) -> Plane:
        """Returns a window [H, W] doubled to [2H, 2W], of the same sample type."""
        y = window.astype(np.float32)
        y *= np.float32(levels.gain)
        y += np.float32(levels.offset)
        made = self._run(self._session(window.shape, y), y)
        made -= np.float32(levels.offset)
        made *= np.float32(1 / levels.gain)
        np.rint(made, out=made)
        np.clip(made, 0, levels.peak, out=made)
        return made.astype(np.uint8) if window.dtype == np.uint8 else made.astype(np.uint16)

    def _session(self, shape: tuple[int, ...], y: npt.NDArray[np.float32]) -> Any:
        if self._provider == "cpu":
            return self._judge
        exact = (shape[0], shape[1])
        with self._lock:
            if exact in self._sessions:
                self._sessions.move_to_end(exact)
                return self._sessions[exact]
            while len(self._sessions) >= _KEPT_SHAPES:
                self._sessions.popitem(last=False)
            session = self._start(self._provider, exact)
            fault = strays(self._run(session, y), self._run(self._judge, y), self._arithmetic)
            if fault:
                raise Unusable(f"{NAMES[self._provider]} is not used: {fault}")
            self._sessions[exact] = session
            return session

    def _start(self, provider: Provider, shape: tuple[int, int] | None) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        engines = self._cache
        if shape is not None:
            for name, size in zip(_free_sizes(self._judge), shape, strict=True):
                options.add_free_dimension_override_by_name(name, size)
            key = engine_key(self._network, self._arithmetic, shape, host_of(self._device))
            engines = self._cache / key
            engines.mkdir(parents=True, exist_ok=True)
        with_options = (NAMES[provider], provider_options(provider, self._arithmetic, engines))
        try:
            session = onnxruntime.InferenceSession(
                str(self._network.path), options, providers=[with_options]
            )
        except Exception as error:  # the runtime's own classes, undocumented
            raise Unusable(f"{NAMES[provider]} does not start: {error}") from error
        if NAMES[provider] not in session.get_providers():
            raise Unusable(f"{NAMES[provider]} does not start: its libraries do not load")
        return session

    def _run(self, session: Any, y: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        name = session.get_inputs()[0].name
        try:
            made: npt.NDArray[np.float32] = session.run(None, {name: y[None, None]})[0][0, 0]
        except Exception as error:  # the runtime's own classes, undocumented
            raise Unusable(f"{session.get_providers()[0]} fails: {error}") from error
        return made


def identity(provider: Provider, precision: Precision, device: Device) -> dict[str, str]:
    """Returns what of a provider on a device changes the output."""
    return {
        "backend": f"onnxruntime-{provider}",
        "backend_version": onnxruntime.__version__,
        "device": "cpu" if provider == "cpu" else device.name,
        "precision": ARITHMETIC[provider, precision],
    }


def runtime_version() -> str:
    """Returns the version of this ONNX Runtime."""
    return str(onnxruntime.__version__)


def available() -> tuple[Provider, ...]:
    """Returns the providers that this ONNX Runtime was built with, the best first; TensorRT only
    where its library loads, which does not come with ONNX Runtime."""
    built = set(onnxruntime.get_available_providers())
    if not _loads(_TENSORRT):
        built.discard(NAMES["tensorrt"])
    return tuple(short for short, name in NAMES.items() if name in built)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _free_sizes(session: Any) -> tuple[str, str]:
    """Returns the names of the free height and width of a network's input."""
    shape = session.get_inputs()[0].shape
    return str(shape[2]), str(shape[3])


def _tensorrt_version() -> str:
    for package in ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _driver_version() -> str:
    import pynvml

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return ""
