"""The fleet over a Prefect server on PostgreSQL, as those who operate one have it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy

from millrace.engine.errors import ServerError
from millrace.engine.labels import Label
from millrace.engine.recording.http_probe import check
from millrace.engine.recording.prefect_profile import current
from millrace.engine.settings import Settings
from tests.flows.fleet import Fleet, pool, until
from tests.postgres import postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

PIPELINE = """
version: 1
name: copy
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""


@contextmanager
def prefect_server(database: str, folder: Path) -> Iterator[str]:
    """Yields the address of a Prefect server over a database; it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    application = "prefect.server.api.server:create_app"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "--factory", application),
                *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"),
            ],
            env=os.environ
            | {
                "PREFECT_HOME": str(folder),
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
                "PREFECT_SERVER_API_AUTH_STRING": "fleet:secret",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                "PREFECT__SERVER_FINAL": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers() -> bool:
    """True once the configured server answers."""
    chosen = current()
    assert chosen
    try:
        check(chosen)
    except ServerError:
        return False
    return True


def test_a_fleet_is_deployed_and_works_over_a_server_on_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres("postgresql+asyncpg") as database:
        (tmp_path / "server").mkdir()
        with prefect_server(database, tmp_path / "server") as api:
            monkeypatch.setenv("PREFECT_API_URL", api)
            monkeypatch.setenv("PREFECT_API_AUTH_STRING", "fleet:secret")
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            until(answers, 180, (tmp_path / "server" / "server.log").read_text)
            home = Settings(tmp_path / "none", Label.RESTRICTED, 0.06)
            fleet = Fleet(home, tmp_path / "fleet")
            try:
                fleet.deploy(pool("studio"))
                assert "nothing to change" in fleet.command("deploy").stdout
                fleet.conductor()
                fleet.worker("studio")
                contents = {f"{n}.txt": f"page {n}".encode() for n in range(4)}
                for name, content in contents.items():
                    fleet.file(name, content)
                (fleet.folder / "copy.yaml").write_text(PIPELINE)
                done = fleet.command("run", "copy.yaml", "--on", "fleet", "--yes")
                assert "4 done" in done.stdout, done.stderr
                out = fleet.folder / "out"
                assert {p.name: p.read_bytes() for p in out.glob("*.txt")} == contents
            finally:
                fleet.close()
            assert not (home.home / "server").exists()  # no other server was started instead
        engine = sqlalchemy.create_engine(database.replace("+asyncpg", "+psycopg"))
        with engine.connect() as rows:
            kept = "SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'"
            assert rows.execute(sqlalchemy.text(kept)).scalar_one() >= 2  # conductor, assignment
        engine.dispose()
