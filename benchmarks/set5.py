"""Measure the shipped ×2 luma network on Set5: PSNR per image, by backend, against bicubic.

    python benchmarks/set5.py [FOLDER] [--model FILE.onnx] [--json]

The protocol of the field: sides cut to even; MATLAB's antialiased bicubic (a = -0.5, indices
clamped at the edge) makes the small image; luma is BT.601 studio range in 8 bit; two pixels are
shaved off each side; the result is rounded to 8 bit; peak 255; the figure is the mean of the
images' decibels. Two conventions are shown. `exact`: the small image stays in floating point, as in
the published tables, where bicubic has 33.66 dB. `8 bit`: it is rounded too, as a video frame is.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import openvino
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "tasks" / "video" / "models" / "luma_x2.onnx"
SHAVE = 2  # pixels

Plane = npt.NDArray[np.float64]
Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def cubic(x: Plane) -> Plane:
    """Returns Keys' cubic kernel with a = -0.5."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def resampling(size: int, scale: float) -> Plane:
    """Returns the (ceil(size * scale), size) matrix that resizes one axis as MATLAB does."""
    stretch = min(scale, 1.0)  # antialiasing widens the kernel when reducing
    centres = (np.arange(int(np.ceil(size * scale))) + 0.5) / scale - 0.5
    reach = int(np.ceil(2 / stretch)) + 1
    taps = np.floor(centres)[:, None] + np.arange(-reach, reach + 1)
    weights = cubic(stretch * (centres[:, None] - taps))
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(centres), size))
    rows = np.broadcast_to(np.arange(len(centres))[:, None], taps.shape)
    np.add.at(matrix, (rows, np.clip(taps, 0, size - 1).astype(int)), weights)
    return matrix


def rounded(plane: Plane) -> Plane:
    """Returns the plane as 8 bit would hold it."""
    return np.clip(np.floor(plane + 0.5), 0, 255)


def resize(plane: Plane, scale: float, after_each: Callable[[Plane], Plane]) -> Plane:
    """Returns the plane resized, rows first, with `after_each` applied after each of the passes."""
    down = after_each(resampling(plane.shape[0], scale) @ plane)
    return after_each(down @ resampling(plane.shape[1], scale).T)


def luma(path: Path) -> Plane:
    """Returns an image's luma, 8-bit values, both sides cut to even."""
    rgb = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64)
    plane = rounded(16 + rgb @ np.array([65.481, 128.553, 24.966]) / 255)
    return plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]


def psnr(plane: Plane, truth: Plane) -> float:
    """Returns the PSNR in dB, peak 255, with the shave taken off each side."""
    error = (plane - truth)[SHAVE:-SHAVE, SHAVE:-SHAVE]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def backends(model: Path) -> dict[str, Network]:
    """Returns the network by backend, each from (1, 1, h, w) to (1, 1, 2h, 2w) in 0..1."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    core = openvino.Core()

    def compiled(precision: str) -> Network:
        network = core.compile_model(str(model), "CPU", {"INFERENCE_PRECISION_HINT": precision})
        return lambda small: np.asarray(network([small])[0])

    return {
        "onnxruntime": lambda small: np.asarray(session.run(None, {"y": small})[0]),
        "openvino f32": compiled("f32"),
        "openvino bf16": compiled("bf16"),
    }


def scores(path: Path, networks: dict[str, Network]) -> dict[str, dict[str, float]]:
    """Returns dB by convention and method for one image."""
    truth, table = luma(path), {}
    conventions: dict[str, Callable[[Plane], Plane]] = {"exact": lambda x: x, "8 bit": rounded}
    for convention, after_each in conventions.items():
        small = resize(truth, 0.5, after_each)
        row = {"bicubic": psnr(rounded(resize(small, 2, after_each)), truth)}
        for name, network in networks.items():
            large = network((small / 255).astype(np.float32)[None, None])[0, 0]
            row[name] = psnr(rounded(large.astype(np.float64) * 255), truth)
        table[convention] = row
    return table


def measure(folder: Path, model: Path = MODEL) -> dict[str, Any]:
    """Returns {image or "mean": {convention: {method: dB}}} for the PNG images of a folder."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise SystemExit(f"No .png in {folder}: give the folder of Set5 or set MILLRACE_TEST_DATA.")
    networks = backends(model)
    table = {path.stem: scores(path, networks) for path in paths}
    first = next(iter(table.values()))
    mean = {
        convention: {
            method: float(np.mean([row[convention][method] for row in table.values()]))
            for method in methods
        }
        for convention, methods in first.items()
    }
    return {**table, "mean": mean}


def show(table: dict[str, Any]) -> None:
    """Prints the measurements as one table, in dB."""
    for convention in table["mean"]:
        methods = list(table["mean"][convention])
        print(f"\nSet5 x2, Y-PSNR in dB, small image {convention}")
        print(f"{'image':20}" + "".join(f"{method:>15}" for method in methods))
        for image, rows in table.items():
            values = "".join(f"{rows[convention][method]:15.3f}" for method in methods)
            print(f"{image:20}{values}")
        mean = table["mean"][convention]
        gain = mean["openvino f32"] - mean["bicubic"]
        ratio = 10 ** (gain / 10)
        print(f"over bicubic: {gain:+.3f} dB, squared error {ratio:.2f} times smaller")


def main() -> None:
    """Measures and prints."""
    data = Path(os.environ.get("MILLRACE_TEST_DATA", ROOT.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description="Set5 Y-PSNR of the x2 luma network.")
    parser.add_argument("folder", type=Path, nargs="?", default=data / "images" / "set5")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    options = parser.parse_args()
    table = measure(options.folder, options.model)
    if options.json:
        print(json.dumps(table, indent=1))
    else:
        show(table)


if __name__ == "__main__":
    main()
