"""Entry processes: how a worker starts one, and how it ends one."""

from __future__ import annotations

import os
import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

import anyio

from millrace.engine.attendance import Seat
from millrace.engine.halting import GRACE_SECONDS
from millrace.engine.sessions import group

COMMAND = (sys.executable, "-m", "millrace.flows.entry")
"""The one command that a worker ever runs."""


async def start(seat: Seat, environment: Mapping[str, str]) -> Process:
    """Starts the entry point in a seat, and returns its process.

    It leads a session of its own, so that it outlives the worker; what it says goes into the seat's
    log. It keeps the seat's lock, which this process lets go of.
    """
    try:
        with open(seat.log, "wb", opener=_private) as log:
            return await create_subprocess_exec(
                *COMMAND,
                cwd=seat.folder,
                env=environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(seat.lock,),
                start_new_session=True,
            )
    finally:
        os.close(seat.lock)


class Processes:
    """The entry processes of one worker, by flow run. None stands for one about to start."""

    def __init__(self) -> None:
        self._all: dict[UUID, Process | None] = {}
        self._ending: set[UUID] = set()

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, flow_run: object) -> bool:
        return flow_run in self._all

    @property
    def started(self) -> list[UUID]:
        """The flow runs that have a process which nobody has asked to end."""
        return [f for f, process in self._all.items() if process and f not in self._ending]

    def expect(self, flow_run: UUID) -> None:
        """Keeps a place for a flow run."""
        self._all[flow_run] = None

    def forget(self, flow_run: UUID) -> None:
        """Gives the place of a flow run free."""
        self._all.pop(flow_run, None)
        self._ending.discard(flow_run)

    async def carry_out(self, flow_run: UUID, seat: Seat, environment: Mapping[str, str]) -> int:
        """Runs the entry point for a flow run; returns its exit code, or minus the signal's number.

        Whatever it may have left behind in its session is killed.
        """
        process = await start(seat, environment)
        self._all[flow_run] = process
        code = await process.wait()
        group.send(process.pid, signal.SIGKILL)
        return code

    async def end(self, flow_run: UUID) -> None:
        """Asks a process to end, and kills it and all it started after the time of grace."""
        process = self._all.get(flow_run)
        if process is None:
            return
        self._ending.add(flow_run)
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with anyio.move_on_after(GRACE_SECONDS):
            await process.wait()
            return
        group.send(process.pid, signal.SIGKILL)

    async def end_all(self) -> None:
        """Ends every process."""
        async with anyio.create_task_group() as endings:
            for flow_run in list(self._all):
                endings.start_soon(self.end, flow_run)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
