"""External programs as stage kinds start them."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from millrace.engine.errors import SessionLost, ToolMissing
from millrace.engine.sessions import tools


def test_a_program_gets_its_arguments_as_they_are(tmp_path: Path) -> None:
    odd = ["-n", "a b", "$HOME", "; rm -rf /", "'\"", "\n", "😀", "--"]

    done = tools.run(["printf", "%s|", *odd], cwd=tmp_path)

    assert done.stdout == "".join(f"{word}|" for word in odd)


def test_a_missing_program_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="no-such-saw is not installed") as missing:
        tools.run(["no-such-saw"], cwd=tmp_path, hint="apt-get install saw")

    assert missing.value.hint == "apt-get install saw"


@pytest.mark.parametrize("word", ["a\0b", "x" * 3_000_000])
def test_an_argument_that_no_program_can_take_is_an_error_at_once(
    tmp_path: Path, word: str
) -> None:
    with pytest.raises((OSError, ValueError)):
        tools.run(["printf", word], cwd=tmp_path)


def test_the_exit_code_and_the_last_line_of_stderr_tell_what_went_wrong(tmp_path: Path) -> None:
    done = tools.run(
        ["sh", "-c", "echo first >&2; echo 'the saw is blunt' >&2; exit 3"], cwd=tmp_path
    )

    assert (done.code, done.reason) == (3, "the saw is blunt")


def test_a_program_ended_by_a_signal_has_a_negative_code(tmp_path: Path) -> None:
    done = tools.run(["sh", "-c", "kill -9 $$"], cwd=tmp_path)

    assert (done.code, done.reason) == (-9, "sh ended with code -9")


def test_output_is_bounded_the_head_of_stdout_and_the_tail_of_stderr(tmp_path: Path) -> None:
    script = (
        "import sys; sys.stdout.write('o' * 3_000_000); sys.stderr.write('e' * 3_000_000 + 'END')"
    )

    done = tools.run(["python3", "-c", script], cwd=tmp_path, stdout_limit=1000)

    assert (done.raw, done.cut) == (b"o" * 1000, True)
    assert len(done.stderr) == tools.STDERR_TAIL
    assert done.stderr.endswith("END")


def test_standard_input_is_given_or_empty(tmp_path: Path) -> None:
    data = b"x" * 1_000_000

    assert tools.run(["cat"], cwd=tmp_path, stdin=data).raw == data
    assert tools.run(["cat"], cwd=tmp_path).raw == b""


def test_a_program_that_stops_reading_is_no_error_of_ours(tmp_path: Path) -> None:
    assert tools.run(["true"], cwd=tmp_path, stdin=b"x" * 1_000_000).code == 0


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    done = tools.run(["printf", r"\377\n"], cwd=tmp_path)

    assert done.stdout.encode("utf-8", "surrogateescape") == b"\xff\n"


@pytest.mark.parametrize("script", ["sleep 60", "trap '' TERM; while true; do sleep 0.1; done"])
def test_a_program_that_takes_too_long_is_ended(tmp_path: Path, script: str) -> None:
    began = time.monotonic()

    with pytest.raises(SessionLost) as lost:
        tools.run(["sh", "-c", script], cwd=tmp_path, timeout=0.3)

    assert lost.value.code == "tool_timeout"
    assert time.monotonic() - began < 6


def test_a_program_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(
        target=lambda: started.append(tools.spawn(["sleep", "60"], cwd=tmp_path))
    )
    thread.start()
    thread.join()
    time.sleep(0.3)

    alive = started[0].poll() is None
    tools.stop(started[0])

    assert alive
    assert started[0].returncode == -15


def test_a_program_is_in_the_group_of_the_session(tmp_path: Path) -> None:
    # field 5 of /proc/PID/stat; a bare system has no `ps`
    group = "sed 's/.*) //' /proc/{}/stat | cut -d' ' -f3"
    script = f"{group.format('$$')}; {group.format('$PPID')}"
    done = tools.run(["sh", "-c", script], cwd=tmp_path)
    tool, session = done.stdout.split()

    assert tool == session


def test_a_second_pipe_can_be_passed_to_a_program(tmp_path: Path) -> None:
    read, write = os.pipe()
    script = f"import os; os.write({write}, b'beside')"

    process = tools.spawn(["python3", "-c", script], cwd=tmp_path, pass_fds=(write,))
    os.close(write)

    with os.fdopen(read) as pipe:
        assert pipe.read() == "beside"
    assert process.wait() == 0


def test_no_credential_reaches_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")

    done = tools.run(["env"], cwd=tmp_path, environment={"OF_ITS_OWN": "yes"})

    assert "canary" not in done.stdout
    assert "OF_ITS_OWN=yes" in done.stdout
