"""Tickets alone: answers that come at odd moments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from millrace.engine.expansion import Found
from millrace.engine.journal import Record
from millrace.engine.outcome import Tallies
from millrace.engine.tickets import Tickets


class _Desk:
    """Keeps what it is given, and forgets it once it is answered."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def add(self, node: Any, cut: Any, share: Any, why: str, *, alone: bool = False) -> None:
        self.jobs.append(share.key)

    def answered(self, record: Record) -> None:
        self.jobs.remove(record.data["key"])

    def forget(self, stage: str, item: str) -> None:
        self.jobs.clear()


def _considered(item: Any) -> Any:
    shares = [SimpleNamespace(key="k", load=1.0)]
    work = SimpleNamespace(units=1.0, notes=())
    cut = SimpleNamespace(item=item, key="k", join="", shares=shares, work=work)
    return SimpleNamespace(cut=cut, found=Found(None, {}), why="first time")


def test_what_is_answered_before_the_item_was_considered_counts_afterwards(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("millrace.engine.tickets.made_of", lambda item, manifest, store: item)
    written, brought, desk = [], [], _Desk()
    journal = SimpleNamespace(write=lambda event, *words, **data: written.append(event))
    store = SimpleNamespace(find=lambda key: SimpleNamespace(key=key))
    tickets = Tickets(
        store,  # type: ignore[arg-type]
        journal,  # type: ignore[arg-type]
        desk,  # type: ignore[arg-type]
        Tallies(),
        lambda stage, item, result: brought.append((item.id, result is not None)),
        lambda: False,
        lambda node, cut: None,  # type: ignore[arg-type,return-value]
    )
    for name, event in (("good", "done"), ("bad", "failed")):
        item = SimpleNamespace(id=name)
        ticket = tickets.admit(SimpleNamespace(name="one"), item)  # type: ignore[arg-type]
        data = {"key": "k", "code": "rotten", "message": "it is rotten"}
        tickets.heed(Record(event, 1.0, "one", name, data))
        assert tickets.open == 1
        tickets.start(ticket, _considered(item))
        assert tickets.open == 0
        assert desk.jobs == []
    assert brought == [("good", True), ("bad", False)]
