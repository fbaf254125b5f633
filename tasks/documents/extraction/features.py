"""Numbers that tell a right candidate from a wrong one, in groups that can be switched off.

`FEATURES` names them in order. What a group needs and does not have (annotations, a gazetteer) is
zero, so that a model trained with it still works without.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from millrace.tasks.documents.extraction.annotations import Annotation
from millrace.tasks.documents.extraction.candidates import Candidate
from millrace.tasks.documents.extraction.gazetteer import Gazetteer, likeness
from millrace.tasks.documents.extraction.lexicon import Lexicon, strongest
from millrace.tasks.documents.extraction.parsing import amounts, canonical
from millrace.tasks.documents.extraction.rows import Layout

GROUPS: Mapping[str, tuple[str, ...]] = {
    "layout": (
        *("top", "bottom", "row", "row_from_end", "rows", "height", "tallest", "left", "width"),
        *("off_centre", "gap_above", "gap_below", "row_segments", "rightmost", "page", "alone"),
        *("even_heights", "even_gaps", "widest"),
    ),
    "shape": (
        *("length", "digits", "upper", "marks", "words", "colon", "at", "marked", "form"),
        *("starts_digit", "ends_mark", "commas", "open_bracket", "bracket", "long_number"),
        *("head_length", "tail_length", "tail_digit", "magnitude", "time_after", "part", "joined"),
        *("dropped", "known_end", "repeats", "ends_stop"),
    ),
    "cues": ("cue_head", "cue_above", "cue_inside", "pattern"),
    "lexicon": (
        *("word_mean", "word_least", "word_most", "first_line", "last_line", "least_line"),
        *("line_before", "line_after", "head_mean", "head_most", "head_least", "above_mean"),
        *("tail_mean", "word_sum", "head_sum", "above_sum"),
    ),
    "gazetteer": (
        *("known", "known_seen", "replaced", "replaced_likeness", "mended", "companion"),
        *("nearest", "nearest_seen"),
    ),
    "voting": (
        *("sheets", "share", "occurrences", "confidence", "least_confidence", "believed"),
        *("rivals", "similar_share"),
    ),
    "arithmetic": (
        *("greatest", "rank", "difference", "sum", "times", "below_greater", "column_sum"),
        *("change", "tax_sum", "last_of_value"),
    ),
    "annotations": ("ruled", "labelled", "listed", "tagged", "tag_score", "tagged_other"),
}
FEATURES: tuple[str, ...] = tuple(name for names in GROUPS.values() for name in names)
_INDEX = {name: index for index, name in enumerate(FEATURES)}
_TIME = re.compile(r"^\W*\d{1,2}\s?:\s?\d\d")
_LONG_NUMBER = re.compile(r"(?<!\d)\d{5}(?!\d)")
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """All that features are taken from: the document's sheets in rows, and what was learnt."""

    layouts: Sequence[Layout]
    lexicon: Lexicon
    gazetteer: Gazetteer
    annotations: Sequence[Sequence[Annotation]] = ()


def masked(groups: Sequence[str]) -> list[int]:
    """Returns the columns of all groups but these."""
    off = {name for group in groups for name in GROUPS[group]}
    return [index for index, name in enumerate(FEATURES) if name not in off]


def matrix(
    name: str, kind: str, synonyms: Sequence[str], found: Sequence[Candidate], scene: Scene
) -> Matrix:
    """Returns the features of a field's candidates, a row each, columns as in `FEATURES`."""
    values = np.zeros((len(found), len(FEATURES)))
    if not found:
        return values
    told = [
        _layout(found, scene),
        _shape(name, found, scene),
        _cues(synonyms, found, scene),
        _lexicon(name, found, scene),
        _gazetteer(name, found, scene),
        _voting(kind, found, scene),
        _arithmetic(found, scene) if kind == "money" else [{} for _ in found],
        _annotated(name, found, scene),
    ]
    for group in told:
        for row, numbers in enumerate(group):
            for key, value in numbers.items():
                values[row, _INDEX[key]] = value
    return values


