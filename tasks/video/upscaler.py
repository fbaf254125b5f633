"""The seam between video and network: luma planes in, enlarged luma planes out.

Backends, in the order they are tried (`backends.attempts`):

    CPU    OpenVINO
    GPU    ONNX Runtime with TensorRT, ONNX Runtime with CUDA, OpenVINO on the CPU

What is passed over stands in `info["passed_over"]` with the reason, and in `info["fallback"]` where
it is the GPU itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from typing import Literal, Protocol, cast

import numpy as np

from millrace.engine.errors import SessionLost, ToolMissing
from millrace.engine.hosts.devices import Device
from millrace.engine.settings import settings
from millrace.tasks.video.backends import Attempt, Backend, attempts, providers_here
from millrace.tasks.video.colour import Plane
from millrace.tasks.video.network import Doubler, Levels, Network, Precision, Unusable
from millrace.tasks.video.resample import resample
from millrace.tasks.video.tiling import enlarge, plan_tiles

Scale = Literal[2, 3, 4]


EDGE = 4  # pixels repeated around a frame: networks pad with black, which would show at the rim
TILE_PIXELS = 1 << 20  # larger windows take more memory and are no faster
_MEMORY = 1 << 30  # assumed where a device does not say what may be used
_TILE_SHARE = 0.25  # of the memory, for windows; frames, decoder and encoder share the rest


class Upscaler(Protocol):
    """Enlarges luma planes. Calls may come from `lanes` threads at once."""

    @property
    def scale(self) -> int:
        """How many times larger the sides become."""

    @property
    def lanes(self) -> int:
        """How many calls it can make use of at once."""

    @property
    def info(self) -> dict[str, str]:
        """What computes: model, digest, backend, backend_version, precision, device; where one was
        passed over, passed_over, and where that was the GPU, fallback."""

    def __call__(self, luma: Plane, levels: Levels) -> Plane:
        """Returns a plane [H, W], or planes [N, H, W], enlarged; uint8, or uint16 above 8 bits.

        Raises ValueError for other shapes and sample types.
        """


def load_doubler(
    backend: Backend, network: Network, precision: Precision, device: Device
) -> Doubler:
    """Returns the network loaded by a backend. Raises Unusable, ToolMissing, UsageError."""
    try:
        if backend == "openvino":
            from millrace.tasks.video.backend_openvino import OpenVino

            return OpenVino(network, precision, device.cores)
        from millrace.tasks.video.backend_onnxruntime import OnnxRuntime

        engines = settings().home / "cache" / "tensorrt"
        return OnnxRuntime(network, backend, precision, device, engines)
    except ImportError as error:
        raise ToolMissing(
            f"{error.name} is not installed", hint="pip install 'millrace[video]'"
        ) from error


class Ladder:
    """A Doubler that takes the next backend when one proves unusable, and says so.

    `load` makes the Doubler of a backend. Raises SessionLost `no_backend` when none is left.
    """

    def __init__(self, steps: Sequence[Attempt], load: Callable[[Backend], Doubler]) -> None:
        self._steps, self._load = list(steps), load
        self._passed: list[str] = []
        self._backend: Backend = "openvino"
        self._lock = threading.Lock()
        self._doubler = self._next()

    @property
    def info(self) -> dict[str, str]:
        """What computes now, and what was passed over and why."""
        info, passed = self._doubler.info, "; ".join(self._passed)
        if not passed:
            return info
        return info | {"fallback" if self._backend == "openvino" else "passed_over": passed}

    @property
    def lanes(self) -> int:
        """How many calls run at once."""
        return self._doubler.lanes

    @property
    def margin(self) -> int:
        """Pixels around a pixel that the network looks at."""
        return self._doubler.margin

    @property
    def pixel_bytes(self) -> int:
        """Bytes that a pixel of a window takes."""
        return self._doubler.pixel_bytes

    def __call__(self, window: Plane, levels: Levels) -> Plane:
        """Returns a window doubled by the first backend that can."""
        while True:
            doubler = self._doubler
            try:
                return doubler(window, levels)
            except Unusable as fault:
                with self._lock:
                    if self._doubler is doubler:
                        self._passed.append(str(fault))
                        self._doubler = self._next()

    def _next(self) -> Doubler:
        while self._steps:
            step = self._steps.pop(0)
            if step.refused:
                self._passed.append(f"{step.backend}: {step.refused}")
                continue
            self._backend = step.backend
            try:
                return self._load(step.backend)
            except Unusable as fault:
                self._passed.append(str(fault))
        raise SessionLost("no_backend", "no backend runs the network: " + "; ".join(self._passed))


class NetworkUpscaler:
    """An Upscaler by a network that doubles: ×2 by one pass, ×4 by two, ×3 by two and a reduction.

    `tile` bounds the pixels of a window, `memory` the bytes that all windows at work take together.
    """

    def __init__(
        self,
        doubler: Doubler,
        model: Mapping[str, str],
        scale: Scale,
        *,
        memory: int = 0,
        tile: int = TILE_PIXELS,
        spread: ThreadPoolExecutor,
    ) -> None:
        self._doubler, self._model, self.scale, self._spread = doubler, model, scale, spread
        affordable = int((memory or _MEMORY) * _TILE_SHARE) // (doubler.pixel_bytes * doubler.lanes)
        least = (4 * doubler.margin) ** 2
        self._pixels = max(least, min(tile, affordable))

    @property
    def lanes(self) -> int:
        """How many calls it can make use of at once."""
        return self._doubler.lanes

    @property
    def info(self) -> dict[str, str]:
        """What computes."""
        return dict(self._model) | self._doubler.info

    def __call__(self, luma: Plane, levels: Levels) -> Plane:
        """Returns a plane [H, W], or planes [N, H, W], enlarged. Raises ValueError."""
        wanted = np.uint8 if levels.depth == 8 else np.uint16
        if luma.ndim not in (2, 3) or 0 in luma.shape or luma.dtype != wanted:
            raise ValueError(
                f"luma of {levels.depth} bits is {wanted.__name__} [H, W] or [N, H, W], "
                f"not {luma.dtype} {list(luma.shape)}"
            )
        if luma.ndim == 3:
            return cast(Plane, np.stack([self(plane, levels) for plane in luma]))
        once = self._double(luma, levels)
        if self.scale == 2:
            return once
        twice = self._double(once, levels)
        if self.scale == 4:
            return twice
        shape = (luma.shape[0] * 3, luma.shape[1] * 3)
        return resample(twice, shape, Fraction(3, 4), levels.peak)

    def _double(self, plane: Plane, levels: Levels) -> Plane:
        framed = cast(Plane, np.pad(plane, EDGE, "edge"))
        height, width = framed.shape
        tiles = plan_tiles(height, width, self._pixels, self._doubler.margin)
        made = enlarge(framed, tiles, 2, lambda w: self._doubler(w, levels), self._spread.map)
        return made[2 * EDGE : -2 * EDGE, 2 * EDGE : -2 * EDGE]


@contextmanager
def open_upscaler(
    network: Network,
    scale: Scale,
    precision: Precision,
    device: Device,
    *,
    tile: int = TILE_PIXELS,
) -> Iterator[Upscaler]:
    """Opens a network on a device.

    Raises ToolMissing when no library for it is installed, UsageError for a file that is no
    network, SessionLost when no backend works.
    """
    ladder = Ladder(
        attempts(device, providers_here(device)),
        lambda backend: load_doubler(backend, network, precision, device),
    )
    model = {"model": network.name, "digest": network.digest}
    with ThreadPoolExecutor(ladder.lanes, "tile") as spread:
        yield NetworkUpscaler(ladder, model, scale, memory=device.memory, tile=tile, spread=spread)
