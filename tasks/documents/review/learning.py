"""What people's decisions teach: labels of documents, for gazetteers at once and for training."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from millrace.engine.settings import Settings
from millrace.tasks.documents.review import VARIABLE

if TYPE_CHECKING:
    from millrace.tasks.documents.review.desk import Decision

Labels = Mapping[str, Mapping[str, str]]
"""By a document's digest: the values of its fields that a person has decided on."""


def labels(decisions: Iterable[Decision], kind: str) -> Labels:
    """Returns what people have decided on documents of a type, the last decision of each field.

    A rejected field is empty: there is no such value in the document. Repeated fields, which have a
    row, are left out: a label has one value a field.
    """
    found: dict[str, dict[str, str]] = {}
    for decision in decisions:
        if decision.kind == kind and not decision.path:
            found.setdefault(decision.digest, {})[decision.field] = decision.value
    return found


def learnt(settings: Settings, kind: str) -> Labels:
    """Returns the labels that this host's review queue has of a type, none where there is no queue.

    Raises StoreError when the queue is there and cannot be read.
    """
    from millrace.tasks.documents.review.desk import Desk
    from millrace.tasks.documents.review.tables import connect, file_of

    if not os.environ.get(VARIABLE) and not file_of(settings).exists():
        return {}
    return labels(Desk(connect(settings)).decisions(), kind)


def known_values(labelled: Labels) -> list[dict[str, str]]:
    """Returns what a gazetteer learns: each document's values that are there."""
    return [{field: value for field, value in one.items() if value} for one in labelled.values()]


def mark(labelled: Labels) -> str:
    """Returns a digest of labels, empty for none: a part of the key of what is extracted with them.

    It is of values only, so the order of decisions does not matter.
    """
    told = known_values(labelled)
    text = json.dumps(sorted(json.dumps(one, sort_keys=True) for one in told if one))
    return hashlib.sha256(text.encode()).hexdigest()[:16] if any(told) else ""
