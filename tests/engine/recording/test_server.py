"""The local Prefect server: one for all runs, private, hard to confuse, gone when told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from millrace.engine.errors import ServerError
from millrace.engine.recording import http_probe, prefect_profile, server, server_process
from millrace.engine.recording.prefect_profile import Configured
from millrace.engine.recording.server import Api
from millrace.engine.settings import Settings, settings

START = (
    "from millrace.engine.recording import server; from millrace.engine.settings import settings; "
)


@pytest.fixture(autouse=True)
def no_server_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hides whatever server the person who runs the tests has configured."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "no-profiles"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def here() -> Iterator[Settings]:
    """Settings whose local server is ended after the test, however it went."""
    found = settings()
    yield found
    if found.server.is_dir():
        server_process.end(found.server)


@pytest.fixture
def fake() -> Iterator[HTTPServer]:
    """An HTTP server that answers like a Prefect server whose credential is `ann:secret`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("Authorization") == "Basic YW5uOnNlY3JldA=="
            code = {"/api/health": 200, "/api/admin/version": 200 if known else 401}
            self.send_response(code.get(self.path, 404))
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    it = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=it.serve_forever, daemon=True).start()
    yield it
    it.shutdown()
    it.server_close()


def url(fake: HTTPServer) -> str:
    return f"http://127.0.0.1:{fake.server_port}/api"


def state_of(here: Settings) -> server.State:
    return server.State(**json.loads((here.server / "server.json").read_text()))


def test_a_configured_server_is_used_as_it_is(
    fake: HTTPServer, here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url(fake))
    assert server.ensure(here) == Api(url(fake))
    assert not here.server.exists()


def test_a_configured_server_that_is_away_is_an_error_and_starts_nothing(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server_process.free_port()}/api")
    with pytest.raises(ServerError, match="cannot be reached") as caught:
        server.ensure(here)
    assert "unset PREFECT_API_URL" in caught.value.hint
    assert not here.server.exists()


@pytest.mark.parametrize(
    ("address", "auth", "words"),
    [
        ("/api", "ann:wrong", "refuses the credential"),
        ("", "", "no Prefect API"),
    ],
)
def test_what_is_wrong_with_a_configured_server_is_named(
    fake: HTTPServer, address: str, auth: str, words: str
) -> None:
    wrong = Configured(f"http://127.0.0.1:{fake.server_port}{address}", "a test", auth)
    with pytest.raises(ServerError, match=words):
        http_probe.check(wrong)
    http_probe.check(Configured(url(fake), "a test", "ann:secret"))


