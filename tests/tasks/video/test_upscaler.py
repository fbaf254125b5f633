"""The seam to the network: levels, sizes, tiles, backends and what happens when one fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from millrace.engine.errors import SessionLost, UsageError
from millrace.engine.hosts.devices import Device
from millrace.tasks.video.backend_onnxruntime import (
    Host,
    OnnxRuntime,
    engine_key,
    provider_options,
    strays,
)
from millrace.tasks.video.backends import Attempt, Backend, attempts
from millrace.tasks.video.colour import Plane
from millrace.tasks.video.network import Levels, Network, Unusable, find_network, margin_of
from millrace.tasks.video.resample import resample
from millrace.tasks.video.upscaler import (
    Ladder,
    NetworkUpscaler,
    Upscaler,
    open_upscaler,
)

CPU = Device(cores=2)
GPU = Device(kind="cuda", name="NVIDIA L4", uuid="GPU-1", vram=24 << 30, cores=4)
LIMITED, FULL = Levels(8, full=False), Levels(8, full=True)
TEN = Levels(10, full=False)


@pytest.fixture(scope="module")
def network() -> Network:
    return find_network("luma_x2")


@pytest.fixture(scope="module")
def upscaler(network: Network) -> Iterator[Upscaler]:
    with open_upscaler(network, 2, "exact", CPU) as opened:
        yield opened


def texture(height: int, width: int, levels: Levels = LIMITED) -> Plane:
    """Edges, gradients and noise inside the limited range."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(3).normal(0, 8, (height, width))
    value = 126 + 60 * np.sin(columns / 5) + 40 * np.sign(np.sin(rows / 7)) + noise
    codes = np.clip(value, 16, 235) * (1 << (levels.depth - 8))
    return codes.astype(np.uint8 if levels.depth == 8 else np.uint16)


def largest_step(a: Plane, b: Plane) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        (LIMITED, 16),
        (LIMITED, 235),
        (LIMITED, 128),
        (FULL, 0),
        (FULL, 255),
        (TEN, 64),
        (TEN, 940),
        (Levels(10, full=True), 1023),
        (Levels(12, full=False), 256),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (32, 32)])
def test_black_white_and_grey_stay_exact_up_to_the_rim(
    upscaler: Upscaler, levels: Levels, code: int, size: tuple[int, int]
) -> None:
    flat = np.full(size, code, np.uint8 if levels.depth == 8 else np.uint16)
    made = upscaler(flat, levels)
    assert made.shape == (2 * size[0], 2 * size[1])
    assert made.dtype == flat.dtype
    # The network computes to about a tenth of an eight-bit step.
    assert largest_step(made, np.full_like(made, code)) <= {8: 0, 10: 1, 12: 3}[levels.depth]


def test_ten_bits_are_the_eight_bit_picture_in_finer_steps(upscaler: Upscaler) -> None:
    eight = texture(48, 64)
    ten = eight.astype(np.uint16) * 4
    assert largest_step(upscaler(ten, TEN), upscaler(eight, LIMITED).astype(int) * 4) <= 2 + 1


def test_full_range_gives_the_same_picture_as_limited(upscaler: Upscaler) -> None:
    limited = (94 + texture(48, 64) // 4).astype(np.uint8)
    full = np.rint((limited.astype(float) - 16) * 255 / 219).astype(np.uint8)
    back = upscaler(full, FULL).astype(float) * 219 / 255 + 16
    assert np.abs(back - upscaler(limited, LIMITED)).max() <= 2.5


def test_the_network_beats_the_plain_filter(upscaler: Upscaler, data: Path) -> None:
    image = Image.open(data / "images" / "set5" / "img_003_SRF_2_HR.png").convert("L")
    image = image.crop((0, 0, image.width // 2 * 2, image.height // 2 * 2))
    small = np.asarray(
        image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)
    )
    large = np.asarray(image).astype(float)

    def error(made: Plane) -> float:
        return float(np.mean((made - large)[4:-4, 4:-4] ** 2))

    plain = resample(small, large.shape, Fraction(2), 255)
    assert error(upscaler(small, FULL)) < 0.75 * error(plain)


@pytest.mark.parametrize("pixels", [2_000, 5_000, 17_000])
def test_tiles_give_the_picture_of_the_whole_frame(
    network: Network, upscaler: Upscaler, pixels: int
) -> None:
    frame = texture(120, 200)
    with open_upscaler(network, 2, "exact", CPU, tile=pixels) as tiled:
        assert largest_step(tiled(frame, LIMITED), upscaler(frame, LIMITED)) == 0


def test_two_runs_give_the_same_bytes_on_any_number_of_cores(
    network: Network, upscaler: Upscaler
) -> None:
    frame = texture(90, 160)
    first = upscaler(frame, LIMITED)
    for cores in (1, 3):
        with open_upscaler(network, 2, "exact", Device(cores=cores)) as again:
            assert again(frame, LIMITED).tobytes() == first.tobytes()


def test_calls_side_by_side_do_not_mix_their_frames(upscaler: Upscaler) -> None:
    frames = [np.roll(texture(40, 60), shift, axis=1) for shift in range(12)]
    alone = [upscaler(frame, LIMITED) for frame in frames]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda frame: upscaler(frame, LIMITED), frames))
    assert all(map(np.array_equal, alone, together))


