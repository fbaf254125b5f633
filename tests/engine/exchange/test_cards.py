"""Workers' cards: the last one counts, and nobody speaks in another's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.errors import UsageError
from millrace.engine.exchange.cards import read_cards, remove_card, write_card
from millrace.engine.exchange.places import Place
from millrace.engine.fleet.observed import Card
from millrace.engine.labels import Label


def _card(pool: str = "burst", worker: str = "one", cores: int = 2) -> Card:
    return Card(
        pool=pool,
        worker=worker,
        host="h",
        millrace="1",
        kinds={"video.upscale": 1},
        tools=(),
        cores=cores,
        memory=1 << 30,
        clearance=Label.INTERNAL,
    )


def test_the_last_card_of_a_worker_counts(place: Place) -> None:
    assert read_cards(place) == []
    write_card(place, _card())
    write_card(place, _card(cores=4))
    write_card(place, _card("studio"))
    assert read_cards(place, "burst") == [_card(cores=4)]
    assert read_cards(place) == [_card(cores=4), _card("studio")]
    remove_card(place, _card())
    assert read_cards(place) == [_card("studio")]


def test_the_home_store_has_the_same_folder(tmp_path: Path) -> None:
    write_card(tmp_path / "store", _card())
    assert (tmp_path / "store" / "workers" / "burst" / "one.json").exists()
    assert read_cards(tmp_path / "store", "burst") == [_card()]
    assert read_cards(tmp_path / "store", "bur") == []


def test_what_is_no_card_or_another_workers_is_passed_over(place: Place) -> None:
    place.put("workers/burst/two.json", _card().model_dump_json().encode())
    place.put("workers/studio/one.json", _card().model_dump_json().encode())
    place.put("workers/burst/three.json", b"{")
    place.put("workers/burst/four.json", b"x" * (65 << 10))
    place.put("workers/burst/deep/one.json", _card().model_dump_json().encode())
    write_card(place, _card(worker="good"))
    assert read_cards(place) == [_card(worker="good")]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\n", "x" * 101])
def test_names_that_could_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name"):
        write_card(tmp_path, _card(worker=name))
    with pytest.raises(UsageError, match="no name"):
        write_card(tmp_path, _card(pool=name))
    assert list(tmp_path.iterdir()) == []
