"""The command plan: what a run would do, and nothing done."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from millrace.cli import plan_view
from millrace.cli.options import (
    Files,
    Force,
    Json,
    Limit,
    On,
    Only,
    OutputName,
    Overwrite,
    Set,
    What,
)
from millrace.cli.orders import Asked, order_of
from millrace.engine.errors import MillraceError, NotPermitted
from millrace.engine.fleet.fleet_plan import FleetPlan
from millrace.engine.hosts.devices import inventory
from millrace.engine.plan import Plan
from millrace.engine.planning import make_plan
from millrace.engine.runs import Order
from millrace.engine.settings import Settings, settings

if TYPE_CHECKING:
    from millrace.engine.fleet.observed import Observed
    from millrace.engine.fleet.resolved import Fleet

HERE, FLEET = "here", "fleet"


def register(app: typer.Typer) -> None:
    """Adds this command to an application."""
    app.command()(plan)


def plan(
    what: What,
    files: Files = None,
    output: OutputName = None,
    set_: Set = None,
    limit: Limit = None,
    only: Only = None,
    force: Force = None,
    overwrite: Overwrite = False,
    on: On = HERE,
    declared: Annotated[
        bool, typer.Option("--declared", help="Plan on pools as declared; ask no server.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a run would do: stages, batches, time, cost, disk. Nothing is done.

    Inputs are measured once and remembered. What later stages get is forecast and marked with ~.
    The same files give the same JSON, so plans can be compared.

    With --on fleet it shows for each stage what every pool of deployments/pools.yaml would take
    and cost, which of them the work goes to, and the rule that keeps it from the others; with
    --on POOL the same for that one. Exit code 3 when there is a stage that no pool may run.

    Example: millrace plan remaster.yaml --limit 3

    Example: millrace plan remaster.yaml --on fleet
    """
    asked = Asked(
        what=what,
        files=tuple(files or ()),
        output=output,
        set=tuple(set_ or ()),
        limit=limit,
        only=only,
        force=tuple(force or ()),
        overwrite=overwrite,
    )
    order = order_of(asked).model_copy(update={"on": on})
    made = planned(order, quiet=as_json, declared=declared)
    if as_json:
        typer.echo(made.model_dump_json(indent=2))
    else:
        plan_view.show(made, Console())
    _refuse_forbidden(made)


def planned(order: Order, *, quiet: bool, declared: bool = False) -> Plan | FleetPlan:
    """Returns the plan of an order, with a word on a terminal while files are being measured.

    On a fleet the server is asked how the pools are, unless they are to be taken as `declared` or
    no server runs: planning starts none.
    """
    console = Console(stderr=True, quiet=quiet)
    with console.status("measuring the inputs …"):
        if order.on == HERE:
            return make_plan(order, settings(), inventory())
        return _on_fleet(order, settings(), declared)


def _on_fleet(order: Order, here: Settings, declared: bool) -> FleetPlan:
    from millrace.engine.fleet.plan_fleet import make_fleet_plan
    from millrace.engine.fleet.reading import load_fleet, read_fleet

    reading = read_fleet(here.fleet)
    fleet = reading.fleet or load_fleet(here.fleet)  # which raises what is wrong with it
    pool = "" if order.on == FLEET else fleet.worker(order.on).name
    observed, why = (None, "") if declared else _asked(fleet, here)
    warnings = [str(problem).splitlines()[0] for problem in reading.report.warnings]
    if why:
        warnings.append(f"the pools are taken as declared: {why}")
    return make_fleet_plan(
        order, here, inventory(), fleet, observed, pool=pool, now=time.time(), warnings=warnings
    )


def _asked(fleet: Fleet, here: Settings) -> tuple[Mapping[str, Observed] | None, str]:
    """Returns how the pools are, by the server and the workers' cards; else None and why not."""
    from millrace.engine.recording import server
    from millrace.engine.recording.prefect import recording

    try:
        if not server.status(here).running:
            return None, "no server is running"
        from millrace.engine.fleet.conducting import Roads
        from millrace.engine.recording.observing import observe

        with recording(here):
            return Roads(fleet, here).with_cards(observe([p.name for p in fleet.workers])), ""
    except MillraceError as error:
        return None, error.message


def _refuse_forbidden(made: Plan | FleetPlan) -> None:
    """Raises NotPermitted, naming the rule, when there is work that no pool may run."""
    forbidden = made.forbidden() if isinstance(made, FleetPlan) else ()
    if not forbidden:
        return
    first = forbidden[0]
    stages = sorted({group.stage for group in forbidden})
    others = f" (so are {', '.join(stages[1:])})" if len(stages) > 1 else ""
    raise NotPermitted(
        f"{first.stage}: no pool may run its {first.label} work{others}: "
        f"{first.rule}: {first.reason}",
        hint="allow a pool for it in the fleet file, or change what the stage needs",
    )
