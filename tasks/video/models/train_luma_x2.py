"""Train `luma_x2.onnx`, the ×2 luma super-resolution network, on a CPU.

A script outside the product's import graph: PyTorch is no dependency of Millrace. On Debian 12:

    apt-get install python3-torch python3-pil python3-numpy fonts-dejavu fonts-liberation
    /usr/bin/python3 draw_pictures.py DRAWINGS
    /usr/bin/python3 train_luma_x2.py PHOTOGRAPHS DRAWINGS --model luma_x2.onnx

The model card beside it (`luma_x2.md`) names the arguments of the shipped weights and their score.

Training pairs follow the protocol of the field: the photograph (RGB, 8 bit) is reduced by
antialiased bicubic with a = -0.5, both sizes are converted to BT.601 studio-range luma and rounded
to 8 bit. Each photograph is used at several sizes; its right edge is held out and validates.

The network is trained in the collapsible form of Bhardwaj et al., "Collapsible Linear Blocks for
Super-Efficient Super Resolution" (MLSys 2022): every kernel is the product of a wide kernel and a
1×1 projection, multiplied out before each step, so that the exported network is the plain one.
"""

import argparse
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch  # type: ignore[import-not-found]
from PIL import Image
from torch import nn
from torch.nn import functional  # type: ignore[import-not-found]

log = logging.getLogger("train")

Plane = npt.NDArray[np.uint8]

WIDTH_CHANNELS = 16  # one AVX-512 register of float32: wider or narrower costs more per parameter
EXPANDED_CHANNELS = 128  # training only
SCALES = (1.0, 0.75, 0.5)
HELD_OUT_SHARE = 0.09  # of each photograph's width, at its right edge
KEPT_SHARE = 0.5  # of all patches, the most textured


@dataclass(frozen=True)
class Pair:
    """A luma plane (2h, 2w) and its reduction (h, w), 8 bit."""

    large: Plane
    small: Plane


def luma(image: Image.Image) -> Plane:
    """Returns the BT.601 studio-range luma of an RGB image, rounded to 8 bit."""
    rgb = np.asarray(image, dtype=np.float64)
    y = 16.0 + rgb @ np.array([65.481, 128.553, 24.966]) / 255.0
    rounded: Plane = np.floor(y + 0.5).astype(np.uint8)
    return rounded


def pair_of(image: Image.Image) -> Pair:
    """Returns the training pair of an RGB image, cut to even sides."""
    width, height = image.width // 2, image.height // 2
    image = image.crop((0, 0, 2 * width, 2 * height))
    return Pair(luma(image), luma(image.resize((width, height), Image.Resampling.BICUBIC)))


def read(folders: list[Path]) -> tuple[list[Pair], list[Pair]]:
    """Returns (training pairs at every size, held-out pairs at full size) of the images."""
    training, held_out = [], []
    for path in [path for folder in folders for path in sorted(folder.iterdir())]:
        if path.suffix.lower() not in {".jpg", ".jpeg", ".png"}:
            continue
        image = Image.open(path).convert("RGB")
        edge = round(image.width * (1 - HELD_OUT_SHARE)) // 2 * 2
        held_out.append(pair_of(image.crop((edge, 0, image.width, image.height))))
        image = image.crop((0, 0, edge, image.height))
        for scale in SCALES:
            size = (round(image.width * scale), round(image.height * scale))
            training.append(pair_of(image.resize(size, Image.Resampling.BICUBIC)))
    if not training:
        raise SystemExit("No .jpg or .png there: give a folder of photographs.")
    return training, held_out


