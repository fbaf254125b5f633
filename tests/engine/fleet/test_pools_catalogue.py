"""The catalogue of device classes: complete, of one mind with physics, found by NVML's names."""

from __future__ import annotations

import pytest

from millrace.engine.fleet import catalogue

ALL = list(catalogue.classes().values())
GPUS = [entry for entry in ALL if entry.kind == "cuda"]
TITLES = [entry.name for entry in ALL]


def test_every_promised_class_is_there() -> None:
    promised = {
        "rtx-4070-ti", "rtx-4090", "rtx-5090", "l4", "l40s", "a100-40", "a100-80", "h100", "h200",
        "cpu",
    }  # fmt: skip
    assert promised <= set(catalogue.classes())


@pytest.mark.parametrize("entry", GPUS, ids=lambda entry: entry.name)
def test_a_gpu_has_every_figure_and_a_source_for_each(entry: catalogue.DeviceClass) -> None:
    assert entry.bandwidth and entry.watts and entry.nvdec
    speeds = entry.tflops
    assert speeds.fp32 and speeds.tf32 and speeds.fp16 and speeds.int8
    assert speeds.fp32 <= speeds.tf32 <= speeds.fp16 < speeds.int8
    cited = " ".join(source.figures for source in entry.sources)
    for figure in ("bandwidth", "tflops", "watts", "vram"):
        assert figure in cited, figure
    assert "nvenc" in cited.lower()
    assert all(source.url.startswith("https://") for source in entry.sources)


@pytest.mark.parametrize("entry", GPUS, ids=lambda entry: entry.name)
def test_vram_as_reported_is_a_little_less_than_the_name_says(entry: catalogue.DeviceClass) -> None:
    # a "24 GB" card has 24 GiB less what ECC and the driver keep; H200's 141 GB are decimal
    unit = 10**9 if entry.name == "h200" else 1 << 30
    assert 0.93 * entry.memory_gb * unit <= entry.vram <= 1.07 * entry.memory_gb * unit
    assert entry.rt_cores == 0 or entry.rt_generation in (3, 4)


@pytest.mark.parametrize("name", [n for n in TITLES if n.startswith(("a100", "h100", "h200"))])
def test_cards_for_computing_alone_have_no_rt_cores_and_no_encoder(name: str) -> None:
    entry = catalogue.classes()[name]
    assert (entry.rt_cores, entry.rt_generation, entry.nvenc) == (0, None, 0)
    assert entry.nvdec in (5, 7)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("GeForce RTX 4070 Ti", "rtx-4070-ti"),
        ("RTX 4090", "rtx-4090"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA A100-SXM4-40GB", "a100-40"),
        ("NVIDIA A100-PCIE-40GB", "a100-40-pcie"),
        ("NVIDIA A100-SXM4-80GB", "a100-80"),
        ("NVIDIA A100 80GB PCIe", "a100-80-pcie"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA L40", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("AMD EPYC 7B13", None),
        ("", None),
    ],
)
def test_a_device_is_found_by_the_name_nvml_gives_it(reported: str, expected: str | None) -> None:
    found = catalogue.named(reported)
    assert (found.name if found else None) == expected


def test_no_name_belongs_to_two_classes() -> None:
    names = [
        name
        for entry in ALL
        for name in {name.lower() for name in (entry.name, entry.title, *entry.aliases)}
    ]
    assert len(names) == len(set(names))
