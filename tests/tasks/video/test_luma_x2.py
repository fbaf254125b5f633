"""The shipped ×2 luma network: its size, its shapes, how it may be cut, and how good it is."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import onnxruntime
import openvino
import pytest

Planes = npt.NDArray[np.float32]
Network = Callable[[Planes], Planes]

LARGEST_PARAMETER_COUNT = 25_000
LEAST_SET5_DB = 36.6
BICUBIC_SET5_DB = 33.66  # as published; pins the protocol of the measurement


@pytest.fixture(scope="module")
def model(repository: Path) -> Path:
    return repository / "tasks" / "video" / "models" / "luma_x2.onnx"


@pytest.fixture(scope="module")
def facts(model: Path) -> dict[str, str]:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return dict(session.get_modelmeta().custom_metadata_map)


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def network(request: pytest.FixtureRequest, model: Path) -> Network:
    if request.param == "onnxruntime":
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        return lambda planes: session.run(["y2"], {"y": planes})[0]
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(model), "CPU", precision)
    return lambda planes: compiled([planes])[0]


def noise(*shape: int) -> Planes:
    return np.random.default_rng(5).random(shape, dtype=np.float32)


def test_the_network_has_at_most_25_000_parameters(model: Path) -> None:
    constants = [
        node
        for node in openvino.Core().read_model(model).get_ops()
        if node.get_type_name() == "Constant" and node.get_element_type().is_real()
    ]
    count = sum(int(np.prod(node.get_output_shape(0))) for node in constants)
    assert 5_000 < count <= LARGEST_PARAMETER_COUNT


def test_the_file_says_what_it_is(facts: dict[str, str]) -> None:
    assert facts["name"] == "luma_x2"
    assert facts["scale"] == "2"
    assert facts["licence"] == "Apache-2.0"
    assert int(facts["version"]) >= 1
    assert int(facts["receptive_field"]) % 2 == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (33, 47), (64, 48)])
def test_every_size_is_exactly_doubled(network: Network, size: tuple[int, int]) -> None:
    result = network(noise(3, 1, *size))
    assert result.dtype == np.float32
    assert result.shape == (3, 1, 2 * size[0], 2 * size[1])


def test_the_planes_of_a_batch_do_not_see_each_other(network: Network) -> None:
    planes = noise(3, 1, 30, 40)
    alone = np.concatenate([network(plane[None]) for plane in planes])
    np.testing.assert_allclose(network(planes), alone, atol=1e-5)


def test_a_pixel_reaches_as_far_as_the_receptive_field_says(
    network: Network, facts: dict[str, str]
) -> None:
    reach = int(facts["receptive_field"]) // 2
    side = 4 * reach + 1
    centre = side // 2
    planes = noise(1, 1, side, side)
    changed = planes.copy()
    changed[0, 0, centre, centre] += 1.0
    rows, columns = np.nonzero(network(planes)[0, 0] != network(changed)[0, 0])
    touched = {int(rows.min()), int(columns.min())}
    assert touched == {2 * (centre - reach)}
    assert {int(rows.max()), int(columns.max())} == {2 * (centre + reach) + 1}


@pytest.mark.parametrize("top, left", [(0, 0), (13, 29), (40, 52)])
def test_a_tile_has_the_pixels_of_the_whole(
    network: Network, facts: dict[str, str], top: int, left: int
) -> None:
    planes, height, width = noise(1, 1, 96, 120), 56, 68
    reach = int(facts["receptive_field"]) // 2
    whole = network(planes)
    tile = network(np.ascontiguousarray(planes[:, :, top : top + height, left : left + width]))
    first, last_row, last_column = 2 * reach, 2 * (height - reach), 2 * (width - reach)
    inner = tile[:, :, first:last_row, first:last_column]
    same = whole[:, :, 2 * top :, 2 * left :][:, :, first:last_row, first:last_column]
    assert inner.size > 0
    np.testing.assert_allclose(inner, same, atol=1e-5)


@pytest.mark.parametrize("level", [16, 60, 128, 200, 235])
def test_a_flat_plane_stays_flat(network: Network, facts: dict[str, str], level: int) -> None:
    reach = int(facts["receptive_field"]) // 2
    side = 4 * reach
    result = network(np.full((1, 1, side, side), level / 255, np.float32)) * 255
    inner = result[0, 0, 2 * reach : -2 * reach, 2 * reach : -2 * reach]
    assert np.abs(inner - level).max() < 1.0


def benchmark(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("set5", repository / "benchmarks" / "set5.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_set5_is_restored_well_beyond_bicubic(repository: Path, model: Path, data: Path) -> None:
    mean = benchmark(repository).measure(data / "images" / "set5", model)["mean"]["exact"]
    assert mean["bicubic"] == pytest.approx(BICUBIC_SET5_DB, abs=0.01)
    assert mean["openvino f32"] >= LEAST_SET5_DB
    assert mean["onnxruntime"] >= LEAST_SET5_DB
    assert mean["openvino f32"] == pytest.approx(mean["onnxruntime"], abs=0.002)
