"""A PostgreSQL server for tests, real and its own: a fresh cluster in a folder, on a free port.

Its programs are looked for in MILLRACE_TEST_POSTGRES (a folder), where Debian puts them, and on
PATH. It refuses to run as root, so there it runs as the user `postgres`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 90.0
_USER = "postgres"


@contextmanager
def postgres(driver: str = "postgresql+psycopg") -> Iterator[str]:
    """Yields the URL of an empty database of a server that ends with the block.

    Raises FileNotFoundError where PostgreSQL is not installed (Debian: apt-get install postgresql).
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="millrace-postgres-"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data = folder / "data"
        make = ["-D", str(data), "-U", _USER, "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        subprocess.run(
            [*_as_user(), str(programs / "initdb"), *make],
            check=True,
            capture_output=True,
            cwd="/",
        )
        port = _free_port()
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    *_as_user(),
                    str(programs / "postgres"),
                    *("-D", str(data), "-k", str(folder), "-h", "127.0.0.1", "-p", str(port)),
                    *("-c", "fsync=off"),
                ],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        try:
            _wait(server, data, folder / "log")
            yield f"{driver}://{_USER}@127.0.0.1:{port}/postgres"
        finally:
            _stop(server, data)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    chosen = os.environ.get("MILLRACE_TEST_POSTGRES")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    on_path = shutil.which("initdb")
    found = [Path(chosen)] if chosen else [*reversed(installed)]
    found += [Path(on_path).resolve().parent] if on_path else []
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise FileNotFoundError("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def _as_user() -> list[str]:
    return ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    """Waits until the server says in its own file that it is ready."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        state = data / "postmaster.pid"
        lines = state.read_text().splitlines() if state.exists() else []
        if len(lines) > 7 and lines[7].strip() == "ready":
            return
        time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")


def _stop(server: subprocess.Popen[bytes], data: Path) -> None:
    """Ends the server at once; runuser hands no signal on, so it is told by its own id."""
    state = data / "postmaster.pid"
    if server.poll() is None and state.exists():
        os.kill(int(state.read_text().split("\n", 1)[0]), signal.SIGINT)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
