"""Commands about the fleet: pools, and advise, check, devices, join, schema below it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from millrace.cli import joining
from millrace.cli.options import Json
from millrace.engine.errors import StoreError, UsageError
from millrace.engine.settings import settings

WORKLOADS = ("render", "documents", "video")

FleetFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="The fleet file; else MILLRACE_FLEET, or the default one."),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it again every few seconds.")]


def complete_workloads(incomplete: str) -> list[str]:
    """Returns the workloads that begin so."""
    return [name for name in WORKLOADS if name.startswith(incomplete)]


def complete_devices(incomplete: str) -> list[str]:
    """Returns the device classes that begin so."""
    from millrace.engine.fleet import catalogue

    return [name for name in catalogue.classes() if name.startswith(incomplete)]


def register(app: typer.Typer) -> None:
    """Adds these commands to an application."""
    group = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
    group.callback()(pools)
    group.command()(advise)
    group.command()(check)
    group.command()(devices)
    group.command()(joining.join)
    group.command()(schema)
    app.add_typer(group, name="pools")


def pools(ctx: typer.Context, watch: Watch = False, as_json: Json = False) -> None:
    """Show the fleet as it is now: health, workers, what runs, prices, throughput.

    The commands below it check pools.yaml, say which devices fit, and bring in machines.

    Example: millrace pools --watch
    """
    if ctx.invoked_subcommand is None:
        from millrace.cli import pools_live
        from millrace.engine.fleet.reading import load_fleet

        pools_live.show(load_fleet(settings().fleet), watch=watch, as_json=as_json)


def advise(
    workload: Annotated[
        str,
        typer.Argument(
            metavar="WORKLOAD",
            help="render, documents or video.",
            autocompletion=complete_workloads,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Say which devices fit a workload and why, and which pools of the fleet have them.

    Prices are of an hour of one machine. Throughput is what this host's ledger has seen, where it
    has seen anything. Without a pools.yaml only the device classes are judged.

    Example: millrace pools advise render
    """
    from millrace.cli import pools_view

    if workload not in WORKLOADS:
        from millrace.engine.document.problems import nearest

        near = nearest(workload, WORKLOADS) or "; use render, documents or video"
        raise UsageError(f"no workload is called {workload!r}{near}")
    pools_view.advise(workload, as_json)  # type: ignore[arg-type]


def check(file: FleetFile = None, as_json: Json = False) -> None:
    """Find everything that is wrong with a fleet file, in one pass.

    Each problem is shown with file:line:column, the line, and the nearest valid name. Warnings are
    about what is allowed and probably not meant, such as prices older than 90 days. Exit code 2
    when there are problems; warnings do not count. Nobody is asked: no server, no cloud.

    Example: millrace pools check deployments/pools.yaml
    """
    from millrace.cli import findings
    from millrace.engine.fleet.reading import check_fleet

    path = file or settings().fleet
    findings.show(check_fleet(path), str(path), as_json)


def devices(
    device: Annotated[
        str | None,
        typer.Argument(
            metavar="CLASS", help="Show this one alone.", autocompletion=complete_devices
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the device classes a pool can have, or show one with the sources of its figures.

    Example: millrace pools devices rtx-4090
    """
    from millrace.cli import pools_view

    pools_view.devices(device, as_json)


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.", metavar="FILE")
    ] = None,
) -> None:
    """Write the JSON Schema of fleet files.

    An editor with a YAML language server completes and checks from it when the file begins
    with: # yaml-language-server: $schema=pools.schema.json

    Example: millrace pools schema -o deployments/pools.schema.json
    """
    from millrace.engine.fleet import schema as schemas

    text = json.dumps(schemas.document(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {output}", err=True)
