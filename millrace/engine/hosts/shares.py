"""Who gets which share of a host: pure accounting over what is held and who waits, in order.

A request is granted when it fits into what is left after every lease *and every earlier request*:
an earlier one that fits now is counted as granted, one that does not keeps what it is waiting for
reserved. So a small request may pass a big one only where it takes nothing from it, and no stream
of small requests starves a big one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from millrace.engine.hosts.devices import Host


class Request(BaseModel):
    """What one lease asks for. `gpus` are the UUIDs that would do, none for the CPU alone.

    `vram` 0 together with GPUs asks for a whole GPU; `memory` 0 asks for none in particular. Bytes.
    """

    model_config = ConfigDict(frozen=True)

    cores: int
    memory: int = 0
    gpus: tuple[str, ...] = ()
    vram: int = 0


class Claim(BaseModel):
    """What one lease holds. `whole` shuts out every other lease from the GPU. Bytes."""

    model_config = ConfigDict(frozen=True)

    cores: int
    memory: int = 0
    gpu: str = ""
    vram: int = 0
    whole: bool = False


@dataclass
class _GpuRoom:
    vram: int
    users: int = 0
    closed: bool = False

    def fits(self, vram: int) -> bool:
        """True when `vram` bytes, or for 0 the whole GPU, are left."""
        return not self.closed and (vram <= self.vram if vram else self.users == 0)

    def use(self, vram: int, *, whole: bool) -> None:
        self.vram -= vram
        self.users += 1
        self.closed = self.closed or whole


class Room:
    """What is left of a host. Numbers fall below zero where reservations exceed what there is."""

    def __init__(self, host: Host, claims: Iterable[Claim] = ()) -> None:
        self.cores = host.cores
        self.memory = int(host.memory)
        self._gpus = {gpu.uuid: _GpuRoom(int(gpu.vram)) for gpu in host.gpus}
        for claim in claims:
            self.take(claim)

    def fit(self, request: Request) -> Claim | None:
        """Returns what the request would get now, on the GPU with the most room, or None."""
        if request.cores > self.cores or (request.memory and request.memory > self.memory):
            return None
        held = Claim(cores=request.cores, memory=request.memory)
        if not request.gpus:
            return held
        known = [uuid for uuid in request.gpus if uuid in self._gpus]
        free = [uuid for uuid in known if self._gpus[uuid].fits(request.vram)]
        if not free:
            return None
        gpu = max(free, key=lambda uuid: (self._gpus[uuid].vram, -self._gpus[uuid].users))
        vram, whole = request.vram or self._gpus[gpu].vram, not request.vram
        return held.model_copy(update={"gpu": gpu, "vram": vram, "whole": whole})

    def take(self, claim: Claim) -> None:
        """Counts a lease. A GPU that this host does not see is somebody else's concern."""
        self.cores -= claim.cores
        self.memory -= claim.memory
        if claim.gpu in self._gpus:
            self._gpus[claim.gpu].use(claim.vram, whole=claim.whole)

    def reserve(self, request: Request) -> None:
        """Keeps everything free that a waiting request may come to use, on each of its GPUs."""
        self.cores -= request.cores
        self.memory -= request.memory
        for uuid in request.gpus:
            if uuid in self._gpus:
                self._gpus[uuid].use(request.vram, whole=not request.vram)


def turn(host: Host, claims: Iterable[Claim], queue: Sequence[Request]) -> Claim | None:
    """Returns what the last request of `queue` gets now, the earlier ones considered, or None."""
    room = Room(host, claims)
    for earlier in queue[:-1]:
        claim = room.fit(earlier)
        if claim:
            room.take(claim)
        else:
            room.reserve(earlier)
    return room.fit(queue[-1])
