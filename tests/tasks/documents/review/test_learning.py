"""What decisions teach."""

from __future__ import annotations

from millrace.engine.settings import settings
from millrace.tasks.documents.review.desk import Desk, Loaded
from millrace.tasks.documents.review.learning import known_values, learnt, mark
from millrace.tasks.documents.review.tables import connect, file_of
from tests.tasks.documents.review.test_review import receipt


def test_without_a_queue_nothing_is_learnt_and_none_is_made() -> None:
    assert learnt(settings(), "receipt") == {}
    assert mark({}) == ""
    assert not file_of(settings()).exists()


def test_decisions_become_labels_of_their_document() -> None:
    desk = Desk(connect(settings()))
    desk.put([Loaded(receipt(), "a/load", "")])
    desk.decide(desk.cases(field="company")[0], "corrected", value="BOOK TA .K", who="anna")
    before = mark(learnt(settings(), "receipt"))
    desk.decide(desk.cases(field="date")[0], "rejected", who="anna")
    found = learnt(settings(), "receipt")
    assert found == {"a" * 64: {"company": "BOOK TA .K", "date": ""}}
    assert known_values(found) == [{"company": "BOOK TA .K"}]
    assert mark(found) == before != ""
    assert learnt(settings(), "contract") == {}
