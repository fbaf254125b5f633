"""A Neo4j server for tests, real and its own: `scripts/neo4j.sh` in a folder, on a free port.

Its jars are fetched once, by Maven, with their digests checked.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Neo4jServer:
    """A server in a folder; `address` is where it answers while it runs."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"bolt://127.0.0.1:{self.port}"

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text().strip()

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def command(self, word: str) -> subprocess.CompletedProcess[str]:
        """Runs `scripts/neo4j.sh` for this server."""
        environment = {
            **os.environ,
            "NEO4J_DATA": str(self.folder),
            "NEO4J_PORT": str(self.port),
            "NEO4J_HEAP": "384m",
            "NEO4J_PAGECACHE": "64m",
        }
        return subprocess.run(
            ["bash", str(REPOSITORY / "scripts" / "neo4j.sh"), word],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
        )

    def start(self) -> None:
        """Starts it, and returns when it answers."""
        done = self.command("start")
        if done.returncode:
            raise RuntimeError(f"Neo4j did not start:\n{done.stderr}")

    def stop(self) -> None:
        """Ends it in order."""
        done = self.command("stop")
        if done.returncode:
            raise RuntimeError(f"Neo4j did not stop:\n{done.stderr}")

    def kill(self) -> None:
        """Ends it as the power would."""
        os.kill(self.pid, signal.SIGKILL)


def free_port() -> int:
    """Returns a port of this host that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
