"""The queue as a table that a spreadsheet opens, and the decisions that come back in one.

A cell whose text a spreadsheet would take for a formula gets an apostrophe before it, as OWASP's
page on CSV injection advises; coming back, it is taken away again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from millrace.engine.errors import UsageError
from millrace.tasks.documents.review.desk import Case, Verdict

HEADER = (
    "id",
    "document",
    "type",
    "field",
    "value",
    "probability",
    "page",
    "read",
    "decision",
    "correction",
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_VERDICTS: dict[str, Verdict] = {
    "accept": "accepted",
    "accepted": "accepted",
    "correct": "corrected",
    "corrected": "corrected",
    "reject": "rejected",
    "rejected": "rejected",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a row of a sheet decides: a case's id, the verdict, and the value of a correction."""

    case: str
    verdict: Verdict
    value: str


def write(cases: Iterable[Case], path: Path) -> int:
    """Writes cases as CSV; returns how many. Raises UsageError when the file cannot be written."""
    written = 0
    try:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            sheet = csv.writer(file)
            sheet.writerow(HEADER)
            for case in cases:
                sheet.writerow([neutral(cell) for cell in _cells(case)])
                written += 1
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return written


def read(path: Path) -> Iterator[Answer]:
    """Yields the decisions of a sheet, row by row; rows without one are passed over.

    A correction without a verdict is one. Raises UsageError naming file and line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            sheet = csv.DictReader(file)
            missing = {"id", "decision", "correction"} - set(sheet.fieldnames or ())
            if missing:
                raise UsageError(
                    f"{path} has no column {', '.join(sorted(missing))}",
                    hint="begin with the file that `millrace review export` writes",
                )
            for row in sheet:
                if answer := _answer(row, f"{path}:{sheet.line_num}"):
                    yield answer
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no CSV file that can be read: {error}") from error


def neutral(cell: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith((*_FORMULAS, "'")) else cell


def plain(cell: str) -> str:
    """Returns what `neutral` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*_FORMULAS, "'")) else cell


def _cells(case: Case) -> list[str]:
    fact, evidence = case.fact, case.fact.evidence[:1]
    page = str(evidence[0].page) if evidence else ""
    shown = f"{fact.probability:.2f}"
    known = [case.id, case.facts.name, case.facts.kind, fact.field]
    return [*known, fact.value, shown, page, fact.raw, "", ""]


def _answer(row: dict[str | None, str | None], where: str) -> Answer | None:
    id, said = (row["id"] or "").strip(), (row["decision"] or "").strip().lower()
    value = plain((row["correction"] or "").strip())
    if not said and not value:
        return None
    verdict = _VERDICTS.get(said or "correct")
    if verdict is None:
        raise UsageError(
            f"{where}: {said!r} is no decision", hint="write accept, correct or reject"
        )
    if verdict == "corrected" and not value:
        raise UsageError(f"{where}: a correction needs a value in the column `correction`")
    if verdict == "accepted" and value:
        raise UsageError(f"{where}: accepted and corrected at once; leave one of the two empty")
    return Answer(plain(id), verdict, value)
