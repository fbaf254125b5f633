"""The command line as a whole: quick to start, and with a sentence for every mistake."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from millrace import cli
from millrace.cli.app import COMMANDS, LazyGroup, build
from millrace.engine.errors import (
    DocumentError,
    NotPermitted,
    ServerError,
    StoreError,
    ToolMissing,
    UsageError,
)

Millrace = Callable[..., "subprocess.CompletedProcess[str]"]

HEAVY = ("prefect", "sqlalchemy", "openvino", "numpy", "onnxruntime", "millrace.flows.pipeline")


def loaded_by(words: list[str], environment: dict[str, str], folder: Path) -> set[str]:
    """Returns the modules that a command imports."""
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['millrace', *{words!r}]\n"
        "try:\n    runpy.run_module('millrace', run_name='__main__')\n"
        "except SystemExit as end:\n    code = end.code\n"
        "print('\\nMODULES', code, *sys.modules)"
    )
    reply = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    code, *modules = reply.stdout.rpartition("MODULES ")[2].split()
    assert code in ("0", "None"), reply.stderr
    return set(modules)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["kinds"], ["check", "p.yaml"], ["runs"], ["server", "--help"]],
    ids=" ".join,
)
def test_commands_that_carry_out_nothing_do_not_import_prefect(
    words: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(
        "version: 1\nname: p\ninputs: {a: {files: x}}\n"
        "stages: {s: {uses: faults.bytes, each: a}}\n"
        "outputs: {o: {from: s, to: 'out/{source.path}'}}\n"
    )
    kinds = {"numpy"} if words == ["kinds"] else set()  # which kinds may import for themselves
    assert loaded_by(words, environment, tmp_path) & set(HEAVY) <= kinds


def test_the_list_of_runs_does_not_load_what_a_run_needs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    assert "millrace.cli.run" not in loaded_by(["runs"], environment, tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_with_an_example(name: str) -> None:
    below = getattr(LazyGroup().get_command(None, name), "commands", {})
    alone = [] if name in ("server", "worker", "graph") else [[name]]  # these do nothing alone
    for words in [*alone, *([name, one] for one in below)]:
        reply = CliRunner().invoke(build(), [*words, "--help"])
        assert reply.exit_code == 0
        assert re.search(rf"Example: .*\bmillrace {' '.join(words)}", reply.output), words


def test_the_help_lists_every_command_with_what_it_does() -> None:
    reply = CliRunner().invoke(build(), ["--help"])
    for name in COMMANDS:
        (line,) = [one for one in reply.output.splitlines() if one.strip().startswith(name + " ")]
        assert len(line.split()) > 3
    assert "130 interrupted" in reply.output


def test_the_page_of_commands_has_every_command(repository: Path) -> None:
    text = (repository / "docs" / "commands.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for name in COMMANDS:
        assert any(re.match(rf"\| `{name}[ `]", row) for row in rows), name


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest() -> None:
    reply = CliRunner().invoke(build(), ["kindz"])
    assert reply.exit_code == 2
    assert "did you mean 'kinds'" in reply.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong", hint="do this"), 2),
        (DocumentError("wrong", hint="do this"), 2),
        (NotPermitted("wrong", hint="do this"), 3),
        (ToolMissing("wrong", hint="do this"), 4),
        (ServerError("wrong", hint="do this"), 4),
        (StoreError("wrong", hint="do this"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_our_errors_are_a_sentence_a_hint_and_an_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended_by(error, monkeypatch) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "wrong\ndo this\n"


def test_an_unexpected_error_is_one_line_and_a_file_with_the_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MILLRACE_DEBUG", raising=False)
    assert ended_by(RuntimeError("the moon"), monkeypatch) == 1
    told = capsys.readouterr().err
    assert "RuntimeError: the moon" in told
    assert "this is a bug" in told
    assert "Traceback" not in told
    (kept,) = home.glob("crash-*.log")
    assert str(kept) in told
    assert "Traceback" in kept.read_text()
    monkeypatch.setenv("MILLRACE_DEBUG", "1")
    with pytest.raises(RuntimeError, match="the moon"):
        ended_by(RuntimeError("the moon"), monkeypatch)


def test_ctrl_c_before_there_is_a_run_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended_by(KeyboardInterrupt(), monkeypatch) == 130


def test_names_cannot_command_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_by(UsageError("no file \x1b]0;owned\x07\u202e"), monkeypatch)
    assert capsys.readouterr().err == "no file \\x1b]0;owned\\x07\\u202e\n"


def test_a_reader_that_goes_away_is_no_error(environment: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace", "schema"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait(timeout=60)


def test_what_is_neither_file_nor_kind_names_the_nearest_kind(millrace: Millrace) -> None:
    reply = millrace("run", "faults.byte", "--yes")
    assert reply.returncode == 2
    assert "did you mean 'faults.bytes'" in reply.stderr
    assert "Traceback" not in reply.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "faults.bytes"], "needs an input file"),
        (["run", "faults.bytes", "a.txt"], "needs -o OUTPUT"),
        (["run", "faults.bytes", "a.txt", "-o", "b", "--set", "cut"], "NAME=VALUE"),
        (["run", "faults.bytes", "a.txt", "-o", "b", "--set", "cut=x"], "cut"),
        (["run", "faults.bytes", "a.txt", "-o", "b", "--only", "bites"], "did you mean 'bytes'"),
        (["run", "missing.yaml"], "missing.yaml"),
        (["run", "faults.bytes", "a.txt", "-o", "b", "--limit", "0"], "greater than or equal to 1"),
        (["show", "nothing"], "there are no runs yet"),
        (["plan", "faults.bytes", "a.txt", "-o", "../../../../proc/x/{y", "--force", "z"], "z"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_person_s_mistake_is_exit_code_2_and_never_a_traceback(
    words: list[str], told: str, millrace: Millrace
) -> None:
    reply = millrace(*words)
    assert reply.returncode == 2
    assert told in reply.stderr
    assert "Traceback" not in reply.stderr
    assert reply.stdout == ""


def ended_by(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Returns the exit code of a command that ends by an error."""

    def raise_it() -> None:
        raise error

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(raise_it)
    monkeypatch.setattr("millrace.cli.app.build", lambda: app)
    return cli.execute([])


def test_completion_knows_kinds_runs_and_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from millrace.cli.options import complete_runs, complete_what

    (home / "store" / "runs" / "20270101-000000-abcd").mkdir(parents=True)
    assert complete_runs("20") == ["20270101-000000-abcd"]
    assert complete_runs("l") == ["last"]
    monkeypatch.chdir(home)
    (home / "video.yaml").touch()
    assert set(complete_what("video")) >= {"video.encode", "video.upscale", "video.yaml"}
