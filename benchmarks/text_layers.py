"""Measures how many pages of trusted text layers a minute are read, and whether memory stays flat.

    python benchmarks/text_layers.py PDF … [--pages 2000] [--rate 20000]

The PDFs' pages are repeated into a document of that many pages; it is read by one child process a
core, JSON included, as `documents.read` does. Pages that need OCR are an error: give others.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pikepdf
import psutil

from millrace.tasks.documents import page_json
from millrace.tasks.documents.reading import opening
from millrace.tasks.documents.reading.isolation import Reader, Source
from millrace.tasks.documents.reading.params import ReadParams

EARLY, LATE, GROWTH = 50, 500, 0.2


def main() -> None:
    """Prints measured figures against their limits; exits with 1 where one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pdfs", type=Path, nargs="+")
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=20_000, help="pages a minute, the limit")
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        source = Source(
            repeated(asked.pdfs, asked.pages, Path(folder) / "a.pdf"), opening.PDF, "a.pdf"
        )
        rate, words = measured(source, asked.pages, cores, Path(folder))
        early, late = memory(source, min(asked.pages, LATE), Path(folder))
    fast = rate >= asked.rate
    flat = late <= early * (1 + GROWTH)
    print(f"{asked.pages} pages of {words / asked.pages:.0f} words, {cores} cores")
    print(f"pages a minute: {rate:,.0f}, limit {asked.rate:,.0f}: {'met' if fast else 'MISSED'}")
    print(
        f"memory of a child after {EARLY} pages {early >> 20} MiB, after {LATE} {late >> 20} MiB, "
        f"limit +{GROWTH:.0%}: {'met' if flat else 'MISSED'}"
    )
    sys.exit(not (fast and flat))


def repeated(pdfs: list[Path], count: int, to: Path) -> Path:
    """Writes a PDF of the pages of others, over and over."""
    pdf = pikepdf.new()
    sources = [pikepdf.open(path) for path in pdfs]
    found = [page for source in sources for page in source.pages]
    for number in range(count):
        pdf.pages.append(found[number % len(found)])
    pdf.save(to)
    return to


def measured(source: Source, count: int, cores: int, folder: Path) -> tuple[float, int]:
    """Returns pages a minute, start of the children not counted, and how many words there were."""
    readers = [Reader(ReadParams(), folder) for _ in range(cores)]
    for reader in readers:
        list(reader.read(source, 1, 1))
    edges = [count * n // cores for n in range(cores + 1)]
    began = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        parts = list(pool.map(_part, readers, [source] * cores, edges[:-1], edges[1:]))
    whole = page_json.joined([body for body, _ in parts])
    seconds = time.perf_counter() - began
    if page_json.numbers(whole) != list(range(1, count + 1)):
        raise SystemExit("pages are missing")
    for reader in readers:
        reader.close()
    return count / seconds * 60, sum(words for _, words in parts)


def memory(source: Source, count: int, folder: Path) -> tuple[int, int]:
    """Returns the bytes that a child holds after the early pages, and after all of them."""
    with Reader(ReadParams(), folder) as reader:
        early = late = 0
        for answer in reader.read(source, 1, count):
            if answer.number in (EARLY, count):
                (child,) = psutil.Process().children()
                early, late = early or child.memory_info().rss, child.memory_info().rss
    return early, late


def _part(reader: Reader, source: Source, first: int, last: int) -> tuple[bytes, int]:
    answers = list(reader.read(source, first + 1, last))
    wrong = [a for a in answers if a.origin != "text"]
    if wrong:
        raise SystemExit(f"page {wrong[0].number} has no text layer that can be trusted")
    body = page_json.assembled(source.name, "0" * 64, source.media_type, [a.body for a in answers])
    return body, sum(answer.words for answer in answers)


if __name__ == "__main__":
    main()
