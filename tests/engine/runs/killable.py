"""Runs a pipeline as a program of its own that a test can kill: `killable.py FOLDER [STEP N]`.

With a step it kills itself with SIGKILL the N-th time the store passes that point of a commit. The
seam is the store's own `on_step`; nothing of Millrace is patched.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.execution import execute
from millrace.engine.hosts.devices import inventory
from millrace.engine.pipeline import load
from millrace.engine.runs import Order, Runs
from millrace.engine.settings import settings


def main(folder: Path, step: str = "", count: str = "1") -> int:
    left = int(count)

    def die(name: str) -> None:
        nonlocal left
        left -= name == step
        if name == step and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    here = settings()
    pipeline = load(folder / "p.yaml")
    order = Order(pipeline=pipeline, base=folder, source="p.yaml")
    run = Runs(here).create(order)

    def dispatch(name: str) -> None:
        execute(run, name, here, on_step=die)

    host = inventory()
    desk = partial(HereDesk, run, host, dispatch=dispatch)
    return Conductor(run, order, here, host, desk).conduct().exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
