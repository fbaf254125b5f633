"""Tells the language of a text, and where its script wants spaces."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HAN = r"\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_HAN_MARKS = r"\u3000-\u3004\u3008-\u303f\uff00-\uffef"
_HAN_LETTER = re.compile(f"[{_HAN}]")
_NO_SPACE = re.compile(f"(?<=[{_HAN}{_HAN_MARKS}]) +(?=[{_HAN}{_HAN_MARKS}])")

_HAN_ENOUGH = 0.2  # of the letters; English names and units stand in most Chinese pages
_WORDS_ENOUGH = 3
# The commonest words of running text that no other of these languages has.
_ENGLISH = "the of and to is that it was for with as his be at by this have from"
_GERMAN = (
    "der die und das den von zu mit sich des ist im dem nicht ein eine auf für als auch wir sie "
    "bei oder nach zur zum wird sind"
)
_FRENCH = (
    "le la les et des du un une est dans que qui pour pas au sur ce il avec sont par aux nous "
    "vous ou leur cette"
)
_COMMON = {
    "eng": frozenset(_ENGLISH.split()),
    "deu": frozenset(_GERMAN.split()),
    "fra": frozenset(_FRENCH.split()),
}


def is_han(char: str) -> bool:
    """Whether a character is a Han character; the marks between them are not."""
    return _HAN_LETTER.match(char) is not None


def han_share(text: str) -> float:
    """Returns the share of Han characters among letters and Han characters, 0 for none."""
    letters = sum(char.isalpha() for char in text)
    return len(_HAN_LETTER.findall(text)) / letters if letters else 0.0


def spaced(words: Sequence[str]) -> str:
    """Returns words as a line: a space between, but none between Han characters."""
    return _NO_SPACE.sub("", " ".join(words))


def language_of(text: str) -> str:
    """Returns the language of a text by its Tesseract name, "" where it has too little to tell.

    Han characters make Chinese; of the others, the language most of whose commonest words occur.
    """
    if han_share(text) > _HAN_ENOUGH:
        return "chi_sim"
    words = [word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) < 6]
    found = {name: sum(word in common for word in words) for name, common in _COMMON.items()}
    name, most = max(found.items(), key=lambda one: one[1])
    others = sum(found.values()) - most
    return name if most >= _WORDS_ENOUGH and most > 2 * others else ""
