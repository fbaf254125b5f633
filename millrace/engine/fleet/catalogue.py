"""The classes of devices a pool can have, with figures from their makers' documents.

`devices.json` beside this module holds them. Tensor figures are dense (no sparsity) and accumulate
in FP32, as most models run; INT8 accumulates in INT32. VRAM is what NVML reports, which is a little
less than the number in a card's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.engine.document.problems import listed, nearest

CPU = "cpu"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Citation(_Frozen):
    """A document that figures are from, and which ones."""

    document: str
    url: str
    figures: str


class Tflops(_Frozen):
    """Arithmetic in 10¹² operations a second; None where the device has no such mode."""

    fp32: float | None = None
    tf32: float | None = None
    fp16: float | None = None
    fp8: float | None = None
    int8: float | None = None


class DeviceClass(_Frozen):
    """A class of devices. `memory_gb` is the number people know it by, `vram` bytes as NVML says.

    `bandwidth` is that of its memory in GB/s, `watts` its power limit as it is sold. `rt_cores`,
    `nvenc` and `nvdec` count units on one card; 0 means it has none. `aliases` are NVML's names.
    """

    name: str
    title: str
    kind: Literal["cpu", "cuda"] = "cuda"
    memory_gb: float = Field(ge=0)
    vram: int = Field(ge=0)
    bandwidth: float | None = Field(default=None, description="GB/s")
    tflops: Tflops = Tflops()
    watts: float | None = None
    rt_cores: int = 0
    rt_generation: int | None = None
    nvenc: int = 0
    nvdec: int = 0
    aliases: tuple[str, ...] = ()
    sources: tuple[Citation, ...] = ()


@cache
def classes() -> Mapping[str, DeviceClass]:
    """Returns every class by its name, from the least VRAM to the most."""
    text = Path(__file__).with_name("devices.json").read_text(encoding="utf-8")
    entries = [_read(entry) for entry in json.loads(text)["devices"]]
    return {entry.name: entry for entry in entries}


def get(name: str) -> DeviceClass | None:
    """Returns the class of this name, None when there is none."""
    return classes().get(name)


def named(reported: str) -> DeviceClass | None:
    """Returns the class of a device by the name NVML reports, None for one that is not listed.

    Names must be the same but for case, "NVIDIA", "Tesla" and "GeForce": a "4070 Ti SUPER" is no
    "4070 Ti".
    """
    wanted = _plain(reported)
    for entry in classes().values():
        if wanted in {_plain(alias) for alias in (entry.name, entry.title, *entry.aliases)}:
            return entry
    return None


def unknown(name: str) -> str:
    """Returns the message for a class that is not in the catalogue."""
    folded = name.lower().replace("_", "-").replace(" ", "-")
    near = nearest(folded, classes()) or f"; there are {listed(list(classes()), 'and')}"
    return f"no device class is called {name!r}{near}"


def _read(entry: dict[str, object]) -> DeviceClass:
    mebibytes = entry.pop("vram_mib", 0)
    return DeviceClass.model_validate(entry | {"vram": int(str(mebibytes)) << 20})


def _plain(name: str) -> str:
    words = re.split(r"[^a-z0-9]+", name.lower())
    return " ".join(word for word in words if word not in ("nvidia", "tesla", "geforce", ""))
