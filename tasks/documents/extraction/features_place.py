"""Features of where a candidate stands and what shape it has."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from millrace.tasks.documents.extraction.candidates import Candidate
from millrace.tasks.documents.extraction.scene import Numbers, Scene

_TIME = re.compile(r"^\W*\d{1,2}\s?:\s?\d\d")
_LONG_NUMBER = re.compile(r"(?<!\d)\d{5}(?!\d)")


def layout(found: Sequence[Candidate], scene: Scene) -> list[Numbers]:
    """Returns where candidates stand: sizes in shares of what the page says, gaps in lines."""
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
        gaps = [b - a for a, b in pairwise(tops)]
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
                "gap_above": _gap(above.box.y1 if above else None, first.box.y0, layout.height),
                "gap_below": _gap(last.box.y1, below.box.y0 if below else None, layout.height),
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


def shape(name: str, found: Sequence[Candidate], scene: Scene) -> list[Numbers]:
    """Returns what candidates are written like."""
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