def test_planes_in_a_stack_are_enlarged_one_by_one(upscaler: Upscaler) -> None:
    stack = np.stack([texture(20, 30), texture(20, 30)[::-1]])
    made = upscaler(stack, LIMITED)
    assert made.shape == (2, 40, 60)
    assert np.array_equal(made[1], upscaler(np.ascontiguousarray(stack[1]), LIMITED))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (33, 17)])
def test_every_scale_works_on_every_size(
    network: Network, scale: int, size: tuple[int, int]
) -> None:
    with open_upscaler(network, scale, "exact", CPU) as opened:  # type: ignore[arg-type]
        made = opened(texture(*size), LIMITED)
    assert made.shape == (scale * size[0], scale * size[1])


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4), np.float32),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_is_no_luma_plane_is_refused(upscaler: Upscaler, wrong: Plane) -> None:
    with pytest.raises(ValueError, match="luma of 8 bits is uint8"):
        upscaler(wrong, LIMITED)


def test_what_computed_is_told(upscaler: Upscaler, network: Network) -> None:
    told = upscaler.info
    assert told["model"] == "luma_x2"
    assert told["digest"] == network.digest
    assert told["backend"] == "openvino"
    assert told["precision"] == "f32"
    assert "fallback" not in told


def test_fast_arithmetic_stays_within_one_step(network: Network, upscaler: Upscaler) -> None:
    frame = texture(90, 160)
    with open_upscaler(network, 2, "fast", CPU) as fast:
        assert largest_step(fast(frame, LIMITED), upscaler(frame, LIMITED)) <= 2
        assert fast.info["precision"] in {"bf16", "f32"}


def test_onnx_runtime_computes_what_openvino_does(
    network: Network, upscaler: Upscaler, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as spread:
        other = NetworkUpscaler(
            OnnxRuntime(network, "cpu", "exact", CPU, tmp_path), {}, 2, spread=spread
        )
        for levels in (LIMITED, FULL, TEN):
            frame = texture(60, 80, levels)
            assert largest_step(other(frame, levels), upscaler(frame, levels)) <= 1


# Which backend


def test_a_cpu_gets_openvino_whatever_else_is_installed() -> None:
    assert attempts(CPU, ("tensorrt", "cuda", "cpu")) == (Attempt("openvino"),)


def test_a_gpu_gets_tensorrt_then_cuda_then_the_cpu() -> None:
    found = attempts(GPU, ("tensorrt", "cuda", "cpu"))
    assert [a.backend for a in found if not a.refused] == ["tensorrt", "cuda", "openvino"]


def test_a_provider_that_is_missing_is_passed_over_with_the_reason() -> None:
    found = attempts(GPU, ("cuda", "cpu"))
    assert [a.backend for a in found if not a.refused] == ["cuda", "openvino"]
    assert "onnxruntime-gpu" in next(a.refused for a in found if a.backend == "tensorrt")


def test_a_gpu_without_a_gpu_runtime_falls_back_to_the_cpu_and_says_so(network: Network) -> None:
    with open_upscaler(network, 2, "exact", GPU) as opened:
        assert opened(texture(8, 8), LIMITED).shape == (16, 16)
        assert opened.info["device"] == "cpu"
        assert "tensorrt" in opened.info["fallback"]
        assert "cuda" in opened.info["fallback"]


@dataclass
class Fake:
    """A Doubler that repeats pixels, or fails on its first window."""

    name: str
    fault: str = ""
    windows: list[tuple[int, ...]] = field(default_factory=list)
    lanes: int = 1
    margin: int = 2
    pixel_bytes: int = 100

    @property
    def info(self) -> dict[str, str]:
        return {"backend": self.name}

    def __call__(self, window: Plane, levels: Levels) -> Plane:
        if self.fault:
            raise Unusable(self.fault)
        self.windows.append(window.shape)
        return np.repeat(np.repeat(window, 2, 0), 2, 1)


def ladder_of(**fakes: Fake | str) -> Ladder:
    """A ladder over tensorrt, cuda, openvino; a string is why that one does not even load."""

    def load(backend: Backend) -> Fake:
        found = fakes[backend]
        if isinstance(found, str):
            raise Unusable(found)
        return found

    return Ladder([Attempt("tensorrt"), Attempt("cuda"), Attempt("openvino")], load)


def test_a_backend_that_computes_nonsense_is_left_for_the_next() -> None:
    ladder = ladder_of(
        tensorrt=Fake("trt", fault="trt gives NaN"), cuda="no libcuda", openvino=Fake("ov")
    )
    assert ladder(texture(4, 4), LIMITED).shape == (8, 8)
    assert ladder.info == {"backend": "ov", "fallback": "trt gives NaN; no libcuda"}


def test_a_backend_that_works_is_kept() -> None:
    ladder = ladder_of(tensorrt=Fake("trt"), cuda="never asked", openvino="never asked")
    ladder(texture(4, 4), LIMITED)
    assert ladder.info == {"backend": "trt"}


def test_no_backend_left_is_an_error_that_tells_each_reason() -> None:
    with pytest.raises(SessionLost, match="a; b; c"):
        ladder_of(tensorrt="a", cuda="b", openvino="c")


def test_threads_that_meet_a_failing_backend_together_pass_one_step_only() -> None:
    ladder = ladder_of(tensorrt=Fake("trt", fault="broken"), cuda=Fake("cuda"), openvino="c")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ladder(texture(4, 4), LIMITED).shape, range(40)))
    assert set(made) == {(8, 8)}
    assert ladder.info == {"backend": "cuda", "passed_over": "broken"}


