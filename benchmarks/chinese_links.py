"""How many keys and values of Chinese forms are linked rightly, on the lines of the ground truth.

    python benchmarks/chinese_links.py [FOLDER]

FOLDER holds annotated pages (JSON lists of lines with `transcription`, `label`, `points`, `id`,
`linking`). A link found is right when the truth links a line of its key with that line of its
value; a link of the truth is found when a pair has both of its lines. With `--read` the page's
image is read first and lines are matched to the truth by where they stand.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.tasks.documents.extraction.annotations import Sheet, sheets
from millrace.tasks.documents.extraction.keyvalues import pairs
from millrace.tasks.documents.extraction.pieces import Piece
from millrace.tasks.documents.pages import Box, Document, Line, Page, Word

FOLDER = Path(__file__).parents[1] / ".." / "shared" / "data" / "chinese_forms"


@dataclass(frozen=True)
class Links:
    """Links found, right among them, and links of the truth, found among them."""

    found: int
    right: int
    true: int
    recalled: int
    seconds: float

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.recalled / self.true if self.true else 0.0


def box_of(entry: dict[str, Any]) -> Box:
    across = [float(point[0]) for point in entry["points"]]
    down = [float(point[1]) for point in entry["points"]]
    return Box(min(across), min(down), max(across), max(down))


def sheet_of(entries: Sequence[dict[str, Any]]) -> Sheet:
    """Returns the truth's lines as a sheet, from top to bottom."""
    lines = []
    for entry in sorted(entries, key=lambda e: (box_of(e).y0, box_of(e).x0)):
        text, box = entry["transcription"], box_of(entry)
        if text.strip():
            lines.append(Line(text, box, (Word(text, box),)))
    page = Page(1, 2480, 3508, 300, "ocr", tuple(lines))
    return sheets(Document("form", "0" * 64, "image/jpeg", (page,)))[0]


def measured(entries: Sequence[dict[str, Any]], sheet: Sheet, *, show: bool = False) -> Links:
    boxes = {entry["id"]: box_of(entry) for entry in entries}
    texts = {entry["id"]: entry["transcription"] for entry in entries}
    truth = {(a, b) for entry in entries for a, b in entry["linking"]}
    start = time.perf_counter()
    found = pairs(sheet)
    seconds = time.perf_counter() - start
    told: list[tuple[set[int], int]] = []
    for pair in found:
        keys = {one for piece in pair.keys for one in touched(piece, boxes)}
        told += [(keys, one) for piece in pair.values for one in touched(piece, boxes)]
    right = [(keys, value) for keys, value in told if any((k, value) in truth for k in keys)]
    recalled = {link for link in truth if any(link[0] in k and link[1] == v for k, v in told)}
    if show:
        for keys, value in told:
            mark = "ok " if (keys, value) in right else "BAD"
            print(f"  {mark} {[texts[key] for key in keys]} -> {texts[value]}")
        for key, value in sorted(truth - recalled):
            print(f"  MISSED {texts.get(key)} -> {texts.get(value)}")
    return Links(len(told), len(right), len(truth), len(recalled), seconds)


def touched(piece: Piece, boxes: dict[int, Box]) -> list[int]:
    """Returns the truth's lines more than half of which a piece covers, or that cover it so."""
    found = []
    for key, box in boxes.items():
        across = min(piece.box.x1, box.x1) - max(piece.box.x0, box.x0)
        down = min(piece.box.y1, box.y1) - max(piece.box.y0, box.y0)
        least = min(piece.box.width * piece.box.height, box.width * box.height)
        if across > 0 and down > 0 and across * down > 0.5 * least:
            found.append(key)
    return found


def read_sheet(image: Path) -> Sheet:
    """Returns what the shipped readers see on an image."""
    from PIL import Image

    from millrace.tasks.documents.reading.ocr import read_page
    from millrace.tasks.documents.reading.params import ReadParams

    params = ReadParams(languages=("chi_sim", "eng"))
    with Image.open(image) as opened:
        page = read_page(opened.convert("RGB"), number=1, dpi=300, params=params)
    return sheets(Document(image.name, "0" * 64, "image/jpeg", (page,)))[0]


def main(arguments: Sequence[str]) -> None:
    folder = Path(next((one for one in arguments if not one.startswith("-")), FOLDER))
    totals = [0, 0, 0, 0]
    for path in sorted(folder.glob("*.json")):
        entries = json.loads(path.read_text(encoding="utf-8"))
        read = "--read" in arguments
        sheet = read_sheet(path.with_suffix(".jpg")) if read else sheet_of(entries)
        links = measured(entries, sheet, show="--show" in arguments)
        totals = [
            total + more
            for total, more in zip(
                totals, (links.found, links.right, links.true, links.recalled), strict=True
            )
        ]
        print(
            f"{path.stem}: precision {links.precision:.3f} ({links.right}/{links.found}), "
            f"recall {links.recall:.3f} ({links.recalled}/{links.true}), "
            f"{links.seconds * 1000:.1f} ms"
        )
    both = Links(totals[0], totals[1], totals[2], totals[3], 0.0)
    harmonic = 2 * both.precision * both.recall / max(1e-9, both.precision + both.recall)
    print(
        f"all: precision {both.precision:.3f}, recall {both.recall:.3f}, F1 {harmonic:.3f} "
        f"over {both.true} links of {len(list(folder.glob('*.json')))} pages"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
