"""Tells the language of a text, and where its script wants spaces."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HAN = r"\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_HAN_MARKS = r"\u3000-\u3004\u3008-\u303f\uff00-\uffef"
_HAN_LETTER = re.compile(f"[{_HAN}]")
_NO_SPACE = re.compile(f"(?<=[{_HAN}{_HAN_MARKS}]) +(?=[{_HAN}{_HAN_MARKS}])")


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
