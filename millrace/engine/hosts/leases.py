"""The exclusive right to a share of this host: cores, memory, and VRAM of one GPU.

A lease is a file in a folder that all processes share, locked by the process that holds it (see
`lockfiles`). It ends with its process, SIGKILL included: no process ids are trusted, no clocks, no
heartbeats. Requests queue as files of the same sort and are granted by `shares.turn`::

    book                     locked while somebody reads or changes the others
    000000000041-9f3c.held   a lease: what it holds
    000000000042-02ab.queued a request that waits its turn; the numbers give the order

Leases bind those who use the same folder and see the same host. They are not enforced against
programs that do not ask for one.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from millrace.engine.errors import NotPermitted, StoreError
from millrace.engine.hosts import shares
from millrace.engine.hosts.devices import Device, Host, Wants, choose, device, size, suitable
from millrace.engine.hosts.lockfiles import LockFolder
from millrace.engine.hosts.shares import Claim, Request

FIRST_POLL_S, SLOWEST_POLL_S = 0.05, 1.0
CALLBACK_EVERY_S = 0.5


@dataclass(frozen=True)
class Held:
    """One lease, for a person's eyes; `pid` and `since` (seconds since 1970) decide nothing."""

    pid: int
    device: str  # UUID of the GPU, "" for the CPU alone
    vram: int
    cores: int
    memory: int
    since: float


class Lease:
    """A share of this host, from `LeaseBook.acquire` until `release` or the end of the process.

    A child process that is given `fileno()` (`pass_fds=(lease.fileno(),)`) keeps the lease alive
    should this process die before it; other children do not inherit it.
    """

    def __init__(self, files: LockFolder, name: str, file: int, device: Device) -> None:
        self._files, self._name, self._file = files, name, file
        self.device = device

    def fileno(self) -> int:
        """Returns the descriptor whose last copy, when closed, ends the lease."""
        return self._file

    def environment(self) -> dict[str, str]:
        """Returns the variables that confine a tool to this lease's GPU and cores."""
        return {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": self.device.uuid,  # "" hides every GPU
            "OMP_NUM_THREADS": str(self.device.cores),
        }

    def release(self) -> None:
        """Ends this process's hold; call it when the child is gone. Further calls do nothing."""
        self._files.drop(self._file, self._name)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(frozen=True)
class _Entry:
    name: str
    pid: int
    since: float
    request: Request | None = None
    claim: Claim | None = None


