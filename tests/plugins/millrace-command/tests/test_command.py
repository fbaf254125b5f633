"""The kinds of this package, where it is installed: `pytest tests` after `pip install .`."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from millrace_command.command import Params, Run
from millrace_command.function import Call
from millrace_command.function import Params as CallParams

from millrace.engine.hosts.devices import Device
from millrace.testing import conformance

SHOUT = """#!/usr/bin/env python3
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
if "!" in text:
    print("it shouts already", file=sys.stderr)
    sys.exit(65)
Path(sys.argv[2]).write_text(text.upper())
"""

MODULE = """
from millrace.engine.errors import BadInput

def shout(input, output, *, end=""):
    text = input.read_text()
    if "!" in text:
        raise BadInput("shouting", f"it shouts already: {input.name}")
    output.write_text(text.upper() + end)
    return {"letters": len(text)}
"""


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / f"{name}.txt"
        path.write_text({"shouting": "hey!"}.get(name, f"this is {name}"))
        return path

    return make


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "shout"
    path.write_text(SHOUT)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_command_run_conforms(files: Callable[[str], Path], program: Path, tmp_path: Path) -> None:
    params = {"command": [str(program), "{input}", "{output}"], "suffix": ".txt"}
    (tmp_path / "folder").mkdir()

    conformance(
        "command.run",
        params,
        good=[files("quiet"), files("calm")],
        bad=[files("shouting"), tmp_path / "missing.txt", tmp_path / "folder"],
        tmp=tmp_path / "bench",
    )


def test_python_call_conforms(files: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "voices.py").write_text(MODULE)
    params: dict[str, Any] = {
        "function": "voices:shout",
        "arguments": {"end": "."},
        "search": [str(tmp_path / "own")],
        "suffix": ".txt",
    }

    conformance(
        "python.call",
        params,
        good=[files("quiet"), files("calm")],
        bad=[files("shouting"), tmp_path / "missing.txt"],
        tmp=tmp_path / "bench",
    )


@pytest.mark.parametrize("command", [["cp"], ["cp", "{input}"], ["{input}", "{output}"], []])
def test_a_command_names_both_files_after_the_program(command: list[str]) -> None:
    with pytest.raises(ValueError, match=r"command"):
        Params.model_validate({"command": command})


@pytest.mark.parametrize("function", ["os", "os:", ":f", "a b:c", "a:b.c", "../x:y", "a:b()"])
def test_a_function_is_named_by_module_and_name(function: str) -> None:
    with pytest.raises(ValueError, match="function"):
        CallParams.model_validate({"function": function})


def test_another_program_is_another_profile(program: Path) -> None:
    run = Run(Params(command=(str(program), "{input}", "{output}")))
    before = run.profile(Device())

    program.write_text(SHOUT.replace("upper", "title"))

    assert run.profile(Device()) != before


def test_another_source_is_another_profile(tmp_path: Path) -> None:
    module = tmp_path / "voices.py"
    module.write_text(MODULE)
    call = Call(CallParams(function="voices:shout", search=(tmp_path,)))
    before = call.profile(Device())

    module.write_text(MODULE.replace("upper", "title"))

    assert call.profile(Device()) != before
