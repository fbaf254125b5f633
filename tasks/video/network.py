"""A super-resolution network: its file, the levels it works on, and what a backend makes of it.

A network is an ONNX file with the input `y` [N, 1, H, W] and the output [N, 1, 2H, 2W], float32,
and the metadata `scale` (2) and `receptive_field` (pixels, odd). It sees luma as it is trained on:
limited range divided by 255, black at 16/255, white at 235/255.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from millrace.engine.errors import UsageError
from millrace.tasks.video.colour import Plane

Precision = Literal["exact", "fast"]

Provider = Literal["tensorrt", "cuda", "cpu"]
"""ONNX Runtime's ways to compute."""

ARITHMETIC: dict[tuple[Provider, Precision], str] = {
    ("tensorrt", "exact"): "f32",
    ("tensorrt", "fast"): "f16",
    ("cuda", "exact"): "f32",
    ("cuda", "fast"): "tf32",
    ("cpu", "exact"): "f32",
    ("cpu", "fast"): "f32",
}

_FOLDER = Path(__file__).with_name("models")
_BLACK, _SPREAD = 16, 219


@dataclass(frozen=True)
class Levels:
    """What the codes of a luma plane mean: bits a sample, and full or limited range.

    Limited range keeps its head- and footroom. Full range is brought to the limited range that the
    network knows, and back.
    """

    depth: int
    full: bool

    @property
    def peak(self) -> int:
        """The greatest code."""
        return (1 << self.depth) - 1

    @property
    def gain(self) -> float:
        """What one code adds to the network's input."""
        if self.full:
            return _SPREAD / 255 / self.peak
        return 1 / (255 << (self.depth - 8))

    @property
    def offset(self) -> float:
        """The network's input for code 0."""
        return _BLACK / 255 if self.full else 0.0


@dataclass(frozen=True)
class Network:
    """A network's file. `digest` is its SHA-256."""

    name: str
    path: Path
    digest: str


class Doubler(Protocol):
    """A network loaded on a device. Calls may come from `lanes` threads at once.

    `margin` is how many pixels around a pixel the network looks, `pixel_bytes` the memory it takes
    for each pixel of a window while it runs.
    """

    @property
    def info(self) -> dict[str, str]:
        """What computes: backend, its version, device, precision."""

    @property
    def lanes(self) -> int:
        """How many calls run at once."""

    @property
    def margin(self) -> int:
        """Pixels."""

    @property
    def pixel_bytes(self) -> int:
        """Bytes a pixel."""

    def __call__(self, window: Plane, levels: Levels) -> Plane:
        """Returns a window [H, W] doubled to [2H, 2W], of the same sample type."""


class Unusable(Exception):
    """A backend cannot do it here; the message says why. Another one may."""


def shipped() -> tuple[str, ...]:
    """Returns the names of the networks that come with Millrace."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.onnx")))


def find_network(name: str) -> Network:
    """Returns a network by its name, or by the path of its .onnx file.

    Raises UsageError for one that does not exist, naming those that do.
    """
    path = Path(name).expanduser() if name.endswith(".onnx") else _FOLDER / f"{name}.onnx"
    if path.parent == _FOLDER and path.stem not in shipped():
        raise UsageError(
            f"no network is called {name!r}",
            hint=f"there is {', '.join(shipped())}; or give the path of an .onnx file",
        )
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"the network {name} cannot be read: {error.strerror}") from error
    return Network(path.stem, path.absolute(), digest)


def margin_of(network: Network, metadata: dict[str, str]) -> int:
    """Returns how many pixels around a pixel a network looks, from its metadata.

    Raises UsageError when the metadata does not say, or says that it does not double.
    """
    scale, field = metadata.get("scale", ""), metadata.get("receptive_field", "")
    if scale != "2" or not field.isdecimal() or int(field) % 2 != 1:
        raise UsageError(
            f"the network {network.path.name} lacks metadata: scale is {scale!r} (2 is needed), "
            f"receptive_field is {field!r} (an odd number is needed)",
            hint="write both into the ONNX file's metadata_props when exporting it",
        )
    return int(field) // 2
