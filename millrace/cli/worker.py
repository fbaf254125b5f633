"""Commands about workers: worker start."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from millrace.cli.options import PoolName
from millrace.engine.fleet.pools import Basis
from millrace.engine.recording.prefect import recording
from millrace.engine.settings import Settings, settings
from millrace.engine.worker import name_of

_CLEARANCE = "MILLRACE_CLEARANCE"


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    group = typer.Typer(
        rich_markup_mode=None,
        no_args_is_help=True,
        help="Let this machine work for a pool of the fleet.",
    )
    group.command()(start)
    group.callback()(_workers)
    app.add_typer(group, name="worker")


def start(
    pool: PoolName,
    basis: Annotated[
        Basis | None,
        typer.Option(help="How this machine is paid for: own, reserved, on_demand or spot."),
    ] = None,
    conductor: Annotated[
        bool, typer.Option("--conductor", help="Conduct runs here, instead of working for them.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Assignments that work at a time (default: the pool's slots, or 1)."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The worker's name (default: host-pid).")] = None,
    idle_off: Annotated[
        float | None,
        typer.Option(min=0.0, help="Switch this machine off after so many minutes without work."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Do the work that waits, then end.")] = False,
    query: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two questions for work.")
    ] = 1.0,
) -> None:
    """Let this machine work for a pool, until Ctrl-C or SIGTERM.

    It runs nothing but Millrace, whatever the server says; docs/threat-model.md tells what that
    defends. What this machine may read is its own word: MILLRACE_CLEARANCE, public if it is not
    set. On SIGTERM the batch in hand is finished or abandoned within 30 seconds, and the run gives
    what is left to others. MILLRACE_POWER_OFF is the command for --idle-off.

    Example: MILLRACE_CLEARANCE=internal millrace worker start burst --basis spot --idle-off 10
    """
    if not os.environ.get(_CLEARANCE):
        os.environ[_CLEARANCE] = "public"
        typer.echo(f"{_CLEARANCE} is not set: this machine reads public data only", err=True)
    here = replace(settings(), pool=pool)
    _settle_places(here)
    with recording(here, _say):
        # Prefect reads its settings from the environment when it is imported, so not before.
        from millrace.flows.serving import Duty, serve
        from millrace.flows.worker import Station

        logging.getLogger("httpx").setLevel(logging.WARNING)
        station = Station(
            pool=pool,
            name=name_of(name, os.getpid()),
            home=here.home,
            basis=basis,
            conductor=conductor,
            limit=limit or _slots(here),
            query_seconds=query,
        )
        duty = Duty(idle_off=None if idle_off is None else idle_off * 60, once=once)
        serve(station, duty, here, _say)


def _workers() -> None:
    """Let this machine work for a pool of the fleet."""


def _settle_places(here: Settings) -> None:
    """Names this host's own places in full: what works for a run starts in a folder of its own."""
    os.environ["MILLRACE_HOME"] = str(here.home)
    if here.fleet.exists():
        os.environ["MILLRACE_FLEET"] = str(here.fleet)


def _slots(here: Settings) -> int:
    """Returns how many assignments the pool's declaration allows a machine, 1 without one."""
    if not Path(here.fleet).exists():
        return 1
    from millrace.engine.fleet.reading import load_fleet

    pools = load_fleet(here.fleet).pools
    return pools[here.pool].slots_per_machine if here.pool in pools else 1


def _say(text: str) -> None:
    typer.echo(text, err=True)
