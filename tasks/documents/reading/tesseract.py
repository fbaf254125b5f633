"""Reads pages with Tesseract 5 through pytesseract; no other module knows either.

One process a page, each with one thread: `OMP_THREAD_LIMIT=1` and one process a core read 220
receipts a minute on two cores, processes with threads of their own 28 to 36 (measured). The image
goes to the process as an uncompressed PGM in memory (`/dev/shm`) or in the folder for temporary
files; pytesseract's own way would compress a PNG first.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytesseract

from millrace.engine.errors import BadInput, ItemError, ToolMissing
from millrace.tasks.documents.pages import Box, Reading, Word
from millrace.tasks.documents.reading.layout import Piece, lines_of

if TYPE_CHECKING:
    from PIL.Image import Image

_THREADS = "OMP_THREAD_LIMIT"
_PACKAGES = {"chi_sim": "tesseract-ocr-chi-sim"}
_COLUMNS = 12  # of a row of Tesseract's TSV
_MEMORY = Path("/dev/shm")  # noqa: S108 - memory; the file names in it are random


@dataclass(frozen=True, slots=True)
class Turn:
    """What Tesseract's detection says of a page: by how many degrees clockwise to turn it to be
    upright, its script, and how sure it is of either (its own scale; above 2 is rather sure)."""

    rotation: int
    sure: float
    script: str
    script_sure: float


@dataclass(frozen=True, slots=True)
class Tesseract:
    """The first reader. `seconds` bounds one pass."""

    version: str
    languages: frozenset[str]
    seconds: float = 50.0
    name: str = "tesseract"

    def read(self, image: Image, *, language: str, mode: str, dpi: float) -> Reading:
        """Returns what one pass over a grey image sees, lines merged and in Tesseract's order.

        `mode` is a page segmentation: "psm 3", "psm 6", … `language` may join several by "+".
        Raises ToolMissing for a language that is not installed, ItemError (`too_slow`) for a pass
        that takes longer than `seconds`, BadInput (`damaged`) where Tesseract refuses the image.
        """
        self._check(language)
        began = time.perf_counter()
        with _kept(image) as path:
            table = self._run(path, language, f"--{mode} --oem 1 --dpi {round(dpi)}")
        lines = lines_of(pieces(table))
        return Reading(self.name, self.version, mode, lines, time.perf_counter() - began)

    def turn(self, image: Image, *, dpi: float) -> Turn | None:
        """Returns how a page is turned, or None where it has too few letters to tell."""
        with _kept(image) as path:
            try:
                told = pytesseract.image_to_osd(
                    str(path), config=f"--dpi {round(dpi)}", timeout=self.seconds
                )
            except (pytesseract.TesseractError, RuntimeError):
                return None
        found = dict(re.findall(r"^(.+?): (\S+)\s*$", told, re.MULTILINE))
        return Turn(
            int(found["Rotate"]),
            float(found["Orientation confidence"]),
            found["Script"],
            float(found["Script confidence"]),
        )

    def _run(self, path: Path, language: str, config: str) -> str:
        try:
            return str(
                pytesseract.image_to_data(
                    str(path), lang=language, config=config, timeout=self.seconds
                )
            )
        except pytesseract.TesseractError as error:
            raise BadInput("damaged", f"Tesseract refused the page: {error.message}") from error
        except RuntimeError as error:
            raise ItemError(
                "too_slow", f"Tesseract took longer than {self.seconds:g} s for a page"
            ) from error

    def _check(self, language: str) -> None:
        for name in language.split("+"):
            if name not in self.languages:
                package = _PACKAGES.get(name, f"tesseract-ocr-{name}")
                raise ToolMissing(
                    f"Tesseract has no data for the language {name}",
                    hint=f"install it: apt-get install {package}",
                )


@cache
def tesseract(seconds: float = 50.0) -> Tesseract:
    """Returns the installed Tesseract. Raises ToolMissing where there is none."""
    # pytesseract hands the environment of this process on, there is no other way in.
    os.environ[_THREADS] = "1"
    try:
        version = str(pytesseract.get_tesseract_version())
        languages = frozenset(map(str, pytesseract.get_languages()))
    except pytesseract.TesseractNotFoundError as error:
        raise ToolMissing(
            "Tesseract is not installed", hint="install it: apt-get install tesseract-ocr"
        ) from error
    return Tesseract(version, languages, seconds)


def pieces(table: str) -> Iterator[Piece]:
    """Yields the words of Tesseract's TSV with the block, paragraph and line they stand in."""
    for row in table.splitlines()[1:]:
        cells = row.split("\t", _COLUMNS - 1)
        if len(cells) < _COLUMNS or cells[0] != "5" or not cells[11].strip():
            continue
        left, top, width, height = map(int, cells[6:10])
        word = Word(
            cells[11].strip(),
            Box(left, top, left + width, top + height),
            max(0.0, float(cells[10])) / 100,
        )
        yield Piece(word, tuple(map(int, cells[2:5])))


@contextmanager
def _kept(image: Image) -> Iterator[Path]:
    folder = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.NamedTemporaryFile(
        prefix=f"millrace-{os.getpid()}-", suffix=".pgm", dir=folder
    ) as file:
        image.save(file, format="PPM")
        file.flush()
        yield Path(file.name)


def mode(segmentation: int) -> str:
    """Returns the name of a page segmentation as a mode: "psm 6"."""
    return f"psm {segmentation}"


__all__: Sequence[str] = ["Tesseract", "Turn", "mode", "pieces", "tesseract"]
