"""The Prefect server that records runs: the person's own, or one local server kept alive for all.

The local server listens on the loopback only, under a random credential, with a database of its
own in the server folder; a person's `~/.prefect` is never touched. Whether it lives is told by a
lock that the server process itself holds: it ends with the process, whatever ends that, and no
reused process id can pretend to be it. Port and credential survive a crash, so that runs under way
go on being recorded by the next server; `stop` forgets them.

Nothing here imports Prefect.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from millrace.engine.errors import ServerError
from millrace.engine.recording import http_probe, prefect_profile, server_process
from millrace.engine.settings import Settings

START_SECONDS = 120.0  # 13-20 s are usual on a slow machine; a loaded one takes several times that
_POLL_SECONDS = 0.1
_ATTEMPTS = 3  # another program may take the port between choosing and binding it

Say = Callable[[str], None]


@dataclass(frozen=True)
class Api:
    """A Prefect API: its address, its credential (`user:secret`), and whether it is ours."""

    url: str
    auth: str | None = field(default=None, repr=False)
    local: bool = False
    home: Path | None = None

    @property
    def ui(self) -> str:
        """Address of the server's pages."""
        return self.url.removesuffix("/api")


@dataclass(frozen=True)
class State:
    """What is known of the local server: written when it is started, 0600."""

    port: int
    auth: str = field(repr=False)
    pid: int = 0
    prefect: str = ""
    started: float = 0.0

    @property
    def url(self) -> str:
        """Address of its API."""
        return f"http://127.0.0.1:{self.port}/api"


@dataclass(frozen=True)
class Status:
    """Where runs are recorded now. `running` False: the local server starts with the next run."""

    running: bool
    local: bool
    url: str = ""
    source: str = ""
    pid: int = 0
    started: float = 0.0
    folder: Path | None = None


def ensure(settings: Settings, say: Say = lambda text: None) -> Api:
    """Returns the API that records runs, starting the local server if none is configured or up.

    `say` is told, once, when that takes time. Raises ServerError.
    """
    chosen = prefect_profile.current()
    if chosen:
        http_probe.check(chosen)
        return Api(chosen.url, chosen.auth or None)
    state = _answering(settings.server)
    if state is None:
        state = start(settings, say)
    return _api(settings, state)


def start(settings: Settings, say: Say = lambda text: None) -> State:
    """Returns the state of the local server, starting it if it is not running. Raises ServerError.

    Only one of several simultaneous callers starts it; the others wait for that one.
    """
    folder = settings.server
    with server_process.exclusively(folder):
        state = _answering(folder)
        if state:
            return state
        say("starting the local Prefect server (once) …")
        if server_process.lives(folder):  # half-started: its starter was killed meanwhile
            known = _read(folder)
            if known and known.prefect == version("prefect") and _wait(folder, known):
                return known
            server_process.end(folder)
        return _start(folder)


def stop(settings: Settings) -> bool:
    """Stops the local server; True if one was running. Runs under way lose their record in Prefect
    (never their results). Raises ServerError if it cannot be ended."""
    folder = settings.server
    if not folder.is_dir():
        return False
    with server_process.exclusively(folder):
        was = server_process.lives(folder)
        server_process.end(folder)
        _file(folder).unlink(missing_ok=True)
        return was


def status(settings: Settings) -> Status:
    """Returns where runs are recorded, without starting anything. Raises ServerError."""
    chosen = prefect_profile.current()
    if chosen:
        return Status(http_probe.answers(chosen), False, chosen.url, chosen.source)
    state = _answering(settings.server)
    if not state:
        return Status(False, True, folder=settings.server)
    return Status(True, True, state.url, "", state.pid, state.started, settings.server)


def environment(api: Api) -> dict[str, str]:
    """Returns what to set in the environment before Prefect is imported.

    Prefect then records to `api`, sends no analytics, starts no server of its own, and writes to
    the console only what is critical: the terminal belongs to the run's own display.
    """
    values = {
        "PREFECT_API_URL": api.url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    if "MILLRACE_DEBUG" not in os.environ:
        values["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    if api.auth:
        values["PREFECT_API_AUTH_STRING"] = api.auth
    if api.local and api.home:
        values |= {
            "PREFECT_HOME": str(api.home),
            "PREFECT_PROFILES_PATH": str(api.home / "profiles.toml"),
            "NO_PROXY": _with_loopback(os.environ.get("NO_PROXY", "")),
        }
    return values


def _start(folder: Path) -> State:
    previous = _read(folder)
    auth = previous.auth if previous else f"millrace:{secrets.token_urlsafe(24)}"
    port = previous.port if previous else 0
    for _ in range(_ATTEMPTS):
        port = server_process.free_port(port)
        state = State(port, auth, prefect=version("prefect"), started=time.time())
        _write(folder, state)
        pid = server_process.spawn(folder, port, auth)
        state = replace(state, pid=pid)
        _write(folder, state)
        if _wait(folder, state):
            return state
        if server_process.lives(folder):
            server_process.end(folder)
            raise ServerError(
                f"the local Prefect server did not answer within {START_SECONDS:.0f} s",
                hint=f"see {folder / server_process.LOG}; `millrace server start` tries again",
            )
        if not server_process.port_taken(folder):
            break
        port = 0
    raise ServerError(
        f"the local Prefect server ended while starting: {server_process.last_words(folder)}",
        hint=f"see {folder / server_process.LOG} and {folder / server_process.OUTPUT}",
    )


def _wait(folder: Path, state: State) -> bool:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if http_probe.accepts(state.port, state.auth):
            return True
        if not server_process.lives(folder):
            return False
        time.sleep(_POLL_SECONDS)
    return False


def _answering(folder: Path) -> State | None:
    state = _read(folder)
    if not state or not server_process.lives(folder):
        return None
    current = state.prefect == version("prefect")
    return state if current and http_probe.accepts(state.port, state.auth) else None


def _api(settings: Settings, state: State) -> Api:
    return Api(state.url, state.auth, local=True, home=settings.server / server_process.HOME)


def _file(folder: Path) -> Path:
    return folder / "server.json"


def _read(folder: Path) -> State | None:
    with suppress(OSError, ValueError, TypeError):
        return State(**json.loads(_file(folder).read_text()))
    return None


def _write(folder: Path, state: State) -> None:
    part = folder / "server.json.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(state), file)
    part.replace(_file(folder))


def _with_loopback(hosts: str) -> str:
    listed = [host for host in hosts.split(",") if host]
    return ",".join(dict.fromkeys([*listed, "127.0.0.1", "localhost"]))
