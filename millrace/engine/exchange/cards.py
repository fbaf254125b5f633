"""What workers say of themselves, left where the conductor looks: workers/<pool>/<worker>.json."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from millrace.engine.errors import StoreError, UsageError
from millrace.engine.exchange.places import Place
from millrace.engine.fleet.observed import Card

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LIMIT = 64 << 10  # bytes


def write_card(where: Place | Path, card: Card) -> None:
    """Leaves a worker's card, in place of an older one. Raises StoreError, UsageError."""
    _place(where).put(_card_name(card.pool, card.worker), card.model_dump_json().encode())


def remove_card(where: Place | Path, card: Card) -> None:
    """Takes a worker's card away. Raises StoreError, UsageError."""
    _place(where).delete(_card_name(card.pool, card.worker))


def read_cards(where: Place | Path, pool: str = "") -> list[Card]:
    """Returns the cards of a pool, or of all. What is none is passed over. Raises StoreError.

    A card is a worker's own word: it is believed of what it says it lacks, never of what it may
    read; and only under its own pool and name.
    """
    place = _place(where)
    cards = []
    for name in place.list(f"workers/{pool}/" if pool else "workers/"):
        try:
            card = Card.model_validate_json(place.get(name, limit=_LIMIT) or b"")
            if name == _card_name(card.pool, card.worker):
                cards.append(card)
        except (ValidationError, UsageError):
            continue
        except StoreError:
            if place.size(name) is None or (place.size(name) or 0) > _LIMIT:
                continue
            raise
    return cards


def _place(where: Place | Path) -> Place:
    return Place.open(str(where.absolute())) if isinstance(where, Path) else where


def _card_name(pool: str, worker: str) -> str:
    for text in (pool, worker):
        if not _NAME.fullmatch(text):
            raise UsageError(
                f"{text[:60]!r} is no name of a pool or worker",
                hint="letters, digits, dots, dashes; it begins with a letter or digit",
            )
    return f"workers/{pool}/{worker}.json"
