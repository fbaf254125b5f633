"""What this host has to compute with, and which device a batch of given needs gets.

The GPUs come from NVML, cores and memory from the kernel. For tests and rehearsals of a machine
that is not at hand, MILLRACE_DEVICES names a table that stands in for both::

    {"name": "rehearsal", "cores": 32, "memory": "128 GiB",
     "gpus": [{"name": "RTX 4090", "vram": "24 GiB"}, {"name": "RTX 4090", "vram": "24 GiB"}]}
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ByteSize, ConfigDict, Field

from millrace.engine.errors import NotPermitted, UsageError
from millrace.engine.hosts import cgroups
from millrace.engine.hosts.nvml import Gpu, Nvml


class Device(BaseModel):
    """A device as a session gets it: the CPU with some cores, or one GPU by UUID. Bytes.

    `pooled`: it is one of a pool, where others work on the same items; without `uuid`, a GPU is
    then whichever of its name the work will meet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cpu", "cuda"] = "cpu"
    name: str = "CPU"
    uuid: str = ""
    vram: int = 0
    cores: int = 1
    memory: int = 0
    pooled: bool = False


class Host(BaseModel):
    """What one host has. `simulated` tells that a table stands in for the real thing. Bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "simulated"
    cores: int = Field(ge=1)
    memory: ByteSize
    cpu: str = "CPU"
    gpus: tuple[Gpu, ...] = ()
    simulated: bool = False


class Wants(Protocol):
    """What `choose` reads of a batch's needs (`millrace.engine.stages.Needs` has it). Bytes."""

    @property
    def cores(self) -> int: ...
    @property
    def memory(self) -> int: ...
    @property
    def gpu(self) -> Literal["no", "prefer", "require"]: ...
    @property
    def vram(self) -> int: ...


def inventory(
    table: Path | None = None, *, environment: Mapping[str, str] = os.environ, nvml: Any = None
) -> Host:
    """Returns what this host has, or what `table` (or MILLRACE_DEVICES) says it has.

    GPUs that CUDA_VISIBLE_DEVICES hides are left out, of a table too. `nvml` replaces the
    management library. Raises UsageError for a table that cannot be read.
    """
    if table is None and environment.get("MILLRACE_DEVICES"):
        table = Path(environment["MILLRACE_DEVICES"])
    host = _simulated(table) if table is not None else _real(nvml)
    gpus = visible(host.gpus, environment.get("CUDA_VISIBLE_DEVICES"))
    return host.model_copy(update={"gpus": gpus})


def visible(gpus: Sequence[Gpu], wish: str | None) -> tuple[Gpu, ...]:
    """Returns the GPUs that a value of CUDA_VISIBLE_DEVICES leaves, in its order; None leaves all.

    As in CUDA, an entry is an index or the beginning of a UUID, and the first one that names no
    GPU ends the list. An index counts physical GPUs in PCI order and stands for all MIG instances
    of a divided GPU.
    """
    if wish is None:
        return tuple(gpus)
    physical = list(dict.fromkeys(gpu.parent or gpu.uuid for gpu in gpus))
    chosen: dict[str, Gpu] = {}
    for entry in (part.strip() for part in wish.split(",")):
        if entry.isdigit():
            index = int(entry)
            named = physical[index] if index < len(physical) else ""
            found = [gpu for gpu in gpus if named and named in (gpu.uuid, gpu.parent)]
        else:
            found = [gpu for gpu in gpus if entry and gpu.uuid.startswith(entry)][:1]
        if not found:
            break
        chosen |= {gpu.uuid: gpu for gpu in found}
    return tuple(chosen.values())


def choose(needs: Wants, host: Host) -> Device:
    """Returns the device that a batch of these needs gets on this host when nothing else runs.

    A GPU is the biggest one that is big enough; a smaller one never stands in, so that all batches
    of an item meet the same kind of device. `vram` binds on GPUs only, and a GPU that does not
    report its VRAM is not enough when some is asked for. Cores are capped at the host's.
    Raises NotPermitted, naming the rule and what is there, when memory is short or a required GPU
    is missing.
    """
    if needs.memory > host.memory:
        raise NotPermitted(
            f"memory: {size(needs.memory)} needed, {host.name} has {size(host.memory)}",
            hint="ask for less under `resources`, or run it on a larger host",
        )
    gpu = max(suitable(needs, host), key=lambda g: g.vram, default=None)
    if gpu is None and needs.gpu == "require":
        raise NotPermitted(
            f"gpu: require: {_missing(needs, host)}",
            hint="say `gpu: prefer` to fall back to the CPU, or run it on a host with such a GPU",
        )
    return device(needs, host, gpu)


def suitable(needs: Wants, host: Host) -> tuple[Gpu, ...]:
    """Returns the host's GPUs that are big enough for these needs, none when no GPU is wanted."""
    if needs.gpu == "no":
        return ()
    return tuple(gpu for gpu in host.gpus if gpu.vram >= needs.vram)


def device(needs: Wants, host: Host, gpu: Gpu | None) -> Device:
    """Returns the device made of this GPU (None: the CPU alone) and the host's cores and memory.

    A session may use the VRAM and memory that its batch stated; unstated VRAM is the whole GPU's,
    unstated memory the host's in proportion to the cores.
    """
    cores = max(1, min(needs.cores, host.cores))
    memory = needs.memory or host.memory * cores // host.cores
    if gpu is None:
        return Device(name=host.cpu, cores=cores, memory=memory)
    vram = needs.vram or gpu.vram
    return Device(kind="cuda", name=gpu.name, uuid=gpu.uuid, vram=vram, cores=cores, memory=memory)


def size(count: int) -> str:
    """Returns bytes as a person reads them: `24.0 GiB`."""
    return ByteSize(count).human_readable(separator=" ")


def _missing(needs: Wants, host: Host) -> str:
    wanted = f"a GPU with {size(needs.vram)} of VRAM is needed" if needs.vram else "a GPU is needed"
    there = [f"{g.name} ({size(g.vram) if g.vram else 'VRAM unknown'})" for g in host.gpus]
    return f"{wanted}, {host.name} has {', '.join(there) or 'none'}"


def _real(library: Any) -> Host:
    return Host(
        name=platform.node() or "localhost",
        cores=cgroups.cores(),
        memory=ByteSize(cgroups.memory()),
        cpu=_cpu_name(),
        gpus=Nvml(library).gpus(),
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine() or "CPU"


def _simulated(path: Path) -> Host:
    from ruamel.yaml import YAML  # imported here: 50 ms that only a rehearsal should pay
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else YAML(typ="safe").load(text)
        if not isinstance(data, dict):
            raise ValueError("a table of cores, memory and gpus is expected")
        named = [{"uuid": f"GPU-{i}", **gpu} for i, gpu in enumerate(data.get("gpus", ()))]
        host = Host(**{**data, "gpus": named, "simulated": True})
        if len({gpu.uuid for gpu in host.gpus}) < len(host.gpus):
            raise ValueError("two GPUs have the same uuid")
    except (OSError, ValueError, TypeError, YAMLError) as error:
        raise UsageError(
            f"the device table {path} cannot be read: {error}",
            hint='write {"cores": 8, "memory": "9 GiB", "gpus": [{"name": "A", "vram": "24 GiB"}]}',
        ) from error
    return host