def textured_places(pairs: list[Pair], patch: int) -> npt.NDArray[np.int64]:
    """Returns rows (pair, top, left), in small-side pixels, of the more textured patches."""
    places, textures = [], []
    for number, pair in enumerate(pairs):
        plane = pair.small.astype(np.float32)
        slope = np.abs(np.diff(plane, axis=0))[:, :-1] + np.abs(np.diff(plane, axis=1))[:-1]
        for top in range(0, plane.shape[0] - patch, patch // 2):
            for left in range(0, plane.shape[1] - patch, patch // 2):
                places.append((number, top, left))
                textures.append(float(slope[top : top + patch, left : left + patch].mean()))
    order = np.argsort(textures)[int(len(textures) * (1 - KEPT_SHARE)) :]
    chosen: npt.NDArray[np.int64] = np.array(places, dtype=np.int64)[order]
    return chosen


def batches(pairs: list[Pair], patch: int, size: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Yields (small, large) in 0..1 for ever, [size, 1, patch, patch] and twice the sides."""
    chance = np.random.default_rng(seed)
    places = textured_places(pairs, patch)
    while True:
        small = np.empty((size, 1, patch, patch), np.uint8)
        large = np.empty((size, 1, 2 * patch, 2 * patch), np.uint8)
        for row, choice in enumerate(chance.integers(len(places), size=size)):
            number, top, left = places[choice]
            pair, turn, flip = pairs[number], int(chance.integers(4)), int(chance.integers(2))
            top = min(top + int(chance.integers(patch // 2)), pair.small.shape[0] - patch)
            left = min(left + int(chance.integers(patch // 2)), pair.small.shape[1] - patch)
            a = pair.small[top : top + patch, left : left + patch]
            b = pair.large[2 * top : 2 * (top + patch), 2 * left : 2 * (left + patch)]
            small[row, 0] = np.rot90(a[:, :: 1 - 2 * flip], turn)
            large[row, 0] = np.rot90(b[:, :: 1 - 2 * flip], turn)
        yield torch.from_numpy(small).float() / 255, torch.from_numpy(large).float() / 255


class Plain(nn.Module):  # type: ignore[misc]
    """The network as exported: convolutions and PReLU, a long and a nearest-neighbour skip."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        c = WIDTH_CHANNELS
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(1, c, 5, padding=2)]
            + [nn.Conv2d(c, c, 3, padding=1) for _ in range(depth)]
            + [nn.Conv2d(c, 4, 3, padding=1)]
        )
        self.slopes = nn.ModuleList([nn.PReLU(c, init=0.2) for _ in range(depth + 1)])

    def forward(self, y: Any) -> Any:
        """Returns [N, 1, 2H, 2W] for [N, 1, H, W]."""
        return run(y, [c.weight for c in self.convolutions], self.convolutions, self.slopes)


def run(y: Any, kernels: list[Any], convolutions: Any, slopes: Any) -> Any:
    """Returns the doubled plane, with `kernels` in the place of the convolutions' own."""
    x = first = slopes[0](functional.conv2d(y, kernels[0], convolutions[0].bias, padding=2))
    for number, slope in enumerate(slopes[1:], start=1):
        bias = convolutions[number].bias
        x = slope(functional.conv2d(x, kernels[number], bias, padding=1))
    tail = functional.conv2d(x + first, kernels[-1], convolutions[-1].bias, padding=1)
    return functional.pixel_shuffle(tail + y, 2)


class Collapsible(nn.Module):  # type: ignore[misc]
    """The network as trained: each kernel a product, the inner ones with an identity added."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.plain = Plain(depth)
        self.wide, self.narrow = nn.ParameterList(), nn.ParameterList()
        for conv in self.plain.convolutions:
            out, into, side, _ = conv.weight.shape
            wide = torch.randn(EXPANDED_CHANNELS, into * side * side) * (into * side * side) ** -0.5
            narrow = torch.randn(out, EXPANDED_CHANNELS) * (0.5 * EXPANDED_CHANNELS**-0.5)
            self.wide.append(nn.Parameter(wide))
            self.narrow.append(nn.Parameter(narrow))
            conv.weight.requires_grad_(False)
            nn.init.zeros_(conv.bias)
        self.identity = nn.init.dirac_(torch.empty(WIDTH_CHANNELS, WIDTH_CHANNELS, 3, 3))

    def adopt(self, weights: dict[str, Any]) -> None:
        """Takes the weights of a plain network over, so that the products give its kernels."""
        self.plain.load_state_dict(weights)
        with torch.no_grad():
            for number, made in enumerate(self.kernels()):
                missing = (self.plain.convolutions[number].weight - made).flatten(1)
                self.wide[number] += torch.linalg.pinv(self.narrow[number]) @ missing

    def kernels(self) -> list[Any]:
        """Returns the kernels multiplied out."""
        made = []
        for number, conv in enumerate(self.plain.convolutions):
            kernel = (self.narrow[number] @ self.wide[number]).view(conv.weight.shape)
            inner = 0 < number < len(self.plain.convolutions) - 1
            made.append(kernel + self.identity if inner else kernel)
        return made

    def forward(self, y: Any) -> Any:
        """Returns [N, 1, 2H, 2W] for [N, 1, H, W]."""
        return run(y, self.kernels(), self.plain.convolutions, self.plain.slopes)


class Average:
    """The exponential moving average of the collapsed network over the steps, which is exported."""

    def __init__(self, depth: int, decay: float = 0.999) -> None:
        self.plain, self.decay = Plain(depth).requires_grad_(False), decay

    def add(self, trained: Collapsible, step: int) -> None:
        """Takes one step's weights in."""
        keep = min(self.decay, step / (step + 10))
        with torch.no_grad():
            for conv, kernel in zip(trained.plain.convolutions, trained.kernels(), strict=True):
                conv.weight.copy_(kernel)
            theirs = list(trained.plain.parameters())
            for number, mine in enumerate(self.plain.parameters()):
                mine.mul_(keep).add_(theirs[number], alpha=1 - keep)


def psnr(network: Any, pairs: list[Pair]) -> float:
    """Returns the mean PSNR in dB over pairs, 8-bit result, two pixels shaved off."""
    values = []
    for pair in pairs:
        with torch.no_grad():
            small = torch.from_numpy(pair.small)[None, None].float() / 255
            result = (network(small)[0, 0] * 255).round().clamp(0, 255).numpy()
        error = (result - pair.large.astype(np.float32))[2:-2, 2:-2]
        values.append(10 * np.log10(255.0**2 / np.mean(error**2)))
    return float(np.mean(values))


def export(network: Plain, path: Path, depth: int, version: str) -> None:
    """Writes the network as ONNX (opset 16, free N, H, W) with its metadata."""
    axes = {"y": {0: "n", 2: "h", 3: "w"}, "y2": {0: "n", 2: "2h", 3: "2w"}}
    names: dict[str, Any] = {"input_names": ["y"], "output_names": ["y2"], "dynamic_axes": axes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, torch.rand(1, 1, 24, 24), str(path), opset_version=16, **names)
    facts = {"name": "luma_x2", "version": version, "licence": "Apache-2.0", "scale": "2"}
    facts["receptive_field"] = str(5 + 2 * (depth + 1))
    with path.open("ab") as file:
        for key, value in facts.items():
            file.write(metadata_entry(key, value))


def metadata_entry(key: str, value: str) -> bytes:
    """Returns one `metadata_props` entry (field 14 of ModelProto) to append: protobuf concatenates.

    Strings up to 50 bytes, so that every length is one byte.
    """
    k, v = key.encode(), value.encode()
    entry = b"\x0a" + bytes([len(k)]) + k + b"\x12" + bytes([len(v)]) + v
    return b"\x72" + bytes([len(entry)]) + entry


def train(options: argparse.Namespace) -> None:
    """Trains; now and then validates and writes the averaged network as .onnx and .pt."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    training, held_out = read(options.folders)
    trained, average = Collapsible(options.depth), Average(options.depth)
    if options.start:
        trained.adopt(torch.load(options.start, weights_only=True))
    optimiser = torch.optim.Adam([p for p in trained.parameters() if p.requires_grad], lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.rate, total_steps=options.steps, pct_start=0.1
    )
    source = batches(training, options.patch, options.batch, options.seed)
    running = 0.0
    for step in range(1, options.steps + 1):
        small, large = next(source)
        result = trained(small)
        # The mean absolute error gets there sooner, the squared error is what PSNR judges.
        if step < options.steps * options.absolute:
            loss = functional.l1_loss(result, large)
        else:
            loss = functional.mse_loss(result, large) * 20
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 0.5)
        optimiser.step()
        schedule.step()
        average.add(trained, step)
        running = 0.99 * running + 0.01 * float(loss)
        if step % options.every == 0 or step == options.steps:
            export(average.plain, options.model, options.depth, options.version)
            torch.save(average.plain.state_dict(), options.model.with_suffix(".pt"))
            decibel = psnr(average.plain, held_out)
            log.info("step %6d  loss %.5f  held out %.3f dB", step, running, decibel)


def arguments() -> argparse.Namespace:
    """Returns the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", type=Path, nargs="+", help="folders of .jpg and .png")
    parser.add_argument("--model", type=Path, required=True, help="the .onnx to write")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=32, help="side of an input patch, pixels")
    parser.add_argument("--depth", type=int, default=7, help="inner 3×3 convolutions")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--absolute", type=float, default=0.7, help="share of steps with L1")
    parser.add_argument("--start", type=Path, help="a .pt of an earlier run to go on from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=1000, help="steps between validations")
    parser.add_argument("--version", default="1")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    train(arguments())
