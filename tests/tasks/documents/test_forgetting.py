"""A document is forgotten everywhere, and what is left is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millrace.engine.errors import StoreError, UsageError
from millrace.engine.settings import settings
from millrace.tasks.documents import forgetting
from millrace.tasks.documents.review.desk import Desk, Loaded
from millrace.tasks.documents.review.tables import connect
from tests.tasks.documents.review.test_review import receipt


@pytest.fixture
def desk() -> Desk:
    desk = Desk(connect(settings()))
    desk.put(
        [Loaded(receipt(), "a/load", "one"), Loaded(receipt("b" * 64, "two.pdf"), "a/load", "one")]
    )
    return desk


def test_a_document_leaves_every_graph_it_is_in_and_the_queue(desk: Desk) -> None:
    gone: list[str] = []
    report = forgetting.forget(
        "a" * 64, desk, settings(), withdraw=lambda one: gone.append(one.facts.digest)
    )
    assert gone == ["a" * 64]
    assert (report.graphs, report.troubles) == (1, ())
    assert {case.facts.name for case in desk.cases()} == {"two.pdf"}


def test_a_graph_that_is_down_is_told_of_and_the_document_can_be_found_again(desk: Desk) -> None:
    def down(loaded: Loaded) -> None:
        raise StoreError("the graph does not answer")

    report = forgetting.forget("a" * 64, desk, settings(), withdraw=down)
    assert report.troubles == ("the graph does not answer",)
    assert forgetting.find("one.pdf", desk) == "a" * 64


def test_a_document_is_found_by_file_name_and_digest(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "one.pdf"
    path.write_bytes(b"scan")
    assert forgetting.find("one.pdf", desk) == forgetting.find("aaaa", desk) == "a" * 64
    assert forgetting.find(str(path), desk) != "a" * 64
    for text in ("", "nothing.pdf"):
        with pytest.raises(UsageError):
            forgetting.find(text, desk)


def test_a_model_that_learnt_from_it_is_named(desk: Desk) -> None:
    model = settings().home / "models" / "receipt"
    model.mkdir(parents=True)
    (model / "card.json").write_text(json.dumps({"documents": ["a" * 64]}))
    report = forgetting.forget("a" * 64, desk, settings(), withdraw=lambda one: None)
    assert report.models == (model,)