def _layout(found: Sequence[Candidate], scene: Scene) -> list[dict[str, float]]:
    tallest = [
        sorted({round(row.height, 1) for row in layout.rows}, reverse=True)
        for layout in scene.layouts
    ]
    widest = [max((r.box.width for r in layout.rows), default=1.0) for layout in scene.layouts]
    made = []
    for one in found:
        layout = scene.layouts[one.sheet]
        extent = layout.extents[one.segments[0].page]
        box = one.segments[0].box
        for segment in one.segments[1:]:
            box = box.joined(segment.box)
        first, last = layout.rows[one.first], layout.rows[one.last]
        above = layout.rows[one.first - 1] if one.first else None
        below = layout.rows[one.last + 1] if one.last + 1 < len(layout.rows) else None
        across, down = max(extent.width, 1.0), max(extent.height, 1.0)
        heights = [segment.box.height for segment in one.segments]
        tops = [segment.box.y0 for segment in one.segments]
        gaps = [b - a for a, b in zip(tops, tops[1:], strict=False)]
        height = sum(heights) / len(heights)
        higher = sum(1 for other in tallest[one.sheet] if other > height * 1.08)
        made.append(
            {
                "top": (box.y0 - extent.y0) / down,
                "bottom": (box.y1 - extent.y0) / down,
                "row": one.first,
                "row_from_end": len(layout.rows) - one.last,
                "rows": one.last - one.first + 1,
                "height": height / layout.height,
                "tallest": higher,
                "left": (box.x0 - extent.x0) / across,
                "width": box.width / across,
                "off_centre": abs((box.x0 + box.x1) - (extent.x0 + extent.x1)) / across,
                "gap_above": _gap(above and above.box.y1, first.box.y0, layout.height),
                "gap_below": _gap(last.box.y1, below and below.box.y0, layout.height),
                "row_segments": len(first.segments),
                "rightmost": float(first.segments[-1] is one.segments[-1]),
                "page": one.segments[0].page,
                "alone": float(len(first.segments) == 1 and not one.head and not one.tail),
                "even_heights": min(heights) / max(max(heights), 1e-6),
                "even_gaps": max(gaps, default=0.0) / layout.height,
                "widest": box.width / max(widest[one.sheet], 1.0),
            }
        )
    return made


def _gap(upper: float | None, lower: float | None, height: float) -> float:
    return 9.0 if upper is None or lower is None else min((lower - upper) / height, 9.0)


def _shape(name: str, found: Sequence[Candidate], scene: Scene) -> list[dict[str, float]]:
    ends = scene.lexicon.ends.get(name, {})
    made = []
    for one in found:
        value = one.value
        length = max(len(value), 1)
        letters = sum(c.isalpha() for c in value)
        words = re.findall(r"[^\W\d_]+", value.upper())
        raw_tail = one.raw.rstrip()[-1:]
        try:
            magnitude = math.log10(abs(float(value)) + 0.01)
        except ValueError:
            magnitude = -3.0
        made.append(
            {
                "length": len(one.key),
                "digits": sum(c.isdigit() for c in value) / length,
                "upper": sum(c.isupper() for c in value) / max(letters, 1),
                "marks": sum(not c.isalnum() and not c.isspace() for c in value) / length,
                "words": len(words),
                "colon": value.count(":"),
                "at": float("@" in value or "WWW" in words or "COM" in words),
                "marked": float(one.marked),
                "form": one.form,
                "starts_digit": float(value[:1].isdigit()),
                "ends_mark": float(raw_tail in ",.-"),
                "ends_stop": float(raw_tail == "."),
                "commas": value.count(","),
                "open_bracket": abs(value.count("(") - value.count(")")),
                "bracket": value.count("("),
                "long_number": len(_LONG_NUMBER.findall(value)),
                "head_length": len(one.head),
                "tail_length": len(one.tail),
                "tail_digit": sum(c.isdigit() for c in one.tail[:16]),
                "magnitude": magnitude,
                "time_after": float(bool(_TIME.match(one.tail))),
                "part": float(one.source == "part"),
                "joined": float(one.source == "joined"),
                "dropped": float(one.dropped),
                "known_end": ends.get(words[-1], 0) if words else 0,
                "repeats": len(words) - len(set(words)),
            }
        )
    return made


