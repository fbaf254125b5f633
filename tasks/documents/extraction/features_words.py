"""Features of what words say, and of what is known: cues, lexicon, gazetteer, annotations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from millrace.tasks.documents.extraction.candidates import Candidate
from millrace.tasks.documents.extraction.gazetteer import likeness
from millrace.tasks.documents.extraction.lexicon import strongest
from millrace.tasks.documents.extraction.parsing import canonical
from millrace.tasks.documents.extraction.scene import Numbers, Scene


def cues(synonyms: Sequence[str], found: Sequence[Candidate], scene: Scene) -> list[Numbers]:
    """Returns how much the words before, above and in candidates are a field's synonyms."""
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


def lexicon(name: str, found: Sequence[Candidate], scene: Scene) -> list[Numbers]:
    """Returns the log odds of the words in and around candidates."""
    known = scene.lexicon
    cache: dict[tuple[str, str], tuple[tuple[float, float, float], float]] = {}

    def weigh(which: str, text: str) -> tuple[tuple[float, float, float], float]:
        if (which, text) not in cache:
            weights = known.weights(which, text)
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


def gazetteer(name: str, found: Sequence[Candidate], scene: Scene) -> list[Numbers]:
    """Returns how much candidates are like known values, and whether what goes with them is
    there."""
    lines = {canonical(row.text) for layout in scene.layouts for row in layout.rows[:25]}
    pairs = [
        canonical(above.text + below.text)
        for layout in scene.layouts
        for above, below in pairwise(layout.rows[:13])
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


def annotated(name: str, found: Sequence[Candidate], scene: Scene) -> list[Numbers]:
    """Returns what Spark NLP's annotators say of the places of candidates."""
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
