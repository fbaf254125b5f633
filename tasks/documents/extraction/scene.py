"""All that features are taken from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.tasks.documents.extraction.annotations import Annotation
from millrace.tasks.documents.extraction.gazetteer import Gazetteer
from millrace.tasks.documents.extraction.lexicon import Lexicon
from millrace.tasks.documents.extraction.rows import Layout

Numbers = dict[str, float]


@dataclass(frozen=True)
class Scene:
    """All that features are taken from: the document's sheets in rows, and what was learnt."""

    layouts: Sequence[Layout]
    lexicon: Lexicon
    gazetteer: Gazetteer
    annotations: Sequence[Sequence[Annotation]] = ()
