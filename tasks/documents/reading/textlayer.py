"""Whether the text that a PDF page brings along can be trusted. Pure.

    trusted   it is taken as it is
    mixed     it is taken, and pictures on the page are read by OCR beside it
    ocr       there is none, or it is broken: the page is read from its picture

A layer that is wrongly distrusted costs a second; one that is wrongly trusted, a wrong fact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from millrace.tasks.documents.pages import Box, Line, Word
from millrace.tasks.documents.reading.language import spaced
from millrace.tasks.documents.reading.pdf import Drawn, Layer

_HIDDEN = 0.3  # share of words that are not drawn, above which somebody else's OCR is assumed
_UNMAPPED = 0.05
_WRONG = 0.02  # share of characters that stand for nothing
_SPACED = 0.6  # share of words that are a single letter
_SPACED_WORDS = 10
_LETTERS = 60  # from so many on, their vowels are counted
_VOWELS = (0.22, 0.62)  # English, German, French: 0.36 to 0.46
_PICTURE = 0.005  # of the page, the least picture that is read
_PICTURE_POINTS = 8.0  # the least side
_CURVES = 150  # paths on a page of little text: text drawn as curves

_STANDS_FOR_NOTHING = re.compile("[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]")
_MOJIBAKE = re.compile("Ã[\x80-\xbf]|â€|Â[\xa0-\xbf]|ï»¿|Ð[\x80-\xbf]|å[\x80-\xbf]{2}")
_LATIN = re.compile("[A-Za-zÀ-ÖØ-öø-ÿ]")
_VOWEL = re.compile("[AEIOUYaeiouyÀ-ÆÈ-ÏÒ-ÖÙ-Ýà-æè-ïò-öù-ýÿ]")
_ALNUM = re.compile(r"[^\W_]")

Choice = Literal["trusted", "mixed", "ocr"]


@dataclass(frozen=True)
class Verdict:
    """What is done with a page, why, and the regions (points) that are read by OCR beside it."""

    choice: Choice
    reason: str = ""
    regions: tuple[Box, ...] = ()


def judge(layer: Layer, drawn: Drawn, width: float, height: float) -> Verdict:
    """Returns what is done with a page of a text layer and other things drawn."""
    if not layer.words:
        return Verdict("ocr", "no text layer")
    if layer.invisible > _HIDDEN:
        return Verdict("ocr", "its text layer is not what is seen: invisible text")
    if fault := fault_of([word[0] for word in layer.words], layer.unmapped):
        return Verdict("ocr", f"its text layer is broken: {fault}")
    regions = _regions(drawn, width, height)
    if drawn.paths >= _CURVES and drawn.paths > sum(len(word[0]) for word in layer.words):
        regions = (Box(0.0, 0.0, width, height),)
    return Verdict("mixed", "pictures beside text", regions) if regions else Verdict("trusted")


def fault_of(words: Sequence[str], unmapped: float = 0.0) -> str:
    """Returns what is wrong with the text of a layer, "" for nothing."""
    text = " ".join(words)
    size = len(text) - len(words) + 1
    if unmapped > _UNMAPPED:
        return "glyphs without characters"
    wrong = 0 if text.isascii() else len(_STANDS_FOR_NOTHING.findall(text))
    if wrong > _WRONG * size:
        return "characters that stand for nothing"
    if not text.isascii() and 2 * len(_MOJIBAKE.findall(text)) > _WRONG * size:
        return "characters of another encoding"
    if size >= 4 and 2 * len(_ALNUM.findall(text)) < size and not _is_rules(text):
        return "hardly a letter or a digit"
    letters = len(_LATIN.findall(text))
    if len(words) >= _SPACED_WORDS and 2 * letters > size:
        single = sum(len(word) == 1 for word in words)
        if single > _SPACED * len(words):
            return "spaced glyphs"
    if letters >= _LETTERS and 2 * letters > size:
        share = len(_VOWEL.findall(text)) / letters
        if not _VOWELS[0] <= share <= _VOWELS[1]:
            return "letters that make no words"
    return ""


def lines_of(layer: Layer) -> tuple[Line, ...]:
    """Returns a layer's lines in the order of the file, what stands in one row joined."""
    rows: list[list[Word]] = []
    edges = [*layer.lines, len(layer.words)]
    for first, last in pairwise(edges):
        words = [Word(t, Box(x0, y0, x1, y1)) for t, x0, y0, x1, y1 in layer.words[first:last]]
        if not words:
            continue
        if rows and _goes_on(rows[-1][-1].box, words[0].box):
            rows[-1] += words
        else:
            rows.append(words)
    return tuple(_line(row) for row in rows)


def _goes_on(last: Box, first: Box) -> bool:
    """Whether a word stands right of another in its row."""
    common = min(last.y1, first.y1) - max(last.y0, first.y0)
    return first.x0 >= last.x1 and common > 0.5 * min(last.height, first.height)


def _line(words: list[Word]) -> Line:
    x0 = min(word.box.x0 for word in words)
    y0 = min(word.box.y0 for word in words)
    x1 = max(word.box.x1 for word in words)
    y1 = max(word.box.y1 for word in words)
    texts = [word.text for word in words]
    plain = " ".join(texts)
    return Line(plain if plain.isascii() else spaced(texts), Box(x0, y0, x1, y1), tuple(words))


def _is_rules(text: str) -> bool:
    """Whether a text is leaders and rules ("……", "-----"), which are right as they are."""
    marks = [c for c in text if not c.isalnum() and not c.isspace()]
    return bool(marks) and sum(c in "._-=·…*•|" for c in marks) > 0.8 * len(marks)


def _regions(drawn: Drawn, width: float, height: float) -> tuple[Box, ...]:
    """Returns the places of pictures that may hold text, those that touch joined."""
    found: list[Box] = []
    for box, wide, high in drawn.pictures:
        seen = Box(max(box.x0, 0), max(box.y0, 0), min(box.x1, width), min(box.y1, height))
        if min(seen.width, seen.height) < _PICTURE_POINTS or min(wide, high) < 8:
            continue
        if seen.width * seen.height < _PICTURE * width * height:
            continue
        found = _joined(found, seen)
    return tuple(sorted(found, key=lambda b: (b.y0, b.x0)))


def _joined(boxes: list[Box], new: Box) -> list[Box]:
    apart = []
    for box in boxes:
        if box.x0 <= new.x1 and new.x0 <= box.x1 and box.y0 <= new.y1 and new.y0 <= box.y1:
            new = new.joined(box)
        else:
            apart.append(box)
    return [*apart, new]