def _cues(
    synonyms: Sequence[str], found: Sequence[Candidate], scene: Scene
) -> list[dict[str, float]]:
    keys = [canonical(word) for word in synonyms if canonical(word)]
    cache: dict[str, float] = {}

    def cue(text: str) -> float:
        if text not in cache:
            key = canonical(text)
            cache[text] = max((len(k) for k in keys if k in key), default=0) / max(len(key), 1)
        return cache[text]

    made = []
    for one in found:
        rows = scene.layouts[one.sheet].rows
        above = rows[one.first - 1].text if one.first else ""
        made.append(
            {
                "cue_head": cue(one.head),
                "cue_above": cue(above),
                "cue_inside": cue(one.value),
                "pattern": float(one.source == "pattern"),
            }
        )
    return made


def _lexicon(name: str, found: Sequence[Candidate], scene: Scene) -> list[dict[str, float]]:
    lexicon = scene.lexicon
    cache: dict[tuple[str, str], tuple[tuple[float, float, float], float]] = {}

    def weigh(which: str, text: str) -> tuple[tuple[float, float, float], float]:
        if (which, text) not in cache:
            weights = lexicon.weights(which, text)
            cache[which, text] = (strongest(weights), sum(weights))
        return cache[which, text]

    made = []
    for one in found:
        rows = scene.layouts[one.sheet].rows
        before = rows[one.first - 1].text if one.first else ""
        after = rows[one.last + 1].text if one.last + 1 < len(rows) else ""
        lines = [weigh(name, segment.text)[0][0] for segment in one.segments]
        words, total = weigh(name, one.value)
        head, head_total = weigh(f"{name} head", one.head)
        above, above_total = weigh(f"{name} above", before)
        made.append(
            {
                "word_mean": words[0],
                "word_least": words[1],
                "word_most": words[2],
                "word_sum": total,
                "first_line": lines[0],
                "last_line": lines[-1],
                "least_line": min(lines),
                "line_before": weigh(name, before)[0][0],
                "line_after": weigh(name, after)[0][0],
                "head_mean": head[0],
                "head_least": head[1],
                "head_most": head[2],
                "head_sum": head_total,
                "above_mean": above[0],
                "above_sum": above_total,
                "tail_mean": weigh(f"{name} tail", one.tail)[0][0],
            }
        )
    return made


def _gazetteer(name: str, found: Sequence[Candidate], scene: Scene) -> list[dict[str, float]]:
    lines = {canonical(row.text) for layout in scene.layouts for row in layout.rows[:25]}
    pairs = [
        canonical(above.text + below.text)
        for layout in scene.layouts
        for above, below in zip(layout.rows[:12], layout.rows[1:13], strict=False)
    ]
    texts = sorted(lines | set(pairs))
    beside: dict[str, float] = {}
    nearest: dict[str, tuple[float, int]] = {}
    made = []
    for one in found:
        if one.key not in nearest:
            near = scene.gazetteer.nearest(name, one.value, least=0.4)
            nearest[one.key] = (near.likeness, near.seen) if near else (0.0, 0)
            others = [v for _, v in scene.gazetteer.companions(name, one.value) if len(v) > 10]
            beside[one.key] = max((likeness(other, texts) for other in others[:12]), default=0.0)
        alike, seen = nearest[one.key]
        made.append(
            {
                "known": float(alike >= 0.999),
                "known_seen": math.log1p(seen) if alike >= 0.999 else 0.0,
                "nearest": alike,
                "nearest_seen": math.log1p(seen),
                "replaced": float(one.source == "gazetteer"),
                "replaced_likeness": one.likeness,
                "mended": float(one.source == "mended"),
                "companion": beside[one.key],
            }
        )
    return made


