"""A worker as a program of its own that a test can kill.

    killable.py RUN ASSIGNMENT [STEP N]

Everything else comes from the environment, as on a real host. With a step it kills itself with
SIGKILL the N-th time it passes that point: those of the store's commit and those of the courier.
"""

from __future__ import annotations

import os
import signal
import sys

from millrace.engine.exchange.outpost import Courier, take
from millrace.engine.execution import execute
from millrace.engine.settings import settings


def main(run: str, name: str, step: str = "", count: str = "1") -> int:
    left = int(count)

    def die(passed: str) -> None:
        nonlocal left
        left -= passed == step
        if passed == step and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    here = settings()
    far = take(run, name, here)
    with Courier(far, name, here, on_step=die):
        counts = execute(far, name, here, on_step=die)
    return 0 if counts.done else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
