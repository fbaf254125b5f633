"""The network on the CPU, by OpenVINO.

Every core gets a stream of its own: two frames side by side on two cores are a third faster than
one frame on both. The conversion from and to integer samples is part of the compiled graph.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as operations

from millrace.engine.errors import UsageError
from millrace.tasks.video.colour import Plane
from millrace.tasks.video.network import Levels, Network, Precision, margin_of

_KEPT_SHAPES = 2
_LIVE_LAYERS = 3  # the layer read, the layer written, and the one a skip connection holds


@dataclass(frozen=True)
class _Shape:
    height: int
    width: int
    levels: Levels


class OpenVino:
    """A Doubler: one network, compiled for each shape of window when it is first seen."""

    def __init__(self, network: Network, precision: Precision, cores: int) -> None:
        self._core = openvino.Core()
        try:
            self._model = self._core.read_model(network.path)
        except RuntimeError as error:
            raise UsageError(f"{network.path} is not a network that OpenVINO can read") from error
        self.margin = margin_of(network, _metadata(self._model))
        self.lanes = max(1, cores)
        self._precision = _arithmetic(self._core, precision)
        self.pixel_bytes = _widest(self._model) * 4 * _LIVE_LAYERS
        self._compiled: OrderedDict[_Shape, SimpleQueue[Any]] = OrderedDict()
        self._lock = threading.Lock()
        # The binding sets itself up on the first array it is given, and hangs for ever if two
        # threads bring the first ones together (a static guard taken while holding the GIL).
        self(np.zeros((8, 8), np.uint8), Levels(8, full=False))

    @property
    def info(self) -> dict[str, str]:
        """What computes."""
        return {
            "backend": "openvino",
            "backend_version": openvino.__version__.split("-")[0],
            "device": "cpu",
            "precision": self._precision,
        }

    def __call__(self, window: Plane, levels: Levels) -> Plane:
        """Returns a window [H, W] doubled to [2H, 2W], of the same sample type."""
        height, width = window.shape
        requests = self._requests(_Shape(height, width, levels))
        request = requests.get()
        try:
            request.infer([window[None, None]], share_inputs=True)
            made = np.array(request.get_output_tensor().data[0, 0])
        finally:
            requests.put(request)
        return made

    def _requests(self, shape: _Shape) -> SimpleQueue[Any]:
        with self._lock:
            if shape in self._compiled:
                self._compiled.move_to_end(shape)
                return self._compiled[shape]
            while len(self._compiled) >= _KEPT_SHAPES:
                self._compiled.popitem(last=False)
            made = self._core.compile_model(
                _integer(self._model, shape),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": self._precision,
                    "NUM_STREAMS": self.lanes,
                    "INFERENCE_NUM_THREADS": self.lanes,
                    # Pinned threads of two sessions on one host would share a core.
                    "ENABLE_CPU_PINNING": False,
                },
            )
            requests: SimpleQueue[Any] = SimpleQueue()
            for _ in range(self.lanes):
                requests.put(made.create_infer_request())
            self._compiled[shape] = requests
            return requests


def fast_arithmetic() -> str:
    """Returns what `precision: fast` computes in on this CPU: `bf16` if it can, else `f32`."""
    return _arithmetic(openvino.Core(), "fast")


def _arithmetic(core: Any, precision: Precision) -> str:
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if precision == "fast" and "BF16" in able else "f32"


def _metadata(model: Any) -> dict[str, str]:
    """Returns the metadata_props of an ONNX file."""
    return {
        key: model.get_rt_info(["framework", key]).astype(str)
        for key in ("scale", "receptive_field")
        if model.has_rt_info(["framework", key])
    }


def _widest(model: Any) -> int:
    """Returns the greatest number of channels between two layers."""
    shapes = (op.output(0).get_partial_shape() for op in model.get_ops() if op.get_output_size())
    known = (s for s in shapes if not s.rank.is_dynamic and len(s) == 4 and s[2].is_dynamic)
    return max((s[1].get_length() for s in known if not s[1].is_dynamic), default=1)


def _integer(model: Any, shape: _Shape) -> Any:
    """Returns the model for one shape, taking and giving integer samples."""
    levels = shape.levels
    kind = openvino.Type.u8 if levels.depth == 8 else openvino.Type.u16
    inner = model.clone()
    inner.reshape([1, 1, shape.height, shape.width])
    codes = operations.parameter([1, 1, shape.height, shape.width], kind, name="codes")
    y = operations.convert(codes, "f32")
    y = operations.multiply(y, np.float32(levels.gain))
    if levels.offset:
        y = operations.add(y, np.float32(levels.offset))
    entry = inner.get_parameters()[0]
    for target in entry.output(0).get_target_inputs():
        target.replace_source_output(y.output(0))
    y2 = inner.get_results()[0].input(0).get_source_output()
    if levels.offset:
        y2 = operations.subtract(y2, np.float32(levels.offset))
    y2 = operations.multiply(y2, np.float32(1 / levels.gain))
    y2 = operations.round(operations.clamp(y2, 0.0, float(levels.peak)), "half_to_even")
    return openvino.Model([operations.convert(y2, kind.to_string())], [codes], "doubler")
