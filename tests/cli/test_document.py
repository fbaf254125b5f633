"""The commands about documents: check, schema, init, kinds."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from millrace.cli import document
from millrace.engine.errors import StoreError, UsageError

TESTS = Path(__file__).parent.parent
BROKEN = TESTS / "engine" / "document" / "broken"


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with the tests' kinds installed."""
    monkeypatch.syspath_prepend(str(TESTS / "plugins" / "testkinds"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def run(*arguments: str) -> Result:
    app = typer.Typer()
    document.register(app)
    return CliRunner().invoke(app, arguments)


def test_check_prints_every_problem_and_exits_with_two() -> None:
    result = run("check", str(BROKEN / "everything_at_once.yaml"))
    assert result.exit_code == 2
    assert result.stdout.count("^") >= 10
    assert result.stdout.splitlines()[-1].endswith("everything_at_once.yaml: 10 problems")


def test_check_shows_warnings_and_exits_with_zero() -> None:
    result = run("check", str(BROKEN / "warning_lossy_twice.yaml"))
    assert result.exit_code == 0
    assert "warning: " in result.stdout
    assert result.stdout.splitlines()[-1].endswith("is valid, 1 warning")


def test_check_takes_parameters_and_says_which_are_wrong() -> None:
    path = str(BROKEN / "parameter_not_given.yaml")
    assert run("check", path).exit_code == 2
    assert run("check", path, "--set", "scale=2").exit_code == 0
    result = run("check", path, "--set", "scale=two")
    assert "--set scale: must be a whole number, not 'two'" in result.stdout
    assert isinstance(run("check", path, "--set", "scale").exception, UsageError)


def test_check_gives_scripts_the_places_of_problems() -> None:
    result = run("check", "--json", str(BROKEN / "unknown_source.yaml"))
    found = json.loads(result.stdout)
    assert result.exit_code == 2
    assert found["valid"] is False
    assert found["problems"] == [
        {
            "message": "no input or stage is called 'captured'; did you mean 'captures'?",
            "where": "stages.proxy.each",
            "file": str(BROKEN / "unknown_source.yaml"),
            "line": 7,
            "column": 36,
        }
    ]


def test_check_of_a_file_that_is_not_there_is_a_problem_and_no_traceback() -> None:
    result = run("check", "nowhere.yaml")
    assert result.exit_code == 2
    assert "there is no file nowhere.yaml" in result.stdout


@pytest.mark.parametrize("kind", ["test.copy", "test.encode", "test.upscale", "test.assemble"])
def test_init_writes_a_document_that_is_valid_as_it_stands(kind: str) -> None:
    assert run("init", "mine.yaml", "--kind", kind).exit_code == 0
    result = run("check", "mine.yaml")
    assert result.stdout == "mine.yaml is valid\n"
    text = Path("mine.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=")
    assert f"uses: {kind}" in text


def test_what_init_comments_out_is_valid_when_it_is_brought_in() -> None:
    run("init", "mine.yaml", "--kind", "test.upscale")
    text = Path("mine.yaml").read_text()
    for line in ("      # crf: 23", "# goal: {", "# schedule: {", "    # resources: {"):
        assert line in text
        text = text.replace(line, line.replace("# ", "", 1))
    Path("mine.yaml").write_text(text)
    assert run("check", "mine.yaml").stdout == "mine.yaml is valid\n"


def test_init_without_a_kind_takes_one_that_needs_nothing() -> None:
    assert run("init", "Our films 2027").exit_code == 0
    assert run("check", "Our films 2027.yaml").exit_code == 0
    assert "name: our-films-2027" in Path("Our films 2027.yaml").read_text()


def test_init_never_overwrites() -> None:
    Path("mine.yaml").write_text("precious")
    result = run("init", "mine.yaml")
    assert isinstance(result.exception, UsageError)
    assert "exists and is left as it is" in str(result.exception)
    assert Path("mine.yaml").read_text() == "precious"


def test_init_with_an_unknown_kind_names_the_nearest_and_writes_nothing() -> None:
    result = run("init", "mine.yaml", "--kind", "test.encod")
    assert "did you mean 'test.encode'" in str(result.exception)
    assert not Path("mine.yaml").exists()
    assert isinstance(run("init", "no/such/folder.yaml").exception, StoreError)


def test_kinds_lists_every_kind_even_those_that_cannot_be_loaded() -> None:
    lines = run("kinds").stdout
    assert "Encodes a video." in lines
    assert "millrace-testkinds 1.2" in lines
    assert "moon phase" in lines


def test_kinds_of_one_shows_its_parameters_with_types_ranges_and_defaults() -> None:
    text = " ".join(run("kinds", "test.upscale").stdout.split())
    assert "Makes a video larger." in text
    for words in (
        "crf int ≥ 0, ≤ 51 23 Quality; less is better.",
        "codec h264 | hevc | av1 h264 Video codec.",
        "speed float > 0 1 Playback speed.",
        "size int or source source Height in pixels.",
        "title str – Title in the container.",
        "scale int required Times the size.",
    ):
        assert words in text
    assert "It has no parameters." in run("kinds", "test.copy").stdout
    assert "moon phase" in run("kinds", "test.broken").stdout


def test_kinds_gives_scripts_the_same() -> None:
    every = {entry["kind"]: entry for entry in json.loads(run("kinds", "--json").stdout)}
    assert every["test.broken"]["broken"].endswith("moon phase")
    one = json.loads(run("kinds", "test.encode", "--json").stdout)
    assert one == every["test.encode"]
    assert one["version"] == 3
    assert one["lossy"] is True
    assert one["parameters"]["crf"]["maximum"] == 51
    assert one["parameters"]["window"]["properties"]["start"]["minimum"] == 0


def test_kinds_of_an_unknown_one_names_the_nearest() -> None:
    assert "did you mean 'test.copy'" in str(run("kinds", "test.cpy").exception)


def test_schema_is_written_to_a_file_or_to_the_terminal(workplace: Path) -> None:
    shown = json.loads(run("schema").stdout)
    assert run("schema", "-o", "s.json").exit_code == 0
    written = json.loads((workplace / "s.json").read_text())
    assert written == shown
    jsonschema.Draft202012Validator.check_schema(written)
    assert "test.encode" in written["$defs"]


def test_schema_of_one_package_knows_its_kinds_alone() -> None:
    definitions = json.loads(run("schema", "--package", "millrace-testkinds").stdout)["$defs"]
    assert "test.encode" in definitions
    assert not [name for name in definitions if name.startswith("video.")]
    assert isinstance(run("schema", "--package", "nobody").exception, UsageError)


@pytest.mark.parametrize("command", ["check", "schema", "init", "kinds"])
def test_help_says_what_a_command_does_and_shows_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: millrace {command}" in " ".join(result.stdout.split())
