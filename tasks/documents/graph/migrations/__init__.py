"""The numbered steps that bring a database to the shape this version writes: NNNN_what.cypher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from millrace.engine.errors import GraphError


@dataclass(frozen=True)
class Migration:
    """A step: its number, and the statements it consists of."""

    number: int
    statements: tuple[str, ...]


def migrations(database: str) -> tuple[Migration, ...]:
    """Returns the steps for a database ("neo4j", "embedded"), the first first."""
    files = sorted((Path(__file__).parent / database).glob("[0-9]*.cypher"))
    return tuple(Migration(int(file.name[:4]), _statements(file.read_text())) for file in files)


def missing(database: str, done: set[int], where: str) -> tuple[Migration, ...]:
    """Returns the steps that are not done. Raises GraphError where more is done than is known."""
    known = migrations(database)
    if beyond := done - {step.number for step in known}:
        raise GraphError(
            f"the graph at {where} was written by a newer Millrace (step {max(beyond)})",
            hint="update Millrace here, or name another graph",
        )
    return tuple(step for step in known if step.number not in done)


def _statements(text: str) -> tuple[str, ...]:
    lines = (line for line in text.splitlines() if not line.startswith("//"))
    return tuple(part.strip() for part in "\n".join(lines).split(";") if part.strip())