class LeaseBook:
    """The leases of one host, kept in `folder` by all processes that share it."""

    def __init__(self, folder: Path, host: Host) -> None:
        self._host = host
        self._files = LockFolder(folder)
        self._known: dict[str, _Entry] = {}  # a file of one name never changes its content

    def acquire(
        self,
        needs: Wants,
        *,
        like: Device | None = None,
        timeout: float | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Lease:
        """Returns a lease for a batch of these needs, waiting for its turn where it must.

        The device is of the kind and name that `choose` gives (or `like`, what was planned with):
        when all such are taken it waits, it never falls back to another. `on_wait` is called when
        the wait begins and about twice a second after; what it raises ends the wait.
        Raises NotPermitted when this host can never grant it, or did not within `timeout` seconds.
        Raises StoreError when the folder cannot be used.
        """
        planned = choose(needs, self._host)
        request = self._request(needs, like or planned)
        name, file = self._enqueue(request)
        try:
            claim = self._wait(name, file, timeout, on_wait)
        except BaseException:
            self._files.drop(file, name, _held(name))
            raise
        if claim is None:
            self._files.drop(file, name)
            raise self._busy(request, timeout or 0.0)
        gpu = next((gpu for gpu in self._host.gpus if gpu.uuid == claim.gpu), None)
        return Lease(self._files, _held(name), file, device(needs, self._host, gpu))

    def held(self) -> list[Held]:
        """Returns the leases alive right now, the oldest first."""
        with self._files.locked():
            entries = self._entries()
        return [
            Held(e.pid, e.claim.gpu, e.claim.vram, e.claim.cores, e.claim.memory, e.since)
            for e in entries
            if e.claim
        ]

    def _request(self, needs: Wants, wanted: Device) -> Request:
        cores = max(1, min(needs.cores, self._host.cores))
        if wanted.kind == "cpu":
            return Request(cores=cores, memory=needs.memory)
        gpus = tuple(g.uuid for g in suitable(needs, self._host) if g.name == wanted.name)
        if not gpus:
            raise NotPermitted(
                f"{self._host.name} has no {wanted.name} that this work could use",
                hint="plan the run again: the devices of this host have changed",
            )
        return Request(cores=cores, memory=needs.memory, gpus=gpus, vram=needs.vram)

    def _enqueue(self, request: Request) -> tuple[str, int]:
        with self._files.locked():
            last = max((int(name[:12]) for name in self._names()), default=0)
            name = f"{last + 1:012d}-{secrets.token_hex(4)}.queued"
            return name, self._files.create(name, _entry(request=request.model_dump()))

    def _wait(
        self, name: str, file: int, timeout: float | None, on_wait: Callable[[], None] | None
    ) -> Claim | None:
        give_up = None if timeout is None else time.monotonic() + timeout
        call_at = 0.0
        while True:
            claim, ahead = self._turn(name, file)
            now = time.monotonic()
            if claim or (give_up is not None and now >= give_up):
                return claim
            if on_wait and now >= call_at:
                on_wait()
                call_at = now + CALLBACK_EVERY_S
            pause = min(SLOWEST_POLL_S, FIRST_POLL_S * (1 + ahead))
            time.sleep(pause if give_up is None else min(pause, give_up - now))

    def _turn(self, name: str, file: int) -> tuple[Claim | None, int]:
        """Returns what the request gets (from now on a lease), or None, and how many are ahead."""
        with self._files.locked():
            entries = self._entries()
            if not any(e.name == name for e in entries):
                raise StoreError(
                    "somebody emptied the folder of the leases while this program waited in it",
                    hint="run it again; leave the folder alone while anything runs",
                )
            queue = [e.request for e in entries if e.request and e.name <= name]
            claim = shares.turn(self._host, (e.claim for e in entries if e.claim), queue)
            if claim:
                self._files.rewrite(file, name, _entry(claim=claim.model_dump()), _held(name))
        return claim, len(queue) - 1

    def _names(self) -> list[str]:
        return [n for n in self._files.alive() if n.endswith((".held", ".queued"))]

    def _entries(self) -> list[_Entry]:
        found = ((name, self._known.get(name) or self._read(name)) for name in self._names())
        self._known = {name: entry for name, entry in found if entry}
        return list(self._known.values())

    def _read(self, name: str) -> _Entry | None:
        data = self._files.read(name)
        if data is None:
            return None
        try:
            request, claim = data.get("request"), data.get("claim")
            return _Entry(
                name,
                int(data["pid"]),
                float(data["since"]),
                Request.model_validate(request) if request else None,
                Claim.model_validate(claim) if claim else None,
            )
        except (KeyError, TypeError, ValidationError) as error:
            raise StoreError(  # it is locked, so it counts; guessing how much could oversubscribe
                f"the lease {name} belongs to a running program but cannot be read: {error}",
                hint="end the other Millrace on this host, or bring both to the same version",
            ) from error

    def _busy(self, request: Request, timeout: float) -> NotPermitted:
        vram = size(request.vram) if request.vram else "a whole GPU"
        what = f"{request.cores} cores{f' and {vram}' if request.gpus else ''}"
        users = ", ".join(str(pid) for pid in sorted({held.pid for held in self.held()}))
        return NotPermitted(
            f"{self._host.name} had no {what} free within {timeout:g} s",
            hint=f"wait for the processes that hold it: {users or 'none is left by now'}",
        )


def _held(name: str) -> str:
    return name.removesuffix(".queued") + ".held"


def _entry(**content: Any) -> dict[str, Any]:
    return {"pid": os.getpid(), "since": round(time.time(), 3), **content}
