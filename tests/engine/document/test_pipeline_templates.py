"""Output names: what a template may say, and what no value of a field can make of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.document.templates import (
    FIELDS,
    TemplateError,
    collisions,
    decode,
    encode,
    expand,
    parse,
)
from millrace.engine.errors import BadInput

USUAL = {
    "source.path": "holiday/day 1/beach",
    "source.name": "beach",
    "source.suffix": ".mov",
    "item": "captures-3f9a",
    "stage": "master",
    "run": "20260101-120000-abcd",
}


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("out/{source.path}.mkv", "out/holiday/day 1/beach.mkv"),
        ("{source.name}{source.suffix}", "beach.mov"),
        ("./out//{stage}/{item}", "out/master/captures-3f9a"),
        ("/films/{run}/{ source.name }.mp4", "/films/20260101-120000-abcd/beach.mp4"),
        ("out/{{{source.name}}}.mp4", "out/{beach}.mp4"),
        ("out/plain.mp4", "out/plain.mp4"),
    ],
)
def test_a_template_gives_this_name(template: str, path: str) -> None:
    assert expand(template, USUAL) == Path(path)


def test_a_tilde_at_the_start_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert expand("~/films/{source.name}.mp4", USUAL) == Path("/home/ada/films/beach.mp4")
    assert expand("out/{source.name}", {**USUAL, "source.name": "~"}) == Path("out/~")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a\0b", "a%00b"),
        ("two\nlines", "two%0Alines"),
        ("next\x85line", "next%C2%85line"),
        ("100%", "100%25"),
        ("50% off", "50% off"),
        ("%41", "%2541"),
        ("...", "..."),
        ("-rf", "-rf"),
        ("naïve 日本 🎬'\"", "naïve 日本 🎬'\""),
    ],
)
def test_a_hostile_value_becomes_a_harmless_name_and_back(value: str, name: str) -> None:
    assert encode(value, folders=True) == name
    assert decode(name) == value


def test_a_value_that_starts_at_the_root_stays_below_the_output_folder() -> None:
    assert expand("out/{source.path}.mp4", {**USUAL, "source.path": "/etc/x"}) == Path(
        "out/etc/x.mp4"
    )
    assert expand("{source.path}.mp4", {**USUAL, "source.path": "/etc/x"}) == Path("etc/x.mp4")


def test_only_the_path_of_a_source_makes_folders() -> None:
    assert expand("out/{source.name}.mp4", {**USUAL, "source.name": "a/b"}) == Path("out/a%2Fb.mp4")


def test_a_file_name_that_is_no_text_is_kept_byte_by_byte() -> None:
    name = os.fsdecode(b"caf\xe9")
    assert os.fsencode(expand("out/{source.name}.mp4", {**USUAL, "source.name": name})) == (
        b"out/caf\xe9.mp4"
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_value_comes_back_from_its_name(value: str) -> None:
    assert decode(encode(value)) == value
    assert decode(encode(value, folders=True)) == value


@given(
    template=st.sampled_from(
        ["out/{source.path}.mp4", "out/.{source.name}", "out/{source.name}{source.suffix}",
         "{source.path}", "out/{item}/{source.path}{source.suffix}", "{source.name}."]
    ),
    values=st.fixed_dictionaries(
        {field: st.text(st.sampled_from("./\\%\n\0~ -2Eea"), max_size=8) for field in FIELDS}
    ),
)  # fmt: skip
def test_no_value_leads_out_of_the_output_folder(template: str, values: dict[str, str]) -> None:
    head = "out" if template.startswith("out/") else "."
    try:
        path = expand(template, values)
    except BadInput:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert path.is_relative_to(head) and path != Path(head)
    assert not set("\0\n") & set(str(path))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "a name is empty"),
        ("  ", "a name is empty"),
        ("out/", "ends with '/'"),
        ("..", "would write outside"),
        ("out/../{source.name}", "would write outside"),
        ("out/.", "names a folder"),
        ("~", "names a folder"),
        ("out/a\nb", "control character"),
        ("memory://x/{item}", "not to a URL"),
        ("out/{source.path", "'{' stands alone"),
        ("out/source.path}", "'}' stands alone"),
        ("out/{}", "a name has no field {}"),
        ("out/{source.name!r}", "did you mean {source.name}"),
        ("out/{source.__class__}", "a name has no field"),
        ("out/{0}", "a name has no field {0}"),
    ],
)
def test_a_template_that_is_wrong_is_refused_with_the_reason(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as raised:
        parse(template)
    assert message in str(raised.value)


def test_a_name_no_file_can_have_fails_the_item_alone() -> None:
    with pytest.raises(BadInput, match="longer than 255 bytes"):
        expand("out/{source.name}.mp4", {**USUAL, "source.name": "é" * 126})
    with pytest.raises(BadInput, match="gives no file name"):
        expand("{source.name}", {**USUAL, "source.name": ""})


def test_the_suffix_is_what_the_name_ends_with() -> None:
    assert parse("out/{source.path}.mkv").suffix() == ".mkv"
    assert parse("out/{source.path}.tar.gz").suffix() == ".gz"
    assert parse("out.d/{source.path}").suffix() == ""
    assert parse("out/{source.path}{source.suffix}").suffix(".mov") == ".mov"
    assert parse("out/{source.suffix}/{source.name}").suffix(".mov") == ""
    assert parse("out/film.mp4").suffix() == ".mp4"
    assert parse("out/{stage}/final").suffix() == ""


def test_names_that_meet_are_found_before_anything_is_written() -> None:
    names = [
        ("a", Path("out/x.mp4")),
        ("b", Path("out/y.mp4")),
        ("c", Path("out/x.mp4")),
        ("d", Path("out/y.mp4/z.mp4")),
    ]
    assert collisions(names) == [
        (Path("out/x.mp4"), ["a", "c"]),
        (Path("out/y.mp4"), ["b", "d"]),
    ]
    assert collisions(names[:2]) == []
