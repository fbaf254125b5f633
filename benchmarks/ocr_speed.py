"""Reads pages beside the bare tools on the same cores and prints pages a minute and accuracy.

    python benchmarks/ocr_speed.py [--data FOLDER] [--rounds 2] [--ocrmypdf PATH] [--pages 500]

Rows, in turns so that another load on the machine hits all of them:

- receipts, first pass (`fast`) against bare `tesseract` processes, OMP_THREAD_LIMIT=1, as many as
  there are cores, the same page segmentation, TSV output. At least 0.95 of it, and 200 a minute on
  two idle cores.
- receipts, the shipped default: pages a minute, and from the same run the F1 of words, the
  character error rate and the share of true field values that stand in the text.
- `forms_40p.pdf` (with `--ocrmypdf`): a `documents.read` session per core with a searchable PDF
  asked for, against `ocrmypdf --jobs CORES --force-ocr --output-type pdf` on the same file.
- with `--pages`: peak memory of a reader after 50 pages and after that many.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from _bench import ROOT
from _ocr import character_errors, mean, plain, receipt_fields, receipt_truth, word_f1
from PIL import Image

from millrace.tasks.documents.pages import Document, Page
from millrace.tasks.documents.reading import searchable
from millrace.tasks.documents.reading.pageview import Opened
from millrace.tasks.documents.reading.params import ReadParams, Speed

RECEIPT_DPI = 150.0


def read_receipt(path: Path, speed: Speed) -> Page:
    """Returns a receipt as `documents.read` reads it."""
    from millrace.tasks.documents.reading.ocr import read_page

    with Image.open(path) as image:
        return read_page(image, number=1, dpi=RECEIPT_DPI, params=ReadParams(speed=speed))


def read_form(path: Path, speed: Speed, number: int) -> Page:
    """Returns a page of a PDF, rendered and read."""
    opened = Opened(path, "application/pdf", path.name, ())
    try:
        return opened.read(number, ReadParams(speed=speed, layers="ignore"))
    finally:
        opened.close()


def bare(path: Path) -> None:
    """Runs Tesseract alone, as the first pass does: English, one block, words as TSV."""
    subprocess.run(
        [
            "tesseract",
            path,
            "stdout",
            "--psm",
            "6",
            "--oem",
            "1",
            "--dpi",
            "150",
            "-l",
            "eng",
            "tsv",
        ],
        env=os.environ | {"OMP_THREAD_LIMIT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Returns how many seconds something took, and its result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def told(what: str, pages: int, seconds: float, note: str = "") -> None:
    """Prints a row."""
    load = os.getloadavg()[0]
    print(f"{what:44}{60 * pages / seconds:8.0f} pages/min   load {load:4.1f}   {note}", flush=True)


def receipts(data: Path, pool: ProcessPoolExecutor, cores: int, rounds: int) -> None:
    """Prints the rows of the receipts."""
    paths = sorted((data / "receipts/img").glob("*.jpg"))
    spent = {"bare": 0.0, "fast": 0.0}
    fast: list[Page] = []
    for _ in range(rounds):
        with ThreadPoolExecutor(cores) as threads:
            seconds, _done = timed(lambda: list(threads.map(bare, paths)))
        spent["bare"] += seconds
        seconds, fast = timed(lambda: list(pool.map(partial(read_receipt, speed="fast"), paths)))
        spent["fast"] += seconds
    many = rounds * len(paths)
    told("receipts, bare tesseract --psm 6", many, spent["bare"])
    ratio = f"{spent['bare'] / spent['fast']:.2f} of bare (at least 0.95); "
    told("receipts, fast", many, spent["fast"], ratio + accuracy(data, paths, fast))
    seconds, pages = timed(lambda: list(pool.map(partial(read_receipt, speed="balanced"), paths)))
    told("receipts, the shipped default", len(paths), seconds, accuracy(data, paths, pages))


def accuracy(data: Path, paths: Sequence[Path], pages: Sequence[Page]) -> str:
    """Returns how right the text of receipts is."""
    truths = [receipt_truth(data, path.stem) for path in paths]
    f1 = mean(word_f1(truth, page.text) for truth, page in zip(truths, pages, strict=True))
    cer = mean(
        character_errors(truth, page.text) for truth, page in zip(truths, pages, strict=True)
    )
    found = mean(
        float(plain(value) in plain(page.text))
        for path, page in zip(paths, pages, strict=True)
        for value in receipt_fields(data, path.stem)
    )
    return f"word F1 {f1:.1%}, CER {cer:.1%}, field values found {found:.1%}"


def to_searchable(
    pool: ProcessPoolExecutor, path: Path, speed: Speed, pages: int, out: Path
) -> None:
    """Reads a PDF's pages and writes them as a searchable PDF."""
    read = tuple(pool.map(partial(read_form, path, speed), range(1, pages + 1)))
    searchable.write(Document(path.name, "0" * 64, "application/pdf", read), path, (), out)


def forms(data: Path, pool: ProcessPoolExecutor, cores: int, ocrmypdf: Path, pages: int) -> None:
    """Prints the rows of the form pages, ours with the searchable PDF written."""
    path = data / "scans/forms_40p.pdf"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.pdf"
        command = [ocrmypdf, "--jobs", str(cores), "--force-ocr", "--output-type", "pdf", path, out]
        environment = os.environ | {"PATH": f"{ocrmypdf.parent}:{os.environ['PATH']}"}
        theirs, _done = timed(
            lambda: subprocess.run(command, env=environment, check=True, capture_output=True)
        )
        told("forms_40p.pdf, OCRmyPDF", pages, theirs)
        speeds: tuple[Speed, ...] = ("fast", "balanced")
        for speed in speeds:
            seconds, _nothing = timed(partial(to_searchable, pool, path, speed, pages, out))
            told(f"forms_40p.pdf, {speed}", pages, seconds, f"{theirs / seconds:.2f} of OCRmyPDF")


def memory(data: Path, pages: int) -> None:
    """Prints the peak memory of a reader that goes on and on."""
    paths = sorted((data / "receipts/img").glob("*.jpg"))
    peaks = []
    for number in range(pages):
        read_receipt(paths[number % len(paths)], "balanced")
        if number + 1 in (50, pages):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"peak of a reader after 50 pages {peaks[0]:.0f} MB, after {pages} {peaks[-1]:.0f} MB")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ocrmypdf", type=Path)
    parser.add_argument("--form-pages", type=int, default=40)
    parser.add_argument("--pages", type=int, default=0)
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    spawn = multiprocessing.get_context("spawn")
    warm = arguments.data / "receipts/img/611.jpg"
    with ProcessPoolExecutor(cores, mp_context=spawn) as pool:
        list(pool.map(partial(read_receipt, speed="balanced"), [warm] * 2 * cores))
        receipts(arguments.data, pool, cores, arguments.rounds)
        if arguments.ocrmypdf:
            forms(arguments.data, pool, cores, arguments.ocrmypdf, arguments.form_pages)
    if arguments.pages:
        memory(arguments.data, arguments.pages)


if __name__ == "__main__":
    main()
