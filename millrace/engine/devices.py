"""What this host has to compute with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Device(BaseModel):
    """A device as a session gets it: the CPU with some cores, or one GPU by UUID. Bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cpu", "cuda"] = "cpu"
    name: str = "CPU"
    uuid: str = ""
    vram: int = 0
    cores: int = 1
    memory: int = 0
