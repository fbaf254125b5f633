"""The command pools join: what to run on a new machine so that it works for a pool."""

from __future__ import annotations

import shlex
from dataclasses import fields
from importlib import resources
from typing import Annotated

import typer

from millrace.cli.joining_machine import Asked, machine
from millrace.cli.options import PoolName
from millrace.engine.fleet.pools import Basis
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.settings import Settings, settings


def join(
    pool: PoolName,
    cloud: Annotated[
        bool,
        typer.Option("--cloud-init/--shell", help="User data for a cloud, or a script (default)."),
    ] = False,
    idle_off: Annotated[
        float | None,
        typer.Option(
            "--idle-off", min=1, metavar="MIN", help="Power off after so long without work."
        ),
    ] = None,
    basis: Annotated[
        Basis | None,
        typer.Option(help="How the machine is paid for: own, reserved, on_demand or spot."),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="Where it gets Millrace: `index`, an address, a wheel (default: as here).",
        ),
    ] = "",
    server: Annotated[
        str,
        typer.Option(metavar="URL", help="The Prefect server's address (default: as here)."),
    ] = "",
    secrets_by: Annotated[
        str,
        typer.Option(metavar="COMMAND", help="Prints NAME=VALUE lines on the machine."),
    ] = "",
) -> None:
    """Print what to run, as root, on a new machine so that it works for a pool.

    It installs this version of Millrace with the versions it runs with here, as a systemd service
    of a user of its own that only dials out. No secret is printed: the machine's environment, its
    role, --secrets-by or a prompt gives PREFECT_API_AUTH_STRING and the keys of the store. Running
    it again upgrades.

    Example: millrace pools join burst --cloud-init --basis spot --idle-off 10 > user-data.yaml
    """
    from millrace.engine.fleet.reading import load_fleet

    here = settings()
    asked = Asked(
        idle_off=idle_off,
        source=source,
        server=server,
        basis=basis,
        secrets_by=secrets_by,
    )
    text = script(load_fleet(here.fleet), pool, asked, here)
    typer.echo(cloud_init(text) if cloud else text, nl=False)


def script(fleet: Fleet, name: str, asked: Asked, here: Settings) -> str:
    """Returns the shell script that makes a machine a worker of a pool. No secret is in it.

    Raises UsageError for an unknown pool, one whose workers are containers, a server that only this
    machine reaches, and a Millrace that another machine cannot get.
    """
    head = machine(fleet, fleet.pool(name), asked, here)
    lines = [f"{f.name}={shlex.quote(getattr(head, f.name))}" for f in fields(head)]
    title = f"# Makes this machine a worker of the pool {name} of the Millrace fleet."
    body = resources.files("millrace.cli").joinpath("join.sh").read_text()
    return "\n".join(["#!/usr/bin/env bash", title, *lines, "", body])


def cloud_init(text: str) -> str:
    """Returns cloud-init user data that runs a join script at a machine's first start.

    Nobody is there to ask: secrets come from the machine's role, or from `--secrets-by`.
    """
    indented = "\n".join(f"      {line}".rstrip() for line in text.splitlines())
    return (
        "#cloud-config\n"
        "# The machine's own role, or --secrets-by COMMAND, gives the secrets; none is in here.\n"
        "write_files:\n"
        "  - path: /root/millrace-join.sh\n"
        "    permissions: '0700'\n"
        "    owner: root:root\n"
        f"    content: |\n{indented}\n"
        "runcmd:\n"
        "  - [bash, /root/millrace-join.sh]\n"
    )
