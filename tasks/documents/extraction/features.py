"""Numbers that tell a right candidate from a wrong one, in groups that can be switched off.

`FEATURES` names them in order. What a group needs and does not have (annotations, a gazetteer) is
zero, so that a model trained with it still works without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from millrace.tasks.documents.extraction import features_place, features_votes, features_words
from millrace.tasks.documents.extraction.candidates import Candidate
from millrace.tasks.documents.extraction.scene import Scene

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
Matrix = NDArray[np.float64]


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
        features_place.layout(found, scene),
        features_place.shape(name, found, scene),
        features_words.cues(synonyms, found, scene),
        features_words.lexicon(name, found, scene),
        features_words.gazetteer(name, found, scene),
        features_votes.voting(kind, found, scene),
        features_votes.arithmetic(found, scene) if kind == "money" else [{} for _ in found],
        features_words.annotated(name, found, scene),
    ]
    for group in told:
        for row, numbers in enumerate(group):
            for key, value in numbers.items():
                values[row, _INDEX[key]] = value
    return values
