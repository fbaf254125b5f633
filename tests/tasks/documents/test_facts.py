"""Facts are written as they are read, always in the same bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.tasks.documents.facts import (
    Entity,
    Evidence,
    Fact,
    Facts,
    Relation,
    dump,
    load,
)
from millrace.tasks.documents.pages import Box

_SIDES = st.integers(0, 5000).map(float)
_TEXTS = st.text(max_size=20)
_SHARES = st.integers(0, 10_000).map(lambda part: part / 10_000)
_EVIDENCE = st.builds(
    Evidence,
    page=st.integers(1, 9),
    box=st.builds(Box, _SIDES, _SIDES, _SIDES, _SIDES),
    text=_TEXTS,
    reader=_TEXTS,
    version=_TEXTS,
)
_FACT = st.builds(
    Fact,
    field=_TEXTS,
    value=_TEXTS,
    raw=_TEXTS,
    probability=_SHARES,
    state=st.sampled_from(["accepted", "doubtful"]),
    evidence=st.lists(_EVIDENCE, min_size=1, max_size=2).map(tuple),
    path=_TEXTS,
    methods=st.lists(_TEXTS, max_size=2).map(tuple),
    checks=st.dictionaries(_TEXTS, st.booleans(), max_size=2),
    alternatives=st.lists(st.tuples(_TEXTS, _SHARES), max_size=2).map(tuple),
    crop=st.binary(max_size=8),
)


@given(st.lists(_FACT, max_size=3).map(tuple), st.lists(_EVIDENCE, max_size=1).map(tuple))
def test_facts_are_read_back_as_they_were_written(
    facts: tuple[Fact, ...], evidence: tuple[Evidence, ...]
) -> None:
    vendor = Entity("vendor", "Company", ("Acme", "ACME"), {"b": "2", "a": "1"}, 0.5, evidence)
    issued = Relation("ISSUED_BY", "", "vendor", 0.5, evidence)
    told = Facts("d" * 64, "a.pdf", "receipt", "x", 2, facts, (vendor,), (issued,), ("a note",))
    assert load(dump(told)) == told
    assert dump(load(dump(told))) == dump(told)


def test_a_fact_keeps_its_id_whatever_its_value() -> None:
    def fact(value: str, path: str = "") -> Fact:
        return Fact("total", value, value, 0.5, "doubtful", (), path)

    told = Facts("d" * 64, "a.pdf", "receipt", "x", 1, ())
    assert told.identity(fact("1.00")) == told.identity(fact("2.00"))
    assert told.identity(fact("1.00")) != told.identity(fact("1.00", "1"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": 1}', b'{"format": 99}'])
def test_what_holds_no_facts_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load(data)


def test_written_facts_are_plain_json() -> None:
    told = json.loads(dump(Facts("d", "n", "", "x", 1, ())))
    assert told["format"] == 1
    assert told["facts"] == []
