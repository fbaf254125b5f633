"""The command plan: what a run would do, and nothing done."""

from __future__ import annotations

import typer
from rich.console import Console

from millrace.cli import plan_view
from millrace.cli.options import Files, Force, Json, Limit, Only, OutputName, Overwrite, Set, What
from millrace.cli.orders import Asked, order_of
from millrace.engine.hosts.devices import inventory
from millrace.engine.plan import Plan
from millrace.engine.planning import make_plan
from millrace.engine.runs import Order
from millrace.engine.settings import settings


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
    as_json: Json = False,
) -> None:
    """Show what a run would do: stages, batches, time, cost, disk. Nothing is done.

    Inputs are measured once and remembered. What later stages get is forecast and marked with ~.
    The same files give the same JSON, so plans can be compared.

    Example: millrace plan remaster.yaml --limit 3
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
    made = planned(order_of(asked), quiet=as_json)
    if as_json:
        typer.echo(made.model_dump_json(indent=2))
    else:
        plan_view.show(made, Console())


def planned(order: Order, *, quiet: bool) -> Plan:
    """Returns the plan of an order, with a word on a terminal while files are being measured."""
    console = Console(stderr=True, quiet=quiet)
    with console.status("measuring the inputs …"):
        return make_plan(order, settings(), inventory())
