"""Decides what is believed where two readers saw the same page.

The second reader's segments are the frame: it finds more of a page's text than the first, and reads
it better. In each segment the first reader's words at that place are its witnesses: the same text
is evidence for both, another text is weighed by confidence. What only the first reader saw is
taken where it is sure of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from millrace.tasks.documents.pages import Box, Line, Word
from millrace.tasks.documents.reading.layout import line_of, same_row, shared

# How far a confidence is to be trusted, by reader, measured on the words of receipts: see the
# figures in docs/documents-reading.md.
FIRST_WEIGHT = 0.8
SECOND_WEIGHT = 1.0
_ALONE = 0.7  # how sure the first reader must be of a word that only it saw
_ALONE_LETTER = 0.95  # the same of a single letter, which may be a tick or a rule
_INSIDE = 0.5  # share of a word's width that lies in a segment


@dataclass(frozen=True, slots=True)
class Fused:
    """Segments that are believed, and the share of their letters that both readers agree on."""

    segments: tuple[Line, ...]
    agreement: float


def fuse(first: Sequence[Line], second: Sequence[Line]) -> Fused:
    """Returns what is believed of a page that `first` and `second` saw: segments, not in order."""
    witnesses = _Witnesses(word for line in first for word in line.words)
    segments: list[Line] = []
    agreed = letters = 0
    for segment in second:
        beside = witnesses.at(segment.box)
        believed = _weighed(segment, beside)
        length = len(_plain(believed.text))
        letters += length
        agreed += length if _plain(segment.text) == _plain(_text(beside)) else 0
        segments.append(believed)
    for word in witnesses.left():
        if _stands_alone(word, second):
            segments.append(line_of([word]))
            letters += len(_plain(word.text))
    return Fused(tuple(segments), agreed / letters if letters else 0.0)


class _Witnesses:
    """The first reader's words, by place; remembers which were asked for."""

    def __init__(self, words: Iterable[Word]) -> None:
        self._words = sorted(words, key=lambda word: word.box.y0)
        self._tops = [word.box.y0 for word in self._words]
        self._tallest = max((word.box.height for word in self._words), default=0.0)
        self._asked: set[int] = set()

    def at(self, box: Box) -> list[Word]:
        """Returns the words in a box, from left to right."""
        low = bisect_left(self._tops, box.y0 - self._tallest)
        high = bisect_left(self._tops, box.y1)
        found = []
        for index in range(low, high):
            word = self._words[index]
            if same_row(word.box, box) and shared(_across(word.box), _across(box)) > _INSIDE:
                found.append(word)
                self._asked.add(index)
        return sorted(found, key=lambda word: word.box.x0)

    def left(self) -> list[Word]:
        """Returns the words nobody asked for."""
        return [word for index, word in enumerate(self._words) if index not in self._asked]


def _stands_alone(word: Word, second: Sequence[Line]) -> bool:
    """Whether a word that only the first reader saw is one: no mark taken for a letter, and not
    where the second reader saw something else."""
    letters = len(_plain(word.text))
    if letters == 0 or word.confidence < (_ALONE if letters > 1 else _ALONE_LETTER):
        return False
    x, y = (word.box.x0 + word.box.x1) / 2, (word.box.y0 + word.box.y1) / 2
    boxes = (segment.box for segment in second)
    return not any(b.x0 <= x <= b.x1 and b.y0 <= y <= b.y1 for b in boxes)


def _weighed(segment: Line, beside: Sequence[Word]) -> Line:
    """Returns a segment with each word weighed against what the first reader saw there."""
    if not beside:
        return segment
    return line_of([_word(word, beside) for word in segment.words])


def _word(word: Word, beside: Sequence[Word]) -> Word:
    near = [other for other in beside if shared(_across(other.box), _across(word.box)) > _INSIDE]
    if not near:
        return word
    if not _plain(word.text):
        return word  # boxes and ticks, which the first reader takes for letters
    text, sure = _text(near), min(other.confidence for other in near)
    if _plain(text) == _plain(word.text):
        return replace(word, confidence=1 - (1 - sure * FIRST_WEIGHT) * (1 - word.confidence))
    if sure * FIRST_WEIGHT > word.confidence * SECOND_WEIGHT and len(near) == 1:
        return replace(near[0], confidence=sure * FIRST_WEIGHT)
    return word


def _text(words: Iterable[Word]) -> str:
    return "".join(word.text for word in words)


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _across(box: Box) -> tuple[float, float]:
    return box.x0, box.x1
