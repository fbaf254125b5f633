"""Parameters: their types, `--set`, and where `${name}` stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from millrace.engine.document.parameters import Parameter, Values, escaped, substitute

KNOWN = Values({"n": 3, "x": 2.5, "yes": True, "word": "a{b}", "path": "/in"}, frozenset({"bad"}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${n}", 3),
        ("${ n }", 3),
        ("${x}", 2.5),
        ("${yes}", True),
        ("${word}", "a{b}"),
        ("${n} of ${n}", "3 of 3"),
        ("${yes}, ${x}", "true, 2.5"),
        ("$${n}", "${n}"),
        ("$$${n}", "$${n}"),
        ("$n costs $5 {n}", "$n costs $5 {n}"),
        ("a$${n}b${n}", "a${n}b3"),
    ],
)
def test_a_reference_becomes_this_value(text: str, value: object) -> None:
    done = substitute({"a": [text]}, KNOWN)
    assert done.data == {"a": [value]}
    assert type(done.data["a"][0]) is type(value)
    assert not done.found


def test_a_wrong_reference_is_told_with_its_place_and_left_as_it_is() -> None:
    done = substitute({"a": "see ${m}", "b": ["${", "${bad}"]}, KNOWN)
    assert done.data == {"a": "see ${m}", "b": ["${", "${bad}"]}
    assert [(f.where, f.offset, f.length) for f in done.found] == [(("a",), 4, 4), (("b", 0), 0, 2)]
    assert done.left == {("a",), ("b", 0), ("b", 1)}


def test_braces_are_doubled_only_where_a_template_stands() -> None:
    data = {"outputs": {"o": {"to": "${word}/x", "from": "${word}"}}}
    assert substitute(data, KNOWN).data == {"outputs": {"o": {"to": "a{{b}}/x", "from": "a{b}"}}}


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_text_written_for_a_document_comes_back_as_it_was(data: object) -> None:
    assert substitute(escaped(data), KNOWN).data == data


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "12", 12),
        ("int", "-1", -1),
        ("float", "2", 2.0),
        ("float", "1e3", 1000.0),
        ("bool", "Yes", True),
        ("bool", "0", False),
        ("str", "12", "12"),
        ("str", "", ""),
        ("path", "s3://films/a", "s3://films/a"),
        ("path", "/films/a", "/films/a"),
    ],
)
def test_set_reads_text_by_the_type_of_the_parameter(kind: str, text: str, value: object) -> None:
    read = Parameter(type=kind).parse(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("int", "1.5"), ("int", "many"), ("float", "nan"), ("float", "inf"), ("bool", "maybe")],
)
def test_set_refuses_text_of_another_type(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"must be .*, not "):
        Parameter(type=kind).parse(text)


def test_a_relative_path_on_the_command_line_is_that_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Parameter(type="path").parse("films/../x") == f"{tmp_path}/films/../x"
    assert Parameter(type="path").parse("~nobody-here") == f"{tmp_path}/~nobody-here"


def test_choices_hold_for_the_default_and_for_set() -> None:
    codec = Parameter(default="h264", choices=("h264", "hevc"))
    with pytest.raises(ValueError, match="must be 'h264' or 'hevc', not 'av1'"):
        codec.parse("av1")
    assert Parameter(type="float", default=1, choices=(1, 2)).parse("2") == 2.0
    with pytest.raises(ValidationError, match="must be 'h264' or 'hevc'"):
        Parameter(default="av1", choices=("h264", "hevc"))


@pytest.mark.parametrize(
    ("kind", "default"), [("int", True), ("int", "3"), ("str", 3), ("bool", 1)]
)
def test_a_default_of_another_type_is_refused(kind: str, default: object) -> None:
    with pytest.raises(ValidationError, match="must be"):
        Parameter(type=kind, default=default)
