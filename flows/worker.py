"""A Prefect worker that runs our entry point and nothing else, whatever the server says.

A stock process worker runs the command, environment, working directory and pull steps that the
server sends, so whoever holds the server's one credential could run anything on every machine.
This one takes the id of a flow run from the server. The base job template, job variables,
deployments and entry points are never read.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import anyio
import anyio.abc
from prefect.client.schemas.objects import FlowRun
from prefect.settings import get_current_settings
from prefect.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult

from millrace.engine.attendance import Attendance
from millrace.engine.fleet.pools import Basis
from millrace.engine.halting import ENDED, GRACE_SECONDS
from millrace.engine.recording.server import Api
from millrace.engine.recording.server import environment as prefect_environment
from millrace.engine.worker import REFUSED, environment, queues, secrets
from millrace.flows.control import Control
from millrace.flows.processes import Processes

BEAT_SECONDS = 15.0
QUERY_SECONDS = 1.0
_CANCEL_SECONDS = 3.0  # how soon a cancelled flow run is noticed
_QUEUES_SECONDS = 30.0
_EARLY_SECONDS = 2.0  # how much too early a flow run is claimed; it then waits for its time
_CHANCE_SECONDS = 3.0
_AT_MOST_SECONDS = 10.0  # between two questions to a server that does not answer
_LEAVE_SECONDS = 3.0  # for the last word to a server that may be away
_REPORT_SECONDS = 600.0  # how long a crash is reported again to a server that is away
_WELL = (0, REFUSED, ENDED)  # exit codes after which nobody needs to read what it said
_UNWANTED = ("CANCELLING", "CANCELLED", "DELETED")
_HEARTBEAT = "30"  # seconds; what an automation for dead flow runs counts


class Nothing(BaseJobConfiguration):
    """What a worker of ours takes from job templates and job variables."""

    @classmethod
    async def resolve_for_flow_run(cls, flow_run: FlowRun, **others: Any) -> Self:
        """Returns an empty configuration, whatever the server has to say."""
        return cls()


class Ended(BaseWorkerResult):
    """How an entry process ended. A negative status code is the signal that ended it."""


@dataclass(frozen=True)
class Station:
    """How a worker works: for which pool, on machines of which basis, and where its home is.

    `limit` is the number of flow runs that work at a time; as many again may wait for their turn.
    """

    pool: str
    name: str
    home: Path
    basis: Basis | None = None
    conductor: bool = False
    limit: int = 1
    query_seconds: float = QUERY_SECONDS


class MillraceWorker(BaseWorker[Nothing, Any, Ended]):
    """Takes flow runs of one work pool of type `process`, and runs our entry point for each."""

    type = "process"
    job_configuration = Nothing

    def __init__(self, station: Station) -> None:
        super().__init__(
            work_pool_name=station.pool,
            name=station.name,
            create_pool_if_not_found=False,
            heartbeat_interval_seconds=int(BEAT_SECONDS),
        )
        self._station = station
        self._attendance = Attendance(station.home)
        self._processes = Processes()
        self._queues: list[str] = []
        self._control: Control | None = None
        self._checked = self._closing = False
        self._last_active = time.monotonic()
        self._secrets = secrets()

    @classmethod
    def __dispatch_key__(cls) -> str:
        return "millrace"  # Prefect's own worker keeps the name `process` in this process

    @property
    def control(self) -> Control:
        """What this worker says to the server. Only while it serves."""
        if self._control is None:
            self._control = Control(self.client, self._station.pool)
        return self._control

    @property
    def idle_seconds(self) -> float:
        """Seconds since anything was at work on this host, by this worker or another."""
        if len(self._processes) or self._attendance.present():
            self._last_active = time.monotonic()
        return time.monotonic() - self._last_active

    @property
    def closing(self) -> bool:
        """True while no more work is taken."""
        return self._closing

    @closing.setter
    def closing(self, value: bool) -> None:
        self._closing = value

    async def serve(self, beside: Callable[[Self], Awaitable[None]], *, once: bool = False) -> None:
        """Works until SIGTERM or SIGINT; with `once`, until no more work waits and all is done.

        `beside` runs all the while and ends the worker by returning. A server that is away is
        asked again until it is back. Raises UsageError when there is no such work pool.
        """
        async with self:
            self._attendance.tidy()
            async with anyio.create_task_group() as loops:
                scope = loops.cancel_scope
                loops.start_soon(self._until_signal, scope)
                loops.start_soon(self._until_over, scope, beside)
                loops.start_soon(self._every, BEAT_SECONDS, self.sync_with_backend)
                loops.start_soon(self._every, _QUEUES_SECONDS, self._choose_queues)
                loops.start_soon(self._every, _CANCEL_SECONDS, self._heed_cancellations)
                if once:
                    await self._until_done()
                    scope.cancel()
                else:
                    await self._every(self._station.query_seconds, self._poll)
            self._closing = True
            await self._processes.end_all()
            with suppress(Exception), anyio.move_on_after(_LEAVE_SECONDS):
                await self.control.leave(self.name)

    async def sync_with_backend(self) -> None:
        """Tells the server that this worker lives. Raises UsageError when there is no such pool."""
        if not self._checked:
            await self.control.check(self.type)
            self._checked = True
        await self.control.beat(self.name, BEAT_SECONDS)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: Nothing,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> Ended:
        """Runs the entry point for a flow run, and returns how that ended.

        Only the flow run's id reaches it. A flow run that a process of this host carries out
        already, started by a worker that is gone, is left to that process.
        """
        return await self._carry_out(flow_run.id)

    async def _carry_out(self, flow_run: UUID) -> Ended:
        name = str(flow_run)
        seat = self._attendance.take(name)
        if seat is None:
            return Ended(identifier=name, status_code=0)
        surroundings = self._environment(name, seat.folder)
        code = await self._processes.carry_out(flow_run, seat, surroundings)
        self._attendance.leave(name, well=code in _WELL)
        return Ended(identifier=name, status_code=code)

    def _environment(self, flow_run: str, folder: Path) -> Mapping[str, str]:
        api = get_current_settings().api
        auth = api.auth_string.get_secret_value() if api.auth_string else None
        prefect = prefect_environment(Api(api.url or "", auth))
        if api.key:
            prefect["PREFECT_API_KEY"] = api.key.get_secret_value()
        return environment(
            os.environ,
            flow_run=flow_run,
            pool=self._station.pool,
            folder=folder,
            conductor=self._station.conductor,
            slots=self._station.limit,
            prefect=prefect | {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": _HEARTBEAT},
            secrets=self._secrets,
        )

    async def _choose_queues(self) -> None:
        self._queues = queues(await self.control.queues(), self._station.basis)

    async def _poll(self) -> None:
        if not self._queues:  # an empty list would ask for the work of all queues
            await self._choose_queues()
        room, by = self._room()
        if not self._queues or not room:
            return
        for flow_run in await self.control.waiting(self._queues, room, by):
            if self._room()[0] and self._runs_task_group and flow_run not in self._processes:
                self._processes.expect(flow_run)
                self._runs_task_group.start_soon(self._see_through, flow_run)

    def _room(self) -> tuple[int, float]:
        """Returns how many more flow runs to take, and how soon their time must come, in seconds.

        Work may be sent before its slot is free, so that it is ready by then. It is taken once
        other workers, who have a slot free, have had their chance.
        """
        if self._closing:
            return 0, 0.0
        free = self._station.limit - len(self._processes)
        if free > 0 or self._station.conductor:
            return max(0, free), _EARLY_SECONDS
        return max(0, free + self._station.limit), -_CHANCE_SECONDS

    async def _see_through(self, flow_run: UUID) -> None:
        """Claims a flow run and sees it to its end."""
        try:
            if await self.control.propose(flow_run, "PENDING", f"claimed by {self.name}"):
                ended = None if self._closing else await self._carry_out(flow_run)
                code = ended.status_code if ended else -signal.SIGTERM
                await self._settle(flow_run, code)
        except Exception as error:  # noqa: BLE001 - one flow run never ends the worker
            self._logger.warning("flow run %s: %s", flow_run, type(error).__name__)
        finally:
            self._processes.forget(flow_run)
            self._last_active = time.monotonic()

    async def _settle(self, flow_run: UUID, code: int) -> None:
        """Says that a process is gone; a flow run that has ended in a state of its own keeps it.

        One that was cancelled while its process came to its end would stay `Cancelling` for ever.
        """
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        end = time.monotonic() + (GRACE_SECONDS if self._closing else _REPORT_SECONDS)
        while time.monotonic() < end:
            try:
                if "CANCELLING" in (await self.control.states([flow_run])).values():
                    how = "its process has ended"
                    await self.control.propose(flow_run, "CANCELLED", how, force=True)
                elif code:
                    await self.control.propose(flow_run, "CRASHED", f"its process ended by {how}")
                return
            except Exception:  # noqa: BLE001 - the server may be away for a while
                await anyio.sleep(_CANCEL_SECONDS)

    async def _heed_cancellations(self) -> None:
        """Ends the processes of flow runs that were cancelled or deleted."""
        mine = self._processes.started
        if not mine:
            return
        states = await self.control.states(mine)
        for flow_run in mine:
            if self._runs_task_group and states.get(flow_run, "DELETED") in _UNWANTED:
                self._runs_task_group.start_soon(self._processes.end, flow_run)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Does `work` again and again: less often while it fails, but for ever."""
        pause = seconds
        while True:
            try:
                await work()
                pause = seconds
            except Exception as error:  # noqa: BLE001 - the server may be away for a while
                pause = max(seconds, min(_AT_MOST_SECONDS, pause * 2))
                self._logger.warning("the server: %s; asking again", type(error).__name__)
            await anyio.sleep(pause)

    async def _until_signal(self, scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                scope.cancel()
                return

    async def _until_over(
        self, scope: anyio.CancelScope, beside: Callable[[Self], Awaitable[None]]
    ) -> None:
        await beside(self)
        scope.cancel()

    async def _until_done(self) -> None:
        while True:
            await self._poll()
            if not len(self._processes):
                return
            while len(self._processes):
                await anyio.sleep(self._station.query_seconds)
