"""Reads a Dockerfile into stages of instructions: the part of the language that ours uses. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

LAYERS = ("RUN", "COPY")
STATE = ("ENV", "USER", "WORKDIR")
NOTED = ("CMD", "ENTRYPOINT", "HEALTHCHECK", "LABEL", "STOPSIGNAL", "VOLUME")


class Unreadable(Exception):
    """An instruction that this reader does not know; the check must not pass over it."""


@dataclass(frozen=True)
class Instruction:
    """One instruction with its line, its options (`--from=…`) and the rest of its text."""

    line: int
    word: str
    text: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stage: its name, what it stands on (another stage or an image), and its instructions."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


def stages(text: str) -> dict[str, Stage]:
    """Returns the stages by name, in order. Raises Unreadable."""
    arguments: dict[str, str] = {}
    found: dict[str, Stage] = {}
    current: list[Instruction] = []
    for instruction in _instructions(text):
        if instruction.word == "ARG" and not found:
            name, _, default = instruction.text.partition("=")
            arguments[name] = default
        elif instruction.word == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            name = name.strip() or f"stage-{len(found)}"
            current = []
            found[name] = Stage(name, expand(base.strip(), arguments), ())
        elif instruction.word in (*LAYERS, *STATE, *NOTED) and found:
            current.append(instruction)
            last = list(found)[-1]
            found[last] = Stage(last, found[last].base, tuple(current))
        else:
            raise Unreadable(f"line {instruction.line}: {instruction.word} is not known here")
    return found


def needed(all_stages: Mapping[str, Stage], target: str) -> tuple[str, ...]:
    """Returns the stages that `target` needs, itself included, each after those it needs."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order or name not in all_stages:
            return
        stage = all_stages[name]
        visit(stage.base)
        for instruction in stage.instructions:
            visit(instruction.options.get("from", ""))
        order.append(name)

    visit(target)
    return tuple(order)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Returns the text with `$NAME` and `${NAME}` replaced; an unknown name becomes empty."""
    return re.sub(
        r"\$(?:\{(\w+)\}|(\w+))", lambda found: variables.get(found[1] or found[2], ""), text
    )


def assignments(text: str) -> dict[str, str]:
    """Returns the pairs of `NAME=value NAME="a value"`."""
    return dict(word.split("=", 1) for word in shlex.split(text))


def _instructions(text: str) -> list[Instruction]:
    found = []
    pending, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not pending):
            continue
        begun = begun if pending else number
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        found.append(_instruction(begun, pending))
        pending = ""
    return found


def _instruction(line: int, text: str) -> Instruction:
    word, _, rest = text.strip().partition(" ")
    options = {}
    rest = rest.strip()
    while word.upper() in ("COPY", "RUN") and rest.startswith("--"):
        option, _, rest = rest.partition(" ")
        name, _, value = option[2:].partition("=")
        options[name] = value
        rest = rest.strip()
    if set(options) - {"from"}:
        raise Unreadable(f"line {line}: the options {sorted(options)} are not known here")
    return Instruction(line, word.upper(), rest, options)
