"""What on this host stops work or costs speed, and what to set.

Nothing here changes anything but a temporary file in Millrace's home, and nothing is guessed: what
was not measured is said to be so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from millrace.engine.hosts.devices import Host
from millrace.engine.hosts.doctor import cuda, gpus, processor, programs, server, storage
from millrace.engine.hosts.doctor.finding import Finding, worst

__all__ = ["Finding", "findings", "worst"]


def findings(
    host: Host,
    environment: Mapping[str, str],
    *,
    home: Path,
    here: Path | None = None,
    root: Path = Path("/"),
) -> list[Finding]:
    """Returns all that was found, by area, in a fixed order; takes a second or two.

    `home` is Millrace's folder, `here` the one that results would go to (default: the current).
    /proc and /sys are read under `root`.
    """
    return [
        *programs.findings(environment),
        *storage.findings(home, here or Path.cwd(), root),
        *server.findings(environment),
        *processor.findings(host, environment, root),
        *gpus.findings(host, environment),
        *cuda.findings(host, environment),
    ]
