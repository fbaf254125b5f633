"""The local Prefect server as a process: spawned detached, held to its folder by a lock, ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from millrace.engine.errors import ServerError

LOG = "server.log"
OUTPUT = "start.log"
HOME = "prefect"
_ALIVE = "alive.lock"
_TERM_SECONDS = 10.0
_KILL_SECONDS = 5.0
_LOG_BYTES = 5_000_000
# The server outlives the shell it was started from, so it gets none of that shell's secrets.
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_KEPT_PYTHON = ("PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@contextmanager
def exclusively(folder: Path) -> Iterator[None]:
    """Holds the right to start or stop the server of `folder`; waits for whoever has it."""
    _make(folder)
    handle = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def lives(folder: Path) -> bool:
    """True while a server process of `folder` exists, answering or not."""
    try:
        handle = os.open(folder / _ALIVE, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def free_port(wanted: int = 0) -> int:
    """Returns `wanted` if that port of the loopback is free, else one that is."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ServerError("no port of the loopback is free", hint="close programs that hold sockets")


def spawn(folder: Path, port: int, auth: str) -> int:
    """Starts a server in a session of its own and returns its process id. Raises ServerError."""
    (folder / HOME).mkdir(mode=0o700, exist_ok=True)
    (folder / "logging.json").write_text(json.dumps(_logging()))
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--lifespan", "on"]
    command += ["--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "3"]
    alive = os.open(folder / _ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(alive)
        with (folder / OUTPUT).open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(folder, port, auth),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[alive],  # the lock lives as long as the server does
            )
    finally:
        os.close(alive)
    return process.pid


def end(folder: Path) -> None:
    """Ends the server of `folder`, if there is one: TERM, then KILL, of its process group.

    Raises ServerError if it is still there afterwards.
    """
    for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        if not lives(folder):
            return
        for pid in _holders(folder / _ALIVE):
            with suppress(ProcessLookupError):
                os.killpg(os.getpgid(pid), number)
        _until_gone(folder, seconds)
    if lives(folder):
        raise ServerError(
            "the local Prefect server does not end",
            hint=f"end the process that holds {folder / _ALIVE} (it may be another user's)",
        )


def port_taken(folder: Path) -> bool:
    """True when the last server ended because its port was taken."""
    return "address already in use" in _tail(folder / OUTPUT) + _tail(folder / LOG)


def last_words(folder: Path) -> str:
    """Returns the last line that a server that ended while starting has written."""
    text = _tail(folder / OUTPUT).strip() or _tail(folder / LOG).strip()
    return text.splitlines()[-1] if text else "it said nothing"


def _environment(folder: Path, port: int, auth: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT + _KEPT_PYTHON if name in os.environ}
    home = folder / HOME
    return kept | {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # keeps 90 days
        "PREFECT_LOGGING_SETTINGS_PATH": str(folder / "logging.json"),
        "PREFECT__SERVER_FINAL": "1",
    }


def _logging() -> dict[str, object]:
    file = {"class": "logging.handlers.RotatingFileHandler", "formatter": "line"}
    file |= {"filename": LOG, "maxBytes": str(_LOG_BYTES), "backupCount": "1"}
    handlers = {"file": file | {"maxBytes": _LOG_BYTES, "backupCount": 1}}
    quiet = {"level": "WARNING", "handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": handlers,
        "loggers": dict.fromkeys(("prefect", "uvicorn", "fastapi", "prefect.extra"), quiet),
        "root": {"level": "WARNING", "handlers": ["file"]},
    }


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise ServerError(
            f"the server's folder {folder} cannot be made: {error.strerror}",
            hint="set MILLRACE_HOME to a folder you can write to",
        ) from error


def _take(handle: int) -> None:
    for _ in range(100):  # somebody may be testing the lock this very moment
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return
    raise ServerError("another local Prefect server is running", hint="`millrace server stop`")


def _holders(path: Path) -> list[int]:
    wanted = path.resolve()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(link.readlink() == wanted for link in (entry / "fd").iterdir()):
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def _until_gone(folder: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while lives(folder) and time.monotonic() < end:
        time.sleep(0.05)


def _tail(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4000))
        return file.read().decode(errors="replace")
    return ""
