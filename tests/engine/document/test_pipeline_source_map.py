"""Positions, YAML's own types, and the bounds of what is read."""

from __future__ import annotations

import time

import pytest

from millrace.engine.document.problems import Finding, Place, Problem
from millrace.engine.document.source_map import parse
from millrace.engine.document.yaml_nodes import MAX_VALUES, Spot, resolve

TEXT = """\
top:
  - {a: "one", b: [x, 'y z']}
  - |
    two
    lines
base: &base {p: 1, q: 2}
copy: {<<: *base, q: 3}
both: *base
"""


def test_every_key_and_value_has_its_place() -> None:
    parsed = parse(TEXT, "f.yaml")
    assert not parsed.problems
    assert parsed.data == {
        "top": [{"a": "one", "b": ["x", "y z"]}, "two\nlines\n"],
        "base": {"p": 1, "q": 2},
        "copy": {"q": 3, "p": 1},
        "both": {"p": 1, "q": 2},
    }
    keys, values = parsed.source.keys, parsed.source.values
    assert keys[("top", 0, "b")] == Spot(1, 15, 1)
    assert values[("top", 0, "a")] == Spot(1, 8, 5)
    assert values[("top", 0, "b", 1)] == Spot(1, 22, 5)
    assert values[("copy", "q")] == Spot(6, 21, 1)
    assert values[("copy", "p")] == Spot(5, 16, 1)  # where it is written, at the anchor


def test_a_finding_without_a_place_of_its_own_gets_the_nearest_around_it() -> None:
    source = parse(TEXT, "f.yaml").source
    found = source.locate(Finding(("base", "missing", "deeper"), "words"))
    assert found.place is not None
    assert (found.place.line, found.place.column) == (6, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("+4", 4), ("0x1F", 31), ("0o17", 15), ("012", 12),
        ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("true", True), ("False", False),
        ("~", None), ("null", None), ("", None),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("07:00", "07:00"),
        ("2027-01-31", "2027-01-31"), ("1_000", "1_000"), ("1.2.3", "1.2.3"), ("0b1", "0b1"),
    ],
)  # fmt: skip
def test_unquoted_text_has_the_type_that_yaml_1_2_gives_it(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_aliases_cannot_make_a_small_document_large() -> None:
    text = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)
    )
    started = time.monotonic()
    parsed = parse(text, "bomb.yaml")
    assert parsed.data is None
    assert "aliases make this document too large" in str(parsed.problems[-1])
    assert time.monotonic() - started < 20


def test_aliases_cannot_make_a_shallow_document_deep() -> None:
    deep = "[" * 30 + "x" + "]" * 30
    text = f"a0: &a0 {deep}\n" + "".join(
        f"a{n}: &a{n} {'[' * 30}*a{n - 1}{']' * 30}\n" for n in range(1, 60)
    )
    assert "too large" in str(parse(text, "deep.yaml").problems[-1])


def test_merges_of_merges_end() -> None:
    text = "m0: &m0 {k: 1}\n" + "".join(f"m{n}: &m{n} {{<<: *m{n - 1}}}\n" for n in range(1, 100))
    parsed = parse(text, "merges.yaml")
    assert parsed.data is not None
    assert parsed.data["m99"] == {"k": 1}


def test_a_document_of_very_many_values_is_refused() -> None:
    text = "a: [" + "1," * (MAX_VALUES + 1) + "]"
    assert "more than 20,000 values" in str(parse(text, "many.yaml").problems[-1])


def test_a_very_long_line_is_shown_around_the_place() -> None:
    line = "x: " + "a" * 500 + " WRONG " + "b" * 500
    shown = str(Problem("words", (), Place("f.yaml", 1, 505, 5, line))).splitlines()
    assert shown[0] == "f.yaml:1:505: words"
    assert len(shown[1]) < 180
    at = shown[2].index("^")
    assert shown[1][at : at + 5] == "WRONG"
    assert shown[2].strip() == "^^^^^"


def test_characters_that_would_upset_a_terminal_are_not_shown() -> None:
    problem = Problem("words", (), Place("f.yaml", 1, 4, 1, "a: \x1b[31mred\x07"))
    assert "\x1b" not in str(problem)
    assert "\x07" not in str(problem)
