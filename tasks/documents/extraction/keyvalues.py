"""Keys and their values, linked by where they stand: after a colon, to the right, below.

Costs are in heights of the line, so that they hold at any resolution. Weights were set by eye on
four Chinese forms and on forms made for the tests; `benchmarks/chinese_links.py` measures them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.extraction.keyness import is_option, keyness, plain, stacked
from millrace.tasks.documents.extraction.pieces import HAN, Piece, pieces

SURE = 0.8
"""From this keyness on a piece is a key by itself."""
MOST_ACROSS = 22.0
"""A value stands no further to the right of its key than so many heights."""
MOST_BELOW = 3.2
MOST_PIECES = 900
"""Of a page; more are a page of print, not a form."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and its value. The value's pieces are in reading order; a key may have several lines.

    `how` is "colon", "right" or "below"; `score`, 0 to 1, a careful guess.
    """

    key: str
    keys: tuple[Piece, ...]
    values: tuple[Piece, ...]
    how: str
    score: float

    @property
    def value(self) -> str:
        """The value as one text: of check boxes those that are ticked."""
        return value_of([piece.text for piece in self.values])


_TICKED = ("☑", "☒", "■", "✓", "✔", "√", "●", "◉", "[x]", "[X]", "[✓]", "(x)", "(X)")
_BOXES = ("□", "☐", "▢", "○", "◯", "⬜", "[ ]", "[]")


def value_of(texts: Sequence[str]) -> str:
    """Returns the value that texts make together; where there are check boxes, those ticked."""
    if any(text.startswith((*_TICKED, *_BOXES)) for text in texts):
        ticked = [text for text in texts if text.startswith(_TICKED)]
        return "; ".join(text.lstrip("".join(_TICKED)).strip() for text in ticked)
    return ("" if HAN.search("".join(texts)) else " ").join(texts)


def pairs(sheet: Sheet, known: Collection[str] = ()) -> tuple[Pair, ...]:
    """Returns the keys of a sheet that have a value, in reading order of the keys.

    `known` are keys to expect beside the usual ones, in the form of `keyness.plain`.
    """
    found: list[Pair] = []
    pages: dict[int, list[Piece]] = {}
    for piece in pieces(sheet):
        pages.setdefault(piece.page, []).append(piece)
    for _, listed in sorted(pages.items()):
        found += _on_page(listed[:MOST_PIECES], known)
    return tuple(sorted(found, key=lambda pair: pair.keys[0].start))


@dataclass(frozen=True, slots=True)
class _Key:
    pieces: tuple[Piece, ...]
    keyness: float

    @property
    def whole(self) -> Piece:
        first, *rest = self.pieces
        box = first.box
        for other in rest:
            box = box.joined(other.box)
        return replace(first, box=box, keyed=any(piece.keyed for piece in self.pieces))

    @property
    def text(self) -> str:
        return value_of([piece.text for piece in self.pieces])


def _on_page(listed: Sequence[Piece], known: Collection[str]) -> Iterable[Pair]:
    scores = [keyness(piece, known) for piece in listed]
    for number in stacked(listed, scores):
        scores[number] = SURE
    keys, used = _keys(listed, scores)
    wholes = [key.whole for key in keys]
    links: dict[int, list[tuple[Piece, str, float]]] = {}
    for number, piece in enumerate(listed):
        if number in used:
            continue
        best = _best(piece, wholes)
        if best:
            links.setdefault(best[1], []).append((piece, best[2], best[0]))
    for at, other in _demoted(keys, wholes, links):
        links[at] = [(wholes[other], "right", 4.0)]
    for at, linked in sorted(links.items()):
        kept = _kept(linked)
        how, cost = kept[0][1], kept[0][2]
        values = tuple(sorted((piece for piece, *_ in kept), key=lambda piece: piece.start))
        score = keys[at].keyness * max(0.3, 1.0 - 0.04 * cost) * (0.85 if how == "below" else 1.0)
        yield Pair(keys[at].text, keys[at].pieces, values, how, round(min(score, 0.9), 4))


def _best(piece: Piece, keys: Sequence[Piece]) -> tuple[float, int, str] | None:
    """Returns what the cheapest key costs, its number and where it stands from the value."""
    reach = 4 * piece.height
    near = [
        at
        for at, key in enumerate(keys)
        if key.box.y0 - reach <= piece.box.y1
        and piece.box.y0 <= key.box.y1 + max(reach, 4 * key.height)
    ]
    rivals = [keys[at] for at in near]
    found = [(cost, at, how) for at in near for cost, how in _costs(keys[at], piece, rivals)]
    return min(found, default=None)


def _demoted(
    keys: Sequence[_Key],
    wholes: Sequence[Piece],
    links: Mapping[int, list[tuple[Piece, str, float]]],
) -> list[tuple[int, int]]:
    """Returns keys without a value, each with the one to its right that is its value after all:
    words that look like a key only by how they end, and that have no value either."""
    found: list[tuple[int, int]] = []
    empty = [at for at in range(len(keys)) if at not in links]
    taken: set[int] = set()
    for at in empty:
        right = [
            (cost, other)
            for other in empty
            if other != at and len(keys[other].pieces) == 1 and not wholes[other].keyed
            for cost, how in _costs(wholes[at], wholes[other], wholes)
            if how == "right" and keys[other].keyness < 0.9 and cost <= 1.6
        ]
        if right and at not in taken:
            other = min(right)[1]
            taken.add(other)
            found.append((at, other))
    return found


def _keys(listed: Sequence[Piece], scores: Sequence[float]) -> tuple[list[_Key], set[int]]:
    """Returns the keys, those of two lines joined, and the pieces that they take."""
    keys: list[_Key] = []
    used: set[int] = set()
    for number, piece in enumerate(listed):
        if number in used or scores[number] < SURE:
            continue
        used.add(number)
        run = [piece]
        for other, above in enumerate(listed):
            if other not in used and 0.1 < scores[other] < SURE and _begins(above, piece):
                run.insert(0, above)
                used.add(other)
                break
        for other, below in enumerate(listed):
            if other in used or run[-1].keyed or below.box.y0 > run[-1].box.y1 + below.height:
                continue
            if _continues(run[-1], below) or (
                0.1 < scores[other] < SURE
                and _begins(run[-1], below)
                and _answered(below, listed, scores)
            ):
                run.append(below)
                used.add(other)
        keys.append(_Key(tuple(run), scores[number]))
    return keys, used


def _continues(above: Piece, below: Piece) -> bool:
    """Says whether a line goes on with the key above it: close below, in the middle or flush."""
    text = below.text
    if above.page != below.page or len(text) > 16 or is_option(text):
        return False
    gap = below.box.y0 - above.box.y1
    height = min(above.height, below.height)
    if not -0.3 * height <= gap <= 0.45 * height:
        return False
    centred = abs((above.box.x0 + above.box.x1) - (below.box.x0 + below.box.x1)) <= 0.8 * height
    flush = abs(above.box.x0 - below.box.x0) <= 0.3 * height
    opened = sum(above.text.count(mark) for mark in "(\uff08")
    closed = sum(above.text.count(mark) for mark in ")\uff09")
    if opened > closed and text[-1:] in ")\uff09":
        return True
    bracket = text[:1] in "(\uff08" and text[-1:] in ")\uff09"
    tail = plain(text) in ("意见", "时间", "部门", "院系", "姓名", "日期", "名称", "情况")
    return (centred or flush) and (bracket or tail)


def _answered(line: Piece, listed: Sequence[Piece], scores: Sequence[float]) -> bool:
    """Says whether the next piece to the right of a line is something else than a key."""
    right = [
        (other.box.x0, scores[number])
        for number, other in enumerate(listed)
        if other.box.x0 >= line.box.x1 and abs(other.middle - line.middle) < 1.3 * line.height
    ]
    return bool(right) and min(right)[1] < SURE


def _begins(above: Piece, key: Piece) -> bool:
    """Says whether a line is the first of a key of two lines: Han, tight above it, in the middle
    or flush; values stand further away, since a rule is between."""
    height = min(above.height, key.height)
    gap = (key.box.y0 - above.box.y1) / height
    centred = abs((above.box.x0 + above.box.x1) - (key.box.x0 + key.box.x1)) <= 0.8 * height
    flush = abs(above.box.x0 - key.box.x0) <= 0.3 * height
    han = bool(HAN.search(above.text) and HAN.search(key.text))
    return han and -0.3 <= gap <= 0.3 and (centred or flush) and len(above.text) <= 8


def _costs(key: Piece, value: Piece, keys: Sequence[Piece]) -> Iterable[tuple[float, str]]:
    """Yields what it costs to take a piece as the value of a key, where it can be at all."""
    if key.page != value.page:
        return
    height = max(min(key.height, 1.6 * value.height), value.height)
    gap = (value.box.x0 - key.box.x1) / height
    off = max(0.0, abs(value.middle - key.middle) - max(0.0, key.height - value.height) / 2)
    off /= height
    upright = key.height > 3 * key.box.width
    if -0.5 <= gap <= MOST_ACROSS and off <= (3.0 if upright else 1.45):
        between = sum(1 for other in keys if _between(key, other, value))
        if not between:
            same_line = value.after_colon and off < 0.2 and gap < 2
            yield (0.0 if same_line else 0.1 * max(gap, 0.0) + 2.2 * off * off), "right"
    below = (value.box.y0 - key.box.y1) / height
    flush = abs(value.box.x0 - key.box.x0) / height
    common = min(key.box.x1, value.box.x1) - max(key.box.x0, value.box.x0)
    if -0.25 <= below <= MOST_BELOW and (flush <= 1.0 or common > 0.4 * value.box.width):
        yield 1.2 + 0.9 * max(below, 0.0) + 0.15 * flush, "below"


def _between(key: Piece, other: Piece, value: Piece) -> bool:
    """Says whether another key stands on the way from a key to a value on its right."""
    if other is key or other.page != key.page:
        return False
    between = key.box.x1 <= other.box.x0 + 1 and other.box.x1 <= value.box.x0 + value.height * 0.5
    return between and abs(other.middle - value.middle) < 1.0 * max(other.height, value.height)


def _kept(linked: list[tuple[Piece, str, float]]) -> list[tuple[Piece, str, float]]:
    """Returns the value's pieces: the nearest, with it further options and lines that go on."""
    ordered = sorted(linked, key=lambda one: one[2])
    first = ordered[0]
    options = [one for one in ordered if is_option(one[0].text)]
    if is_option(first[0].text) or len(options) > 1:
        return [one for one in ordered if one in options or one[1] == "right"]
    kept = [first]
    rest = [one for one in ordered[1:] if one[1] == first[1] and not is_option(one[0].text)]
    while more := [one for one in rest if any(_adjoin(one[0], other[0]) for other in kept)]:
        kept += more
        rest = [one for one in rest if one not in more]
    return kept


def _adjoin(one: Piece, other: Piece) -> bool:
    """Says whether two pieces are lines of one text: close, one below the other, and flush."""
    upper, lower = sorted((one, other), key=lambda piece: piece.box.y0)
    gap = (lower.box.y0 - upper.box.y1) / upper.height
    return -0.4 <= gap <= 0.9 and abs(one.box.x0 - other.box.x0) <= 2.5 * upper.height
