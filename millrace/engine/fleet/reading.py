"""`pools.yaml` to a fleet, with everything that is wrong with it found in one pass.

fleet = load_fleet(settings().fleet)       # raises DocumentError with every problem
report = check_fleet(Path("pools.yaml"))   # problems and warnings, never raises
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from millrace.engine.document import source_map
from millrace.engine.document.files import NoText, text_of
from millrace.engine.document.problems import Problem, Report
from millrace.engine.errors import UsageError
from millrace.engine.fleet import draft as drafts
from millrace.engine.fleet import place_checks, pool_checks, price_checks
from millrace.engine.fleet.pools import FleetSpec
from millrace.engine.fleet.resolved import Fleet, Pool, resolve

__all__ = ["Fleet", "Pool", "check_fleet", "load_fleet", "read_fleet"]

WORDS = ("docs/pools.md shows one", "a fleet is a mapping that starts with `version: 1`")


@dataclass(frozen=True)
class Reading:
    """A file read: its fleet, None when something is wrong with it, and what was found."""

    fleet: Fleet | None
    report: Report


def load_fleet(path: Path, today: datetime.date | None = None) -> Fleet:
    """Returns the fleet that a file declares.

    Raises UsageError when there is no such file, and DocumentError, whose `problems` hold every
    problem found, each with its place. Warnings (old prices among them, by `today`) stop nothing;
    `check_fleet` returns them.
    """
    if not path.exists():
        raise UsageError(
            f"there is no fleet: {path} does not exist",
            hint="write one (docs/pools.md begins with a short one), or name it by MILLRACE_FLEET; "
            "without a fleet everything runs here",
        )
    reading = read_fleet(path, today)
    if reading.fleet is None:
        raise reading.report.error(str(path))
    return reading.fleet


def check_fleet(path: Path, today: datetime.date | None = None) -> Report:
    """Returns all problems and warnings of a file. Never raises for what is in it."""
    return read_fleet(path, today).report


def read_fleet(path: Path, today: datetime.date | None = None) -> Reading:
    """Returns the fleet of a file together with its problems and warnings.

    `today` is what the age of prices is counted from (default: this day).
    """
    try:
        text = text_of(path, "fleet file")
    except NoText as error:
        return Reading(None, Report((Problem(str(error)),)))
    parsed = source_map.parse(text, str(path), WORDS)
    if parsed.data is None:
        return Reading(None, Report(parsed.problems))
    base = path.absolute().parent
    draft, found = drafts.read(parsed.data)
    found += [
        *place_checks.problems(draft),
        *pool_checks.problems(draft, base),
        *price_checks.problems(draft),
    ]
    doubtful = [
        *place_checks.doubts(draft, base),
        *pool_checks.doubts(draft),
        *price_checks.doubts(draft, today or datetime.date.today()),
    ]
    wrong = {finding.where[:2] for finding in found}  # of what is wrong nothing is doubted
    report = parsed.report(found, [doubt for doubt in doubtful if doubt.where[:2] not in wrong])
    if report.problems:
        return Reading(None, report)
    spec = FleetSpec.model_validate(drafts.settled(parsed.data), by_alias=True, by_name=False)
    return Reading(resolve(spec, path), report)
