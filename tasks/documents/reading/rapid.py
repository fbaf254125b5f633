"""Reads pages with rapidocr, the second reader; no other module knows it.

Its models (PP-OCR detection and recognition, Chinese and English) lie inside its wheel; nothing is
ever fetched: a wheel without them is reported as missing. It runs on OpenVINO where that is
installed and on ONNX Runtime elsewhere; OpenVINO takes 0.6 of the time (measured on receipts), and
the version of a reading says which it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rapidocr

from millrace.engine.errors import ToolMissing
from millrace.tasks.documents.pages import Box, Line, Reading, Word
from millrace.tasks.documents.reading.language import is_han
from millrace.tasks.documents.reading.layout import line_of

if TYPE_CHECKING:
    from PIL.Image import Image

MODE = "segments"
_MODELS = ("PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx")
_MARKS = frozenset(",.，。、；;：:）)]】》")  # marks that stay with the word they follow


@dataclass(frozen=True, slots=True)
class Rapid:
    """The second reader: loaded once a process, one page at a time, on `threads` cores.

    A line of its readings is what it calls a segment: words that stand close together. Cells of a
    table row are segments of their own.
    """

    version: str
    engine: Any = field(repr=False)
    busy: threading.Lock = field(repr=False)
    name: str = "rapidocr"

    def read(self, image: Image, *, language: str, mode: str, dpi: float) -> Reading:
        """Returns the segments that it sees on an upright grey image, from top to bottom.

        It knows Chinese and English at once and finds its own scale: `language` and `dpi` change
        nothing.
        """
        del language, dpi
        grey = np.asarray(image)
        began = time.perf_counter()
        with self.busy:  # a session holds the tensors of one page
            seen = self.engine(np.stack((grey, grey, grey), axis=-1))
        lines = tuple(_lines(seen)) if seen.txts else ()
        return Reading(self.name, self.version, mode, lines, time.perf_counter() - began)


@cache
def rapid(threads: int) -> Rapid:
    """Returns the second reader, with so many threads; loading takes a second and 0.2 GB.

    Raises ToolMissing where its models are not installed.
    """
    models = Path(rapidocr.__file__).parent / "models"
    if lacking := [name for name in _MODELS if not (models / name).is_file()]:
        raise ToolMissing(
            f"rapidocr has no model {lacking[0]}",
            hint='install it: pip install "millrace[documents]"',
        )
    runtime = "openvino" if find_spec("openvino") else "onnxruntime"
    engine = rapidocr.RapidOCR(params=_settings(runtime, threads))
    told = f"{version('rapidocr')} {Path(_MODELS[1]).stem} {runtime} {version(runtime)}"
    return Rapid(told, engine, threading.Lock())


def _settings(runtime: str, threads: int) -> dict[str, Any]:
    kind = rapidocr.EngineType(runtime)
    return {
        "Global.log_level": "critical",
        "Global.use_cls": False,  # pages come upright
        "Global.return_word_box": True,
        "Global.return_single_char_box": True,
        # Larger pages are made so small for finding text only; it is read at full size. Measured
        # against the default: 0.8 of the time, 0.65 of the memory, and no text was lost.
        "Det.limit_type": "max",
        "Det.limit_side_len": 1280,
        "Det.engine_type": kind,
        "Rec.engine_type": kind,
        "Cls.engine_type": kind,
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "EngineConfig.openvino.inference_num_threads": threads,
    }


def _lines(seen: Any) -> Iterator[Line]:
    for text, score, quad, letters in zip(
        seen.txts, seen.scores, seen.boxes, seen.word_results, strict=True
    ):
        around = _upright(quad)
        if words := list(_words(str(text), float(score), around, letters)):
            yield line_of(words)


def _words(text: str, score: float, around: Box, letters: Sequence[Any]) -> Iterator[Word]:
    """Splits a segment at its spaces, and a Han text into its characters.

    Letters come without the spaces, their scores with them: the nth score is of the nth character
    of the text, and the last few have none.
    """
    boxes = [_upright(box) for _, _, box in letters]
    scores = [float(found) for _, found, _ in letters]
    if len(boxes) != sum(not char.isspace() for char in text):
        boxes = []
    run: list[tuple[str, float, Box]] = []
    at = 0
    for index, char in enumerate(text):
        if char.isspace():
            yield from _word(run, around)
            run = []
            continue
        box = boxes[at] if boxes else around
        at += 1
        if run and (is_han(char) or is_han(run[-1][0])) and char not in _MARKS:
            yield from _word(run, around)
            run = []
        run.append((char, scores[index] if index < len(scores) else score, box))
    yield from _word(run, around)


def _word(run: Sequence[tuple[str, float, Box]], around: Box) -> Iterator[Word]:
    if run:
        box = Box(
            min(box.x0 for _, _, box in run), around.y0, max(box.x1 for _, _, box in run), around.y1
        )
        yield Word("".join(c for c, _, _ in run), box, sum(s for _, s, _ in run) / len(run))


def _upright(quad: Any) -> Box:
    points = np.asarray(quad, dtype=float)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return Box(round(float(x0), 2), round(float(y0), 2), round(float(x1), 2), round(float(y1), 2))