def _voting(kind: str, found: Sequence[Candidate], scene: Scene) -> list[dict[str, float]]:
    sheets = max(len(scene.layouts), 1)
    holders: dict[str, set[int]] = {}
    times: Counter[tuple[str, int]] = Counter()
    for one in found:
        holders.setdefault(one.key, set()).add(one.sheet)
        times[one.key, one.sheet] += 1
    texts = [canonical(layout.sheet.text) for layout in scene.layouts]
    made = []
    for one in found:
        confidence = sum(s.confidence for s in one.segments) / len(one.segments)
        held = len(holders[one.key])
        verbatim = sum(one.key in text for text in texts) if kind in _TEXTUAL else held
        made.append(
            {
                "sheets": sheets,
                "share": held / sheets,
                "similar_share": verbatim / sheets,
                "occurrences": times[one.key, one.sheet],
                "confidence": confidence,
                "least_confidence": min(s.least for s in one.segments),
                "believed": float(one.sheet == 0),
                "rivals": len(holders),
            }
        )
    return made


_TEXTUAL = frozenset({"company", "address", "name", "person", "text"})


def _arithmetic(found: Sequence[Candidate], scene: Scene) -> list[dict[str, float]]:
    cents = [[_cents(one.value) for one in found if one.sheet == s] for s in _sheets(scene)]
    listed = [_amounts(layout) for layout in scene.layouts]
    made = []
    for one in found:
        value = _cents(one.value)
        mine = listed[one.sheet]
        others = {amount for _, amount in mine if amount != value}
        greater = sorted((a for a in others if a > value), reverse=True)
        above = [amount for row, amount in mine if row < one.first]
        below = [amount for row, amount in mine if row > one.first]
        running = _running(above)
        made.append(
            {
                "greatest": float(bool(mine) and value >= max(a for _, a in mine)),
                "rank": len(set(greater)),
                "difference": sum(1 for a in greater if (a - value) in others and a != 2 * value),
                "change": float(
                    any(a - b == value for a, b in zip(below, below[1:], strict=False))
                ),
                "sum": sum(1 for a in others if 0 < a < value and (value - a) in others) / 2,
                "times": cents[one.sheet].count(value),
                "below_greater": sum(1 for a in below if a > value),
                "column_sum": float(value in running),
                "tax_sum": float(
                    any(abs(round(a * rate) - value) <= 2 for a in others for rate in _TAXED)
                ),
                "last_of_value": float(value not in below),
            }
        )
    return made


_TAXED = (1.06, 1.05, 1.07, 1.10, 1.16, 1.19, 1.20)


def _sheets(scene: Scene) -> range:
    return range(len(scene.layouts))


def _running(values: Sequence[int]) -> set[int]:
    """Returns the sums of runs of two to twelve amounts."""
    sums: set[int] = set()
    for start in range(len(values)):
        total = 0
        for length, value in enumerate(values[start : start + 12], start=1):
            total += value
            if length >= 2:
                sums.add(total)
    return sums


def _amounts(layout: Layout) -> list[tuple[int, int]]:
    return [
        (segment.row, _cents(one.value))
        for segment in layout.segments
        for one in amounts(segment.text)
        if one.form == 2
    ]


def _cents(value: str) -> int:
    return int(Decimal(value) * 100)


def _annotated(name: str, found: Sequence[Candidate], scene: Scene) -> list[dict[str, float]]:
    columns = {"pattern": "ruled", "entity": "labelled", "gazetteer": "listed", "ner": "tagged"}
    made = []
    for one in found:
        numbers: dict[str, float] = {}
        told = scene.annotations[one.sheet] if one.sheet < len(scene.annotations) else ()
        length = max(sum(end - start for start, end in one.spans), 1)
        for note in told:
            common = sum(
                max(0, min(end, note.end) - max(start, note.start)) for start, end in one.spans
            )
            if not common:
                continue
            whole = common / max(length, note.end - note.start)
            if note.label == name:
                column = columns[note.method]
                numbers[column] = max(numbers.get(column, 0.0), whole)
                if note.method == "ner":
                    numbers["tag_score"] = max(numbers.get("tag_score", 0.0), note.score)
            elif note.method == "ner":
                numbers["tagged_other"] = max(numbers.get("tagged_other", 0.0), common / length)
        made.append(numbers)
    return made
