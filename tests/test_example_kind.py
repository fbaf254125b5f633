"""A stranger's package adds stage kinds as ours do: built, installed, found, run."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.execution import execute
from millrace.engine.hosts.devices import Device, inventory
from millrace.engine.outcome import Outcome
from millrace.engine.pipeline import load
from millrace.engine.runs import Order, Runs
from millrace.engine.sessions.host import Limits, SessionHost
from millrace.engine.settings import settings
from millrace.engine.stages import (
    Batch,
    Failure,
    Needs,
    Outline,
    Result,
    Span,
    Staged,
    available,
)

PACKAGE = Path(__file__).parent / "plugins" / "millrace-command"
Do = Callable[..., dict[str, Result | Failure]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed from its wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("example")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")],
        cwd=PACKAGE,
        check=True,
        capture_output=True,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def do(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Do:
    """Runs a kind over files with the content given, and returns the answers by file name."""
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setenv("PYTHONPATH", str(installed))

    def run(kind: str, params: dict[str, Any], **contents: str) -> dict[str, Result | Failure]:
        host = SessionHost(
            kind,
            params,
            lease_folder=tmp_path / "leases",
            needs=Needs(),
            device=Device(),
            log=tmp_path / "log",
            scratch=tmp_path / "scratch",
            limits=Limits(),
        )
        with host:
            batches = [_batch(host, tmp_path / name, text) for name, text in contents.items()]
            answers = list(host.run(batches, tmp_path / "out"))
        return {a.key: a for a in answers if isinstance(a, Result | Failure)}

    return run


def _batch(host: SessionHost, path: Path, text: str) -> Batch:
    path.write_text(text)
    item = Staged(name=f"{path.name}; rm -rf $HOME", path=path)
    outline: Outline = host.measure(item)
    return Batch(key=path.name, item=item, outline=outline, span=Span(stop=1), whole=True)


def test_installing_the_package_is_all_it_takes(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not {"command.run", "python.call"} & set(available())

    monkeypatch.syspath_prepend(str(installed))

    assert {"command.run", "python.call"} <= set(available())


def test_a_persons_own_command_runs_once_per_item(do: Do) -> None:
    script = "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read()[::-1])"
    command = ["python3", "-c", script, "{input}", "{output}"]

    answers = do("command.run", {"command": command, "suffix": ".txt"}, a="abc", b="xyz")

    assert {key: answer.path.read_text() for key, answer in answers.items()} == {
        "a": "cba",
        "b": "zyx",
    }


def test_a_command_is_no_shell(do: Do, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    script = "import sys; open(sys.argv[2], 'w').write(sys.argv[3])"
    odd = f"$(touch {canary}); `touch {canary}` && touch {canary}"
    command = ["python3", "-c", script, "{input}", "{output}", odd]

    answers = do("command.run", {"command": command}, a="x")

    assert answers["a"].path.read_text() == odd
    assert not canary.exists()


@pytest.mark.parametrize(
    ("status", "code", "fault"), [(3, "command_failed", "stage"), (65, "bad_input", "input")]
)
def test_a_failing_command_gives_its_own_last_words(
    do: Do, status: int, code: str, fault: str
) -> None:
    script = f"echo 'no such luck' >&2; exit {status}"
    command = ["sh", "-c", script, "{input}", "{output}"]

    answer = do("command.run", {"command": command}, a="x")["a"]

    assert (answer.code, answer.fault) == (code, fault)
    assert answer.message.endswith("no such luck")


@pytest.mark.parametrize(
    ("script", "code"),
    [("true", "no_output"), (': > "$2"', "empty"), ("sleep 60", "tool_timeout")],
)
def test_a_command_that_gives_nothing_is_a_failure(do: Do, script: str, code: str) -> None:
    command = ["sh", "-c", script, "sh", "{input}", "{output}"]

    answer = do("command.run", {"command": command, "timeout": 1}, a="x")["a"]

    assert answer.code == code


def test_a_command_that_is_not_installed_is_a_missing_tool(do: Do) -> None:
    answer = do("command.run", {"command": ["no-such-saw", "{input}", "{output}"]}, a="x")["a"]

    assert (answer.code, answer.message) == ("tool_missing", "no-such-saw is not installed")


def test_a_persons_own_function_runs_once_per_item_and_keeps_facts(do: Do, tmp_path: Path) -> None:
    (tmp_path / "voices.py").write_text(
        "def shout(input, output, times):\n"
        "    text = input.read_text()\n"
        "    if not text: raise RuntimeError('nothing to say')\n"
        "    output.write_text(text.upper() * times)\n"
        "    return {'letters': len(text)}\n"
    )

    answers = do(
        "python.call",
        {"function": "voices:shout", "arguments": {"times": 2}, "search": [str(tmp_path)]},
        a="hey",
        b="",
    )

    assert answers["a"].path.read_text() == "HEYHEY"
    assert answers["a"].facts == {"letters": 3}
    assert answers["b"].code == "function_failed"
    assert answers["b"].message.endswith("RuntimeError: nothing to say")


def test_a_function_that_cannot_be_imported_says_where_to_look(do: Do) -> None:
    answer = do("python.call", {"function": "no_such_module:f"}, a="x")["a"]

    assert answer.code == "tool_missing"
    assert "search" in answer.hint


@pytest.mark.slow
def test_the_packages_own_tests_pass_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "-c", os.devnull,
         "--noconftest", "-p", "no:cacheprovider", str(PACKAGE / "tests")],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout[-3000:]


PIPELINE = """
version: 1
name: echo
label: internal
inputs:
  words: {files: "in/*.txt"}
