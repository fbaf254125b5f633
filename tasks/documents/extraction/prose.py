"""The text of a sheet as prose: line breaks become spaces, places hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.extraction.found import Found


@dataclass(frozen=True)
class Prose:
    """A text with one space for each line break: character for character that of the sheet."""

    raw: str
    flat: str

    def whole(self, start: int, end: int) -> str:
        """Returns a span in one line, words whole that a line break parts with a hyphen."""
        joined = re.sub(r"(?<=[^\W\d_])-[ \t]*\n\s*(?=[a-zäöüß])", "", self.raw[start:end])
        return " ".join(joined.split())

    def found(
        self, field: str, value: str, start: int, end: int, score: float, path: str = ""
    ) -> Found:
        """Returns a find of a clause at a span."""
        raw = self.raw[start:end]
        return Found(field, value, raw, start, end, "clause", round(score, 4), path)


def prose(sheet: Sheet) -> Prose:
    """Returns the prose of a sheet; typographic quotes and spaces are made plain, one for one."""
    flat = re.sub(r"\s", " ", sheet.text)
    flat = flat.translate(str.maketrans("“”„‟«»‘’‚", '""""""\'\'\''))
    return Prose(sheet.text, flat)
