"""A worker as it stands on a machine: its card, its work, and switching the machine off."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.to_thread import run_sync

from millrace.engine.errors import MillraceError
from millrace.engine.exchange.cards import remove_card, write_card
from millrace.engine.exchange.places import Place
from millrace.engine.exchange.quarters import sweep
from millrace.engine.fleet.observed import Card
from millrace.engine.hosts.devices import inventory
from millrace.engine.settings import Settings
from millrace.engine.worker import capabilities, describe
from millrace.flows.worker import MillraceWorker, Station

Able = dict[str, dict[str, dict[str, str]]]

POWER_OFF = "MILLRACE_POWER_OFF"
_DEFAULT_POWER_OFF = "systemctl poweroff"
_CARD_SECONDS = 60.0
_LOOK_SECONDS = 1.0
_SETTLE_SECONDS = 3.0  # between taking no more work and switching off
_COMMAND_SECONDS = 60.0
_PATIENCE_SECONDS = 20.0  # with a store that does not take the card; the next one comes soon
_LAST_SECONDS = 2.0  # with a store at the end; an old card is nobody's sign of life


@dataclass(frozen=True)
class Duty:
    """What a worker does besides its work. `idle_off` is in seconds of having nothing to do."""

    idle_off: float | None = None
    once: bool = False


def serve(station: Station, duty: Duty, settings: Settings, say: Callable[[str], None]) -> None:
    """Works for a pool until SIGTERM or SIGINT, or as `duty` says. Call inside `recording(...)`.

    `say` hears what a person should know. What killed assignments have left on this host is removed
    first. Raises UsageError when there is no such pool, and what `Place.open` raises.
    """
    _place(settings)  # one that never can be reached is told now, and not to each assignment
    if settings.exchange:  # else the store is the conductor's own, and nothing there is left over
        sweep(settings)
    anyio.run(_serve, station, duty, settings, say)


async def _serve(
    station: Station, duty: Duty, settings: Settings, say: Callable[[str], None]
) -> None:
    async def beside(worker: MillraceWorker) -> None:
        say(f"worker {station.name} works for {station.pool}")
        async with anyio.create_task_group() as both:
            both.start_soon(_keep_card, station, settings, say)
            if duty.idle_off is None:
                await anyio.sleep_forever()
            else:
                await _until_off(worker, duty.idle_off, say)
            both.cancel_scope.cancel()

    await MillraceWorker(station).serve(beside, once=duty.once)
    say(f"worker {station.name} has ended")


async def _keep_card(station: Station, settings: Settings, say: Callable[[str], None]) -> None:
    """Leaves the worker's card in the store it works from, now and every minute, until the end."""
    said = ""
    able = await run_sync(lambda: capabilities(inventory()), abandon_on_cancel=True)
    try:
        while True:
            try:
                await run_sync(_write_card, station, settings, able, abandon_on_cancel=True)
                said = ""
            except MillraceError as error:
                if error.message != said:
                    say(f"the card of this worker cannot be left: {error.message}")
                said = error.message
            await anyio.sleep(_CARD_SECONDS)
    finally:
        with suppress(MillraceError), anyio.CancelScope(shield=True):
            await run_sync(_take_card_away, station, settings)


def _write_card(station: Station, settings: Settings, able: Able) -> None:
    write_card(_place(settings), _card(station, settings, able))


def _take_card_away(station: Station, settings: Settings) -> None:
    remove_card(_place(settings).patient(_LAST_SECONDS), _card(station, settings, {}))


def _place(settings: Settings) -> Place:
    return Place.open(settings.exchange or str(settings.store), patience=_PATIENCE_SECONDS)


def _card(station: Station, settings: Settings, able: Able) -> Card:
    return describe(
        settings,
        inventory(),
        pool=station.pool,
        worker=station.name,
        basis=station.basis,
        at=time.time(),
        own=os.environ,
        able=able,
    )


async def _until_off(worker: MillraceWorker, idle: float, say: Callable[[str], None]) -> None:
    """Returns once this machine, idle for `idle` seconds, was told to switch itself off."""
    wanted = idle
    while True:
        await anyio.sleep(_LOOK_SECONDS)
        if worker.idle_seconds < wanted:
            continue
        worker.closing = True
        await anyio.sleep(_SETTLE_SECONDS)  # what was claimed just before shows itself
        if worker.idle_seconds >= wanted and await _power_off(say):
            return
        worker.closing = False
        wanted = worker.idle_seconds + idle


async def _power_off(say: Callable[[str], None]) -> bool:
    command = shlex.split(os.environ.get(POWER_OFF) or _DEFAULT_POWER_OFF)
    say(f"idle: {shlex.join(command)}")
    try:
        ended = await run_sync(_run, command)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"this machine cannot be switched off: {type(error).__name__}")
        return False
    if ended:
        say(f"this machine cannot be switched off: exit code {ended}")
    return ended == 0


def _run(command: list[str]) -> int:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, timeout=_COMMAND_SECONDS, check=False
    ).returncode