stages:
  backwards:
    uses: command.run
    each: words
    with: {command: [PROGRAM, "{input}", "{output}"], suffix: .txt}
  loud:
    uses: python.call
    each: backwards
    with: {function: "voices:shout", search: [FOLDER], suffix: .txt}
outputs:
  said: {from: loud, to: "out/{source.path}.txt"}
"""


@pytest.mark.slow
def test_a_pipeline_of_a_strangers_kinds_runs_resumes_and_notices_another_program(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setenv("PYTHONPATH", str(installed))
    program = tmp_path / "backwards"
    program.write_text('#!/bin/sh\nrev <"$1" >"$2"\n')
    program.chmod(0o755)
    (tmp_path / "voices.py").write_text(
        "def shout(input, output):\n    output.write_text(input.read_text().upper())\n"
    )
    (tmp_path / "in").mkdir()
    for name in ("abc", "xyz"):
        (tmp_path / "in" / f"{name}.txt").write_text(f"{name}\n")
    text = PIPELINE.replace("PROGRAM", str(program)).replace("FOLDER", str(tmp_path))

    first = _conduct(text, tmp_path)
    said = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    again = _conduct(text, tmp_path)
    program.write_text('#!/bin/sh\ntac <"$1" >"$2"\n')
    changed = _conduct(text, tmp_path, overwrite=True)

    assert first.items == {"done": 2, "reused": 0, "failed": 0}
    assert said == {"abc.txt": "CBA\n", "xyz.txt": "ZYX\n"}
    assert again.items == {"done": 0, "reused": 2, "failed": 0}
    assert changed.items == {"done": 2, "reused": 0, "failed": 0}
    assert (tmp_path / "out" / "abc.txt").read_text() == "ABC\n"


def _conduct(text: str, folder: Path, **how: Any) -> Outcome:
    here = settings()
    order = Order(pipeline=load(text, base=folder), base=folder, source="p.yaml", **how)
    run = Runs(here).create(order)
    host = inventory()
    desk = partial(HereDesk, run, host, dispatch=lambda name: execute(run, name, here))
    return Conductor(run, order, here, host, desk).conduct()
