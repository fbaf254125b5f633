"""What the benchmarks of reading share: the truth of the receipts and scans, and how to score."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from millrace.tasks.documents.pages import Box, Line, Word
from millrace.tasks.documents.reading.layout import in_order


def receipt_truth(data: Path, name: str) -> str:
    """Returns the text of a receipt, its boxes put into lines as the reader's segments are."""
    text = (data / "receipts/box" / f"{name}.csv").read_text("utf-8", "replace")
    segments = []
    for row in csv.reader(text.splitlines(), quoting=csv.QUOTE_NONE):
        if len(row) > 8:
            x, y = [int(n) for n in row[0:8:2]], [int(n) for n in row[1:8:2]]
            box, said = Box(min(x), min(y), max(x), max(y)), ",".join(row[8:])
            segments.append(Line(said, box, (Word(said, box),)))
    return "\n".join(line.text for line in in_order(segments))


def receipt_fields(data: Path, name: str) -> list[str]:
    """Returns the four values of a receipt."""
    told = json.loads((data / "receipts/key" / f"{name}.json").read_text())
    return [str(value) for value in told.values()]


def plain(text: str) -> str:
    """Returns a text without case, spaces and punctuation."""
    return "".join(char for char in text.casefold() if char.isalnum())


def word_f1(truth: str, read: str) -> float:
    """Returns the F1 of the words of a text, as a bag, case and punctuation ignored."""
    first, second = (Counter(filter(None, map(plain, text.split()))) for text in (truth, read))
    total = sum(first.values()) + sum(second.values())
    return 2 * sum((first & second).values()) / total if total else 1.0


def character_errors(truth: str, read: str) -> float:
    """Returns the character error rate, case and spaces ignored: edits per true character."""
    wanted, found = (re.sub(r"\s", "", text).casefold() for text in (truth, read))
    return Levenshtein.distance(wanted, found) / max(1, len(wanted))


def mean(values: Iterable[float]) -> float:
    """Returns the mean; 0 of none."""
    told = list(values)
    return sum(told) / len(told) if told else 0.0
