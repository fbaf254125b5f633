"""A device's profile: of this host by its libraries, of a pool by what its GPUs should have."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.assignments import Assignment
from millrace.engine.fitness import unfit
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Needs
from millrace.tasks.video.backends import GPU_RUNTIME, attempts, providers_here
from millrace.tasks.video.network import Unusable
from millrace.tasks.video.upscaler import Ladder
from millrace.tasks.video.upscaling import Upscale, UpscaleParams
from tests.engine.test_fitness import ORDER

PLANNED = Device(kind="cuda", name="NVIDIA L4", vram=24 << 30, cores=4, pooled=True)
THERE = PLANNED.model_copy(update={"uuid": "GPU-1"})
HERE = THERE.model_copy(update={"pooled": False})
PROVIDERS = "millrace.tasks.video.backend_onnxruntime.available"
VERSION = "millrace.tasks.video.backend_onnxruntime.runtime_version"
KIND = Upscale(UpscaleParams())


def test_a_gpu_elsewhere_is_planned_for_whatever_libraries_the_conductor_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for built in ((), ("cpu",), ("tensorrt", "cuda", "cpu")):
        monkeypatch.setattr(PROVIDERS, lambda built=built: built)
        found.append(KIND.profile(PLANNED))
    assert found[0] == found[1] == found[2]
    assert found[0]["backend"] == "onnxruntime-cuda"
    assert found[0]["backend_version"] == GPU_RUNTIME
    assert found[0]["device"] == "NVIDIA L4"
    assert KIND.profile(PLANNED.model_copy(update={"name": "NVIDIA A10"})) != found[0]


def test_a_worker_with_the_planned_library_makes_what_was_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PROVIDERS, lambda: ("tensorrt", "cuda", "cpu"))
    monkeypatch.setattr(VERSION, lambda: GPU_RUNTIME)
    assert KIND.profile(THERE) == KIND.profile(PLANNED)
    assert attempts(THERE, providers_here(THERE))[0].refused  # TensorRT, which not all have
    assert KIND.profile(HERE)["backend"] == "onnxruntime-tensorrt"
    told = Upscale.capabilities(THERE)
    assert told.items() <= KIND.profile(PLANNED).items()
    assert {"backend", "backend_version", "device", "ffmpeg"} == told.keys()


@pytest.mark.parametrize(("built", "runtime"), [((), GPU_RUNTIME), (("cuda",), "1.19.0")])
def test_a_worker_without_it_hands_the_work_back_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, built: tuple[str, ...], runtime: str
) -> None:
    monkeypatch.setattr(PROVIDERS, lambda: built)
    monkeypatch.setattr(VERSION, lambda: runtime)
    refusal = unfit(_order(KIND.profile(PLANNED)), THERE)
    assert refusal is not None and refusal.code == "other_version"
    assert refusal.hint == (
        f"install onnxruntime-gpu {GPU_RUNTIME} there, in the place of onnxruntime"
    )
    assert Upscale.capabilities(THERE).items() - KIND.profile(PLANNED).items()


def test_the_image_of_gpu_workers_has_the_version_that_is_planned_with() -> None:
    listed = Path(__file__).parents[3] / "deployments" / "images" / "gpu.txt"
    assert f"onnxruntime-gpu=={GPU_RUNTIME} " in listed.read_text()


def test_cuda_in_the_place_of_tensorrt_is_no_fallback_from_the_gpu() -> None:
    class Doubler:
        lanes, margin, pixel_bytes = 1, 1, 1

        def __init__(self, device: str) -> None:
            self.info = {"device": device}

    def load(backend: str) -> Doubler:
        if backend == "tensorrt":
            raise Unusable("TensorRT does not start")
        return Doubler("cpu" if backend == "openvino" else "NVIDIA L4")

    steps = attempts(HERE, ("tensorrt", "cuda", "cpu"))
    info = Ladder(steps, load).info  # type: ignore[arg-type]
    assert "fallback" not in info and "TensorRT" in info["passed_over"]
    info = Ladder(attempts(HERE, ("tensorrt",)), load).info  # type: ignore[arg-type]
    assert "TensorRT" in info["fallback"] and "cuda" in info["fallback"]


def _order(profile: object) -> Assignment:
    job = {
        "key": "k" * 64,
        "material": {"name": "a", "files": ["/a"]},
        "outline": {"media_type": "video/mp4", "size": 1},
        "recipe": {
            "kind": Upscale.kind,
            "version": Upscale.version,
            "params": {},
            "inputs": {},
            "profile": profile,
        },
        "span": {"stop": 1},
        "whole": True,
        "units": 1,
        "load": 1,
    }
    what = ORDER.model_dump() | {
        "kind": Upscale.kind,
        "params": UpscaleParams().model_dump(mode="json"),
        "needs": Needs(gpu="require"),
        "device": PLANNED,
        "pool": "atelier",
        "jobs": [job],
    }
    return Assignment.model_validate(what)