@contextmanager
def with_memory(fake: Fake, memory: int) -> Iterator[NetworkUpscaler]:
    with ThreadPoolExecutor(1) as spread:
        yield NetworkUpscaler(fake, {}, 2, memory=memory, spread=spread)


def test_less_memory_means_smaller_windows_and_the_same_picture() -> None:
    large, small = Fake("a"), Fake("b")
    frame = texture(100, 100)
    with with_memory(large, 1 << 30) as roomy, with_memory(small, 800_000) as tight:
        assert np.array_equal(roomy(frame, LIMITED), tight(frame, LIMITED))
    assert len(large.windows) == 1
    assert len(small.windows) > 4
    assert max(h * w for h, w in small.windows) * small.pixel_bytes <= 800_000 / 4


# The judge of GPU results, and what TensorRT's engines depend on


def test_a_result_with_nan_strays() -> None:
    right = np.full((4, 4), 0.5, np.float32)
    broken = right.copy()
    broken[2, 2] = np.nan
    assert "no numbers" in strays(broken, right, "f16")


@pytest.mark.parametrize(
    ("arithmetic", "off", "good"),
    [("f32", 0.4, True), ("f32", 0.6, False), ("f16", 1.4, True), ("f16", 1.6, False)],
)
def test_a_result_strays_beyond_its_arithmetic(arithmetic: str, off: float, good: bool) -> None:
    right = np.full((4, 4), 0.5, np.float32)
    assert (strays(right + np.float32(off / 255), right, arithmetic) == "") is good


def test_an_engine_is_made_anew_when_anything_it_depends_on_changes(network: Network) -> None:
    host = Host(runtime="1.32", tensorrt="10.1", gpu="NVIDIA L4", driver="570.1")
    keys = {
        engine_key(network, "f16", (360, 640), host),
        engine_key(network, "f32", (360, 640), host),
        engine_key(network, "f16", (640, 360), host),
        engine_key(Network("x", network.path, "0" * 64), "f16", (360, 640), host),
        *(
            engine_key(network, "f16", (360, 640), Host(**{**vars(host), name: "other"}))
            for name in vars(host)
        ),
    }
    assert len(keys) == 8


def test_full_precision_on_a_gpu_does_not_round_to_tf32(tmp_path: Path) -> None:
    assert provider_options("cuda", "f32", tmp_path)["use_tf32"] == "0"
    assert provider_options("tensorrt", "f32", tmp_path)["trt_fp16_enable"] == "0"
    assert provider_options("tensorrt", "f16", tmp_path)["trt_fp16_enable"] == "1"


def test_a_gpu_provider_that_is_not_there_is_unusable(network: Network, tmp_path: Path) -> None:
    doubler = OnnxRuntime(network, "cuda", "exact", GPU, tmp_path)
    with (
        pytest.warns(UserWarning, match="not in available"),
        pytest.raises(Unusable, match="CUDAExecutionProvider does not start"),
    ):
        doubler(texture(8, 8), LIMITED)


# The network's file


def test_an_unknown_network_names_those_there_are() -> None:
    with pytest.raises(UsageError) as raised:
        find_network("luma_x3")
    assert "luma_x2" in raised.value.hint


def test_a_name_does_not_reach_outside_the_folder_of_networks() -> None:
    with pytest.raises(UsageError):
        find_network("../../../etc/passwd")


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a network")
    with (
        pytest.raises(UsageError, match="not a network"),
        open_upscaler(find_network(str(path)), 2, "exact", CPU),
    ):
        pass


@pytest.mark.parametrize(
    "metadata",
    [{}, {"scale": "3", "receptive_field": "21"}, {"scale": "2", "receptive_field": "20"}],
)
def test_a_network_that_does_not_say_how_far_it_looks_is_refused(
    network: Network, metadata: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match="receptive_field"):
        margin_of(network, metadata)
