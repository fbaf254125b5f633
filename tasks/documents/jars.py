"""Where the Java libraries of a tool lie on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from millrace.engine.errors import ToolMissing
from millrace.engine.settings import settings

_REPOSITORY = Path(__file__).resolve().parents[2]  # of a development checkout


def folder(
    tool: str, *, environment: Mapping[str, str] = os.environ, repository: Path = _REPOSITORY
) -> Path:
    """Returns the folder with the jars of a tool ("spark", "neo4j").

    Looks where MILLRACE_SPARK_JARS (or MILLRACE_NEO4J_JARS) says and nowhere else if it is set;
    then in the checkout's `.tools/spark-jars`, then in `jars/spark` of Millrace's home.
    Raises ToolMissing, with the command that fetches them.
    """
    variable = f"MILLRACE_{tool.upper()}_JARS"
    if named := environment.get(variable):
        if _holds_jars(Path(named)):
            return Path(named).resolve()
        raise ToolMissing(
            f"{variable} names {named}, where there are no jars", hint=f"scripts/jars.sh {tool}"
        )
    own = settings().home / "jars" / tool
    for place in (repository / ".tools" / f"{tool}-jars", own):
        if _holds_jars(place):
            return place.resolve()
    raise ToolMissing(
        f"the jars of {tool} are not on this machine",
        hint=f"in a checkout of Millrace: scripts/jars.sh {tool}\n"
        f"for an installed one: scripts/jars.sh {tool} {own}, or set {variable} to their folder",
    )


def _holds_jars(place: Path) -> bool:
    return next(place.glob("*.jar"), None) is not None
