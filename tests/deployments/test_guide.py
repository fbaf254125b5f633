"""That the guide names what there is: files, commands, options, and a fleet that is valid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from millrace.cli.app import COMMANDS, LazyGroup
from millrace.engine.fleet.reading import load_fleet

_BLOCK = re.compile(r"^ *```(?:console|sh)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)")


def pages(repository: Path) -> list[Path]:
    found = sorted((repository / "docs" / "guide").glob("*.md"))
    assert len(found) > 8
    return found


def commands(page: Path) -> list[list[str]]:
    """The calls of `millrace` in a page's blocks, each as its words."""
    found = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            text = line.strip().removeprefix("$ ").partition(" #")[0].replace("…", "x")
            for part in re.split(r"&&|;|\|", text.partition(" >")[0]):
                words = shlex.split(part, posix=False)
                while words and "=" in words[0]:
                    words.pop(0)
                if words and words[0] == "millrace":
                    found.append(words[1:])
    return found


def unknown(words: list[str]) -> str:
    """Says what of a call `millrace` does not have, or nothing."""
    name, *rest = words
    if name not in COMMANDS:
        return name
    command = LazyGroup(name="millrace").get_command(None, name)
    if rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    options = {text for each in command.params for text in (*each.opts, *each.secondary_opts)}
    given = [word.partition("=")[0] for word in rest if re.match(r"--[a-z]", word)]
    return " ".join(option for option in given if option not in options)


def test_every_command_of_the_guide_exists_with_its_options(repository: Path) -> None:
    calls = [(page.name, words) for page in pages(repository) for words in commands(page)]
    assert len(calls) > 20
    wrong = [(page, words, unknown(words)) for page, words in calls if unknown(words)]
    assert not wrong


@pytest.mark.parametrize("call", [["no-such"], ["pools", "join", "x", "--no-such"]])
def test_a_command_that_is_not_there_would_be_found(call: list[str]) -> None:
    assert unknown(call).endswith("no-such")


def test_every_link_of_the_guide_leads_somewhere(repository: Path) -> None:
    for page in pages(repository):
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_fleet_of_the_first_page_is_valid(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "guide" / "first-fleet.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "pools.yaml"
    file.write_text(blocks[0], encoding="utf-8")
    fleet = load_fleet(file)
    assert set(fleet.pools) == {"conductor", "studio", "burst"}
    assert {"goal", "schedule", "label"} <= yaml.safe_load(blocks[1]).keys()
