"""What a host has, and which device a batch gets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from millrace.engine.errors import NotPermitted, UsageError
from millrace.engine.hosts import cgroups
from millrace.engine.hosts.devices import Device, Host, choose, inventory, visible
from millrace.engine.hosts.nvml import Gpu
from millrace.engine.stages import Needs

GIB = 1 << 30
SMALL = Gpu(uuid="GPU-11aa", name="T4", vram=16 * GIB)
BIG = Gpu(uuid="GPU-22bb", name="H100", vram=80 * GIB)
UNKNOWN = Gpu(uuid="GPU-33cc", name="GB10")
HOST = Host(name="here", cores=8, memory=32 * GIB, cpu="EPYC", gpus=(SMALL, BIG, UNKNOWN))
BARE = HOST.model_copy(update={"gpus": ()})


def test_cores_and_memory_are_always_known() -> None:
    host = inventory(environment={})
    assert host.cores <= len(os.sched_getaffinity(0))
    assert host.memory > 0
    assert host.cpu
    assert not host.simulated


def test_a_batch_that_wants_no_gpu_gets_the_cpu() -> None:
    assert choose(Needs(cores=2), HOST) == Device(name="EPYC", cores=2, memory=8 * GIB)


def test_a_preferred_gpu_is_the_biggest_that_fits() -> None:
    device = choose(Needs(gpu="prefer", vram=2 * GIB, memory=GIB), HOST)
    assert device == Device(
        kind="cuda", name="H100", uuid="GPU-22bb", vram=2 * GIB, cores=1, memory=GIB
    )


def test_a_gpu_without_stated_vram_is_given_whole() -> None:
    assert choose(Needs(gpu="require"), HOST).vram == 80 * GIB


def test_a_preferred_gpu_that_is_too_small_means_the_cpu() -> None:
    assert choose(Needs(gpu="prefer", vram=81 * GIB), HOST).kind == "cpu"
    assert choose(Needs(gpu="prefer"), BARE).kind == "cpu"


def test_vram_binds_on_gpus_only() -> None:
    assert choose(Needs(gpu="no", vram=500 * GIB), HOST).kind == "cpu"


def test_unknown_vram_is_not_enough_when_vram_is_asked_for() -> None:
    host = HOST.model_copy(update={"gpus": (UNKNOWN,)})
    assert choose(Needs(gpu="require"), host).name == "GB10"
    with pytest.raises(NotPermitted, match=r"GB10 \(VRAM unknown\)"):
        choose(Needs(gpu="require", vram=1), host)


def test_a_required_gpu_that_is_missing_is_an_error_that_says_what_is_there() -> None:
    with pytest.raises(NotPermitted, match=r"gpu: require: .*90.0 GiB.* here has T4 \(16.0 GiB\)"):
        choose(Needs(gpu="require", vram=90 * GIB), HOST)
    with pytest.raises(NotPermitted, match="here has none"):
        choose(Needs(gpu="require"), BARE)


def test_cores_beyond_the_host_are_capped() -> None:
    assert choose(Needs(cores=64), HOST).cores == 8
    assert choose(Needs(cores=0), HOST).cores == 1


def test_memory_beyond_the_host_is_refused() -> None:
    with pytest.raises(NotPermitted, match=r"memory: 33.0 GiB needed, here has 32.0 GiB"):
        choose(Needs(memory=33 * GIB), HOST)


MIG = tuple(
    Gpu(uuid=f"MIG-{n}", name="A100 MIG 1g.5gb", vram=5 * GIB, parent="GPU-44dd") for n in range(2)
)


@pytest.mark.parametrize(
    ("wish", "uuids"),
    [
        (None, ["GPU-11aa", "MIG-0", "MIG-1", "GPU-22bb"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0", ["GPU-11aa"]),
        ("2, 0", ["GPU-22bb", "GPU-11aa"]),
        ("1", ["MIG-0", "MIG-1"]),
        ("GPU-22", ["GPU-22bb"]),
        ("MIG-1", ["MIG-1"]),
        ("0,9,2", ["GPU-11aa"]),
        ("0,0", ["GPU-11aa"]),
    ],
)
def test_cuda_visible_devices_hides_gpus_as_it_does_in_cuda(
    wish: str | None, uuids: list[str]
) -> None:
    assert [gpu.uuid for gpu in visible((SMALL, *MIG, BIG), wish)] == uuids


TABLE = {
    "cores": 32,
    "memory": "128 GiB",
    "gpus": [{"name": "RTX 4090", "vram": "24 GiB"}, {"name": "L4", "uuid": "L", "vram": 1}],
}


@pytest.mark.parametrize("name", ["table.json", "table.yaml"])
def test_a_table_stands_in_for_the_host(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(TABLE))
    host = inventory(environment={"MILLRACE_DEVICES": str(path)})
    assert host == inventory(path, environment={})
    assert (host.cores, host.memory, host.simulated) == (32, 128 * GIB, True)
    assert [(g.uuid, g.name, g.vram) for g in host.gpus] == [
        ("GPU-0", "RTX 4090", 24 * GIB),
        ("L", "L4", 1),
    ]


def test_cuda_visible_devices_hides_gpus_of_a_table_too(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(TABLE))
    host = inventory(path, environment={"CUDA_VISIBLE_DEVICES": "L"})
    assert [gpu.name for gpu in host.gpus] == ["L4"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[1, 2]",
        "cores: two",
        "{cores: 0, memory: 1}",
        "{cores: 1, memory: 1 parsec}",
        "{cores: 1, memory: 1, gpus: 3}",
        "{cores: 1, memory: 1, gpus: [7]}",
        "{cores: 1, memory: 1, gpus: [{name: a, uuid: x}, {name: a, uuid: x}]}",
        "{cores: 1, memory: 1, colour: red}",
    ],
)
def test_a_table_that_cannot_be_read_is_a_usage_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="device table"):
        inventory(path, environment={})


def test_a_table_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        inventory(tmp_path / "none.json", environment={})


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_quota_of_cgroups_version_2_limits_cores_and_memory(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/jobs/one\n",
            "sys/fs/cgroup/jobs/one/cpu.max": "max 100000\n",
            "sys/fs/cgroup/jobs/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/jobs/one/memory.max": "1000000\n",
            "sys/fs/cgroup/jobs/memory.max": "max\n",
        },
    )
    assert cgroups.cores(root) == 1
    assert cgroups.memory(root) == 1_000_000


def test_a_quota_of_cgroups_version_1_limits_cores_and_memory(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/docker/7f\n2:memory:/docker/7f\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",  # a container sees its own at the top
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n",
        },
    )
    assert cgroups.cores(root) == 1
    assert cgroups.memory(root) == 2_000_000


def test_groups_without_limits_leave_the_host_as_it_is(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "3:cpu:/a\n2:memory:/a\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert cgroups.cores(root) == len(os.sched_getaffinity(0))
    assert cgroups.memory(root) == cgroups.memory(tmp_path / "nothing")
