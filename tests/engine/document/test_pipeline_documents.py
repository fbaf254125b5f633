"""Every pipeline that a person can read somewhere in this repository is valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from millrace.engine.document.catalogue import Catalogue
from millrace.engine.document.specs import Goal, Input, Output, Resources, Schedule, StageSpec
from millrace.engine.document.validation import keys_of
from millrace.engine.pipeline import check, load

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
OPENINGS = ("version:", "# yaml-language-server:")


def shown() -> list[tuple[str, str]]:
    """Returns (page:line, text) of every pipeline that a page shows whole."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            other = "\npools:" in match[1] or "/schema.schema.json" in match[1]  # a fleet, a schema
            if match[1].startswith(OPENINGS) and not other:
                line = text[: match.start()].count("\n") + 1
                found.append((f"{page.relative_to(REPOSITORY)}:{line}", match[1]))
    return found


SHOWN = shown()
FILES = sorted((REPOSITORY / "deployments" / "pipelines").glob("*.yaml"))


@pytest.mark.parametrize(("place", "text"), SHOWN, ids=[place for place, _ in SHOWN])
def test_a_pipeline_in_the_documentation_is_valid(place: str, text: str) -> None:
    assert [str(problem) for problem in check(text).problems] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_pipeline_in_deployments_is_valid_and_round_trips(path: Path) -> None:
    assert [str(problem) for problem in check(path).problems] == []
    pipeline = load(path)
    assert load(pipeline.to_yaml(), base=pipeline.base) == pipeline


def test_there_are_pipelines_in_the_readme_and_in_the_reference() -> None:
    pages = {place.partition(":")[0] for place, _ in SHOWN}
    assert {"README.md", "docs/pipeline-file.md"} <= pages
    assert FILES


def test_the_reference_names_every_key_of_a_document() -> None:
    text = (REPOSITORY / "docs" / "pipeline-file.md").read_text(encoding="utf-8")
    for model in (Input, StageSpec, Resources, Output, Goal, Schedule):
        missing = [key for key in keys_of(model) if f"`{key}" not in text and f"{key}:" not in text]
        assert missing == [], model.__name__


def test_the_python_in_the_reference_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (REPOSITORY / "docs" / "pipeline-file.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/pipeline-file.md", "exec"), {})
    assert "uses: video.encode" in capsys.readouterr().out


def test_what_the_reference_says_of_errors_is_what_is_printed() -> None:
    text = (REPOSITORY / "docs" / "pipeline-file.md").read_text(encoding="utf-8")
    table = text.partition("| it says |")[2].partition("\n\n")[0]
    printed = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).parent / "broken").glob("*.expected")
    )
    quoted = re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)
    assert len(quoted) >= 5
    for words in quoted:
        assert all(part.strip() in printed for part in words.split("…")), words


def test_the_kinds_of_this_package_have_words_for_people() -> None:
    for kind in Catalogue().all():
        if kind.package == "millrace":
            assert kind.summary, kind.name
            assert kind.params is not None
            silent = [n for n, f in kind.params.model_fields.items() if not f.description]
            assert silent == [], kind.name