def test_a_server_behind_a_certificate_of_ones_own_is_trusted_when_its_file_is_named(
    fake: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
         certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    fake.socket = context.wrap_socket(fake.socket, server_side=True)
    address = f"https://localhost:{fake.server_port}/api"
    unknown = Configured(address, "a test", "ann:secret")
    with pytest.raises(ServerError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        http_probe.check(unknown)
    assert "PREFECT_API_SSL_CERT_FILE" in caught.value.hint
    monkeypatch.setenv("PREFECT_API_URL", address)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ann:secret")
    monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", str(certificate))
    named = prefect_profile.current()
    assert named == replace(unknown, source="the environment", trusted=str(certificate))
    http_probe.check(named)


def test_an_address_without_http_is_named_as_such() -> None:
    with pytest.raises(ServerError, match=r"no http\(s\) address"):
        http_probe.check(Configured("file:///etc/passwd", "a test"))


def test_a_stale_record_with_a_living_foreign_process_is_not_believed(
    here: Settings, fake: HTTPServer
) -> None:
    with server_process.exclusively(here.server):
        pass
    foreign = server.State(fake.server_port, "ann:secret", os.getpid(), "3.8.8", time.time())
    (here.server / "server.json").write_text(json.dumps(foreign.__dict__))
    assert not server.status(here).running


def test_stopping_what_does_not_run_says_so_and_signals_nobody(here: Settings) -> None:
    assert server.stop(here) is False
    with server_process.exclusively(here.server):
        pass
    mine = server.State(4200, "a:b", os.getpid(), "3.8.8", time.time())
    (here.server / "server.json").write_text(json.dumps(mine.__dict__))
    assert server.stop(here) is False


def test_the_environment_of_a_run_is_quiet_private_and_never_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_PROXY", "intern.example")
    monkeypatch.delenv("MILLRACE_DEBUG", raising=False)
    values = server.environment(Api("http://127.0.0.1:1/api", "a:b", local=True, home=tmp_path))
    assert values["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert values["PREFECT_API_AUTH_STRING"] == "a:b"
    assert values["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert values["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "CRITICAL"
    assert values["NO_PROXY"] == "intern.example,127.0.0.1,localhost"
    assert "a:b" not in repr(Api("http://x/api", "a:b"))
    remote = server.environment(Api("http://remote/api"))
    assert "NO_PROXY" not in remote
    assert "PREFECT_HOME" not in remote


def test_the_server_gets_none_of_the_shell_s_secrets(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql://theirs")
    given: dict[str, dict[str, str]] = {}

    class Popen:
        pid = 1

        def __init__(self, command: list[str], *, env: dict[str, str], **_: object) -> None:
            given["env"] = env
            assert not any("cred" in word for word in command)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with server_process.exclusively(here.server):
        server_process.spawn(here.server, 1, "user:cred")
    assert "AWS_SECRET_ACCESS_KEY" not in given["env"]
    assert str(here.server) in given["env"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"]


@pytest.mark.slow
def test_two_first_runs_start_one_server_that_is_private_and_reused(here: Settings) -> None:
    command = [sys.executable, "-c", START + "print(server.ensure(settings()).url)"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    urls = {process.communicate(timeout=200)[0].strip() for process in both}
    assert len(urls) == 1
    assert urls != {""}
    state = state_of(here)
    process = psutil.Process(state.pid)
    assert os.getsid(state.pid) == state.pid  # outlives the shell that started it
    assert state.auth not in " ".join(process.cmdline())
    assert stat.S_IMODE((here.server / "server.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(here.server.stat().st_mode) == 0o700
    assert {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"} == {"127.0.0.1"}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{state.url}/admin/version")
    said: list[str] = []
    took = []
    for _ in range(5):
        began = time.perf_counter()
        assert server.ensure(here, said.append).url == state.url
        took.append(time.perf_counter() - began)
    assert said == []
    assert min(took) < 0.05
    assert server.stop(here) is True
    with pytest.raises(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:  # whoever adopted it has not reaped it yet
            time.sleep(0.05)
        raise psutil.NoSuchProcess(state.pid)
    assert not server.status(here).running
    assert not (here.server / "server.json").exists()


@pytest.mark.slow
def test_after_a_crash_the_next_server_has_the_same_credential_and_a_free_port(
    here: Settings,
) -> None:
    first = server.start(here)
    os.kill(first.pid, signal.SIGKILL)
    while server_process.lives(here.server):
        time.sleep(0.05)
    assert not server.status(here).running
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", first.port))
        thief.listen()
        second = server.start(here)
    assert second.auth == first.auth
    assert second.port != first.port
    assert http_probe.accepts(second.port, second.auth)
    assert not http_probe.accepts(second.port, "millrace:wrong")


@pytest.mark.slow
def test_a_server_whose_starter_was_killed_is_waited_for_not_doubled(here: Settings) -> None:
    starter = subprocess.Popen([sys.executable, "-c", START + "server.start(settings())"])
    while not (here.server / "server.json").exists() or not state_of(here).pid:
        assert starter.poll() is None, "the starter has ended by itself"
        time.sleep(0.02)
    starter.kill()
    starter.wait()
    begun = state_of(here)
    assert server.start(here).pid == begun.pid


@pytest.mark.slow
def test_a_server_that_cannot_start_is_an_error_with_its_last_words(here: Settings) -> None:
    home = here.server / server_process.HOME
    home.mkdir(parents=True)
    (home / "prefect.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(ServerError, match="ended while starting") as caught:
        server.start(here)
    assert str(here.server) in caught.value.hint
    assert not server_process.lives(here.server)


def test_the_state_is_readable_only_when_whole(here: Settings) -> None:
    with server_process.exclusively(here.server):
        (here.server / "server.json").write_text('{"port": 1, "au')
    assert server.status(here) == replace(server.status(here), running=False)
    assert server.stop(here) is False
