"""Session hosts: what a session sees of its surroundings, what it may print, how fast it starts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import Any

import pytest

from millrace.engine.sessions.bounded import LOG_HEAD, LOG_TAIL, copy_bounded
from millrace.engine.sessions.environment import clean, private
from millrace.engine.sessions.host import Limits

CANARIES = {
    "AWS_ACCESS_KEY_ID": "canary-aws",
    "AWS_PROFILE": "canary-profile",
    "GITHUB_TOKEN": "canary-github",
    "MILLRACE_DATABASE_PASSWORD": "canary-password",
    "PREFECT_API_AUTH_STRING": "canary-auth",
    "PREFECT_API_KEY": "canary-prefect",
    "PREFECT_API_URL": "canary-url",
    "FAULTS_TOKEN": "canary-declared",
    "SOMETHING_ELSE": "canary-unknown",
}


def test_neither_session_nor_tool_sees_a_credential_or_anything_undeclared(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAULTS_EXTRA", "declared by the kind")

    answer = bench.run(bench.host(), bench.batch("a", "!environment"))["a"]
    session, _, tool = answer.facts["env"].partition("\n--\n")

    assert "canary" not in answer.facts["env"]
    for environment in (session, tool):
        assert f"TMPDIR={bench.folder / 'scratch'}" in environment
        assert f"HOME={os.environ['HOME']}" in environment
        assert f"MILLRACE_HOME={os.environ['MILLRACE_HOME']}" in environment
        assert "OMP_NUM_THREADS=1" in environment
        assert "CUDA_VISIBLE_DEVICES=" in environment.splitlines()
    assert "FAULTS_EXTRA=declared by the kind" in session


def test_a_kind_that_reads_standard_input_finds_it_empty(bench: Any) -> None:
    answer = bench.run(bench.host(), bench.batch("a", "!environment"))["a"]

    assert answer.facts["stdin"] == ""


@pytest.mark.parametrize(
    "name",
    [
        "API_KEY",
        "AWS_REGION",
        "DB_PASSWORD",
        "HF_TOKEN",
        "MILLRACE_SECRET",
        "NVIDIA_API_KEY",
        "PREFECT_PROFILE",
        "SSH_AUTH_SOCK",
        "github_token",
    ],
)
def test_a_private_name_is_kept_back_even_when_declared(name: str) -> None:
    assert private(name)
    assert clean({name: "x"}, extra=(name,)) == {}


@pytest.mark.parametrize("name", ["PATH", "LC_ALL", "CUDA_VISIBLE_DEVICES", "MILLRACE_HOME", "TZ"])
def test_what_a_tool_needs_to_run_is_passed_on(name: str) -> None:
    assert clean({name: "x"}) == {name: "x"}


def test_a_relative_path_to_modules_is_meant_from_where_the_host_stands(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins, name = os.path.split(os.environ["PYTHONPATH"].split(os.pathsep)[0])
    monkeypatch.chdir(plugins)
    monkeypatch.setenv("PYTHONPATH", name)

    assert bench.host().measure(bench.item("a")).size == 5


def test_what_a_kind_prints_goes_to_the_log_and_is_no_event(bench: Any) -> None:
    host = bench.host()
    answer = bench.run(host, bench.batch("a", "!print"))["a"]
    host.close()

    assert answer.path.read_text() == "!print"
    assert '{"event": "done"}' in bench.log
    assert "to stderr" in bench.log
    assert "bytes left out]" in bench.log
    assert "THE END" in bench.log
    assert (bench.folder / "log").stat().st_size < LOG_HEAD + LOG_TAIL + 1000


def test_a_log_that_cannot_be_written_does_not_block_who_prints(tmp_path: Any) -> None:
    read, write = os.pipe()
    printer = subprocess.Popen(
        [sys.executable, "-c", "print('x' * 1_000_000)"], stdout=write, cwd=tmp_path
    )
    os.close(write)

    copy_bounded(os.fdopen(read, "rb"), tmp_path / "absent" / "log")

    assert printer.wait(10) == 0


def test_a_short_log_is_kept_whole(tmp_path: Any) -> None:
    read, write = os.pipe()
    os.write(write, b"0123456789")
    os.close(write)

    copy_bounded(os.fdopen(read, "rb"), tmp_path / "log", head=4, tail=6)

    assert (tmp_path / "log").read_bytes() == b"0123456789"


def test_a_session_loads_nothing_but_its_kind_and_pydantic() -> None:
    script = (
        "import json, sys; "
        "import millrace.engine.sessions.calls, millrace.engine.sessions.session; "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", script]))

    assert "pydantic" in loaded
    assert {"prefect", "sqlalchemy", "numpy", "rich", "typer", "fsspec"}.isdisjoint(loaded)


def test_a_session_is_ready_for_its_first_batch_within_little_work(bench: Any) -> None:
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    with bench.host(Limits()) as host:
        next(host.run([bench.batch("a")], bench.folder / "a"))

    assert spent() - before < 0.6  # seconds of one core, which is what it takes on an idle one
