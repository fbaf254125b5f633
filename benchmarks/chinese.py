"""Reads the Chinese form pages and compares with their true lines.

    python benchmarks/chinese.py [--data FOLDER] [--speed balanced]

A true line is right when the characters read within its box, in reading order, are its text; spaces
and the width of marks ("（" or "(") are ignored. Character recall counts the true
characters found within the box of their line.
Needs `chinese_forms/` of the real data. The limits are for the shipped default: 95 % of the
characters, 85 % of the lines.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

from _bench import ROOT
from PIL import Image

from millrace.tasks.documents.pages import Line
from millrace.tasks.documents.reading.ocr import read_page
from millrace.tasks.documents.reading.params import ReadParams


def within(lines: tuple[Line, ...], points: Any) -> str:
    """Returns the characters of the words whose middle lies in a quadrangle's box,
    in reading order."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    words = (
        word.text
        for line in lines
        for word in line.words
        if min(xs) <= (word.box.x0 + word.box.x1) / 2 <= max(xs)
        and min(ys) <= (word.box.y0 + word.box.y1) / 2 <= max(ys)
    )
    return written("".join(words))


def written(text: str) -> str:
    """Returns a text without spaces, marks of full width as those of half width (NFKC): the truth
    has both, for the same marks on the page."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def main() -> None:
    """Prints a line per page and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--speed", default="balanced", choices=("fast", "balanced", "thorough"))
    arguments = parser.parse_args()
    params = ReadParams(speed=arguments.speed)
    print(f"{arguments.speed}, load {os.getloadavg()[0]:.1f}")
    right = lines = found = characters = 0
    for path in sorted((arguments.data / "chinese_forms").glob("*.jpg")):
        began = time.perf_counter()
        with Image.open(path) as image:
            page = read_page(image, number=1, dpi=300, params=params)
        seconds = time.perf_counter() - began
        good = 0
        truth = json.loads(path.with_suffix(".json").read_text())
        for line in truth:
            wanted = written(line["transcription"])
            read = within(page.lines, line["points"])
            good += wanted == read
            found += sum((Counter(wanted) & Counter(read)).values())
            characters += len(wanted)
        right, lines = right + good, lines + len(truth)
        print(f"{path.stem}: {page.language}, {good} of {len(truth)} lines, {seconds:.1f} s")
    print(f"characters found {found / characters:.1%} (at least 95 %)")
    print(f"lines right      {right / lines:.1%} (at least 85 %)")


if __name__ == "__main__":
    main()
