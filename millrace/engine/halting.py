"""Whether this machine is being taken away: a spot machine gets SIGTERM, and half a minute later
it is gone. What works here looks at the event, and lets go of the batch in hand once it is set."""

from __future__ import annotations

import signal
import threading
from functools import cache
from types import FrameType

GRACE_SECONDS = 30.0
"""How long a process has between being asked to end and being killed."""

ENDED = 143
"""Exit code of a process that ended because SIGTERM asked it to."""


@cache
def event() -> threading.Event:
    """Returns the one event of this process that is set when it is asked to end."""
    return threading.Event()


def install() -> None:
    """Makes SIGTERM set the event instead of ending this process. Main thread only."""
    signal.signal(signal.SIGTERM, _halt)


def _halt(number: int, frame: FrameType | None) -> None:
    event().set()
