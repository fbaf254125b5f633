"""What inputs name: which files become items, in what order, and what is said of the others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from millrace.engine.errors import BadInput, DocumentError
from millrace.engine.inputs import expand_inputs
from millrace.engine.items import Item, expand, natural, printable, read
from millrace.engine.labels import Label
from millrace.engine.measurements import Measurements
from millrace.engine.pipeline import Input, load
from millrace.engine.remote import Remote
from millrace.engine.runs import Order

TWO_INPUTS = """
version: 1
name: two
inputs:
  first: {files: "a/*.txt"}
  second: {files: "b/*.txt"}
stages:
  one: {uses: test.copy, each: first}
  two: {uses: test.copy, each: second}
outputs:
  from_first: {from: one, to: "out/first/{source.path}.txt"}
  from_second: {from: two, to: "out/second/{source.path}.txt"}
"""
MANIFEST = """
version: 1
name: listed
inputs:
  files: {manifest: NAME}
stages:
  one: {uses: test.copy, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""


def _tree(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def _expand(folder: Path, **source: object) -> list[Item]:
    return expand("files", Input(**source), folder, Label.INTERNAL)  # type: ignore[arg-type]


def _ids(folder: Path, **source: object) -> list[str]:
    return [item.id for item in _expand(folder, **source)]


def _refusals(folder: Path, items: list[Item]) -> dict[str, str]:
    """The code of each item that cannot be read."""
    cache = Measurements(folder / "measurements.db")
    codes = {}
    for item in items:
        try:
            read(item, cache, Remote(folder / "fetched"))
        except BadInput as error:
            codes[item.id] = error.code
    cache.close()
    return codes


def _order(folder: Path, text: str) -> Order:
    return Order(pipeline=load(text, base=folder), base=folder)


def test_frame2_comes_before_frame10_in_every_folder(tmp_path: Path) -> None:
    names = ["s10/f1.txt", "s2/f10.txt", "s2/f2.txt", "s2/f02.txt", "s2/f.txt", "s2/f10b.txt"]
    _tree(tmp_path, *names)
    found = _ids(tmp_path, files=["*/*.txt"])
    assert found[-1] == "s10/f1.txt"
    assert found.index("s2/f2.txt") < found.index("s2/f10.txt") < found.index("s2/f10b.txt")
    assert sorted(["x10", "x9", "10", "9", "x"], key=natural) == ["9", "10", "x", "x9", "x10"]


def test_digits_that_are_no_decimal_numbers_are_sorted_as_text() -> None:
    assert sorted(["x²", "x1", "x٣"], key=natural)[0] == "x1"


def test_two_stars_find_files_in_every_folder_and_under_linked_folders(tmp_path: Path) -> None:
    _tree(tmp_path, "in/a.txt", "in/deep/er/b.txt", "elsewhere/c.txt", "in/d.md")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert _ids(tmp_path, files=["in/**/*.txt"]) == ["a.txt", "deep/er/b.txt", "link/c.txt"]


def test_a_linked_folder_that_leads_back_into_itself_gives_each_file_once(tmp_path: Path) -> None:
    _tree(tmp_path, "in/a.txt", "in/sub/b.txt")
    for n in range(3):
        (tmp_path / "in" / "sub" / f"round{n}").symlink_to(tmp_path / "in")
    assert _ids(tmp_path, files=["in/**/*.txt"]) == ["a.txt", "sub/b.txt"]


def test_hidden_files_and_folders_are_passed_over_unless_they_are_named(tmp_path: Path) -> None:
    _tree(tmp_path, "a.txt", ".hidden.txt", ".git/b.txt", "sub/.c.txt")
    assert _ids(tmp_path, files=["**/*.txt"]) == ["a.txt"]
    assert _ids(tmp_path, files=[".hidden.txt"]) == [".hidden.txt"]
    assert _ids(tmp_path, files=["*/.*.txt"]) == ["sub/.c.txt"]


def test_a_name_with_brackets_is_first_of_all_a_name(tmp_path: Path) -> None:
    _tree(tmp_path, "clip[1].txt", "clip1.txt", "[b]/x.txt")
    assert _ids(tmp_path, files=["clip[1].txt"]) == ["clip[1].txt"]
    assert _ids(tmp_path, files=["clip[12].txt"]) == ["clip1.txt"]
    assert _ids(tmp_path, files=["[b]/x.txt"]) == ["x.txt"]


def test_a_bare_star_passes_folders_over_but_a_folder_called_like_a_clip_is_told(
    tmp_path: Path,
) -> None:
    _tree(tmp_path, "a.mp4", "plain/b.txt")
    (tmp_path / "c.mp4").mkdir()
    assert _ids(tmp_path, files=["*"]) == ["a.mp4"]
    items = _expand(tmp_path, files=["*.mp4"])
    assert [item.id for item in items] == ["a.mp4", "c.mp4"]
    assert _refusals(tmp_path, items) == {"c.mp4": "is_folder"}


def test_what_cannot_be_read_is_refused_by_name_and_the_rest_can_be(tmp_path: Path) -> None:
    _tree(tmp_path, "good.txt")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "nowhere.txt").symlink_to("gone")
    (tmp_path / "self.txt").symlink_to("self.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    items = _expand(tmp_path, files=["*.txt", "absent.txt"])
    assert _refusals(tmp_path, items) == {
        "absent.txt": "missing",
        "empty.txt": "empty",
        "nowhere.txt": "missing",
        "pipe.txt": "not_a_file",
        "self.txt": "missing",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# a comment\nb.txt\n\na.txt\n"),
        ("list.csv", "note,path\nsecond,b.txt\nfirst,a.txt\n"),
        ("list.jsonl", '{"path": "b.txt"}\n\n{"path": "a.txt", "note": 1}\n'),
        ("bom.csv", "\ufeffpath\na.txt\nb.txt\n"),
    ],
)
def test_a_manifest_names_files_from_its_own_folder(tmp_path: Path, name: str, text: str) -> None:
    _tree(tmp_path, "lists/a.txt", "lists/b.txt")
    (tmp_path / "lists" / name).write_text(text)
    items = _expand(tmp_path, manifest=f"lists/{name}")
    assert [item.location for item in items] == [tmp_path / "lists" / n for n in ("a.txt", "b.txt")]


@pytest.mark.usefixtures("testkinds")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("list.csv", b"file\na.txt\n", "lacks a `path`"),
        ("short.csv", b"note,path\nonly-a-note\n", "lacks a `path`"),
        ("list.jsonl", b'{"file": "a.txt"}\n', "lacks a `path`"),
        ("number.jsonl", b'{"path": 7}\n', "lacks a `path`"),
        ("cut.jsonl", b'{"path": "a.t', "lacks a `path`"),
        ("array.jsonl", b"[1]\n", "lacks a `path`"),
        ("list.txt", b"\xff\xfe\x00", "is not UTF-8"),
        ("empty.txt", b"# nothing\n", "nothing matches"),
        ("absent.txt", None, "cannot be read"),
    ],
)
def test_a_bad_manifest_is_an_error_of_the_document_that_names_it(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DocumentError, match=words) as caught:
        expand_inputs(_order(tmp_path, MANIFEST.replace("NAME", name)), ["one"])
    assert name in str(caught.value)
    assert "inputs.files" in str(caught.value)


def test_excluded_files_folders_and_patterns_are_left_out(tmp_path: Path) -> None:
    _tree(tmp_path, "a.txt", "b.txt", "old/c.txt", "new/d.txt", "new/e.tmp.txt")
    found = _ids(tmp_path, files=["**/*.txt"], exclude=["b.txt", "old", "**/*.tmp.txt"])
    assert found == ["a.txt", "new/d.txt"]


def test_a_file_that_two_patterns_name_is_one_item(tmp_path: Path) -> None:
    _tree(tmp_path, "a.txt", "b.txt")
    assert _ids(tmp_path, files=["a.txt", "*.txt", "./a.txt"]) == ["a.txt", "b.txt"]


def test_equal_names_from_two_roots_are_numbered_apart(tmp_path: Path) -> None:
    _tree(tmp_path, "one/a.txt", "two/a.txt", "three/a.txt")
    items = _expand(tmp_path, files=["one/*.txt", "two/*.txt", "three/*.txt"])
    assert [item.id for item in items] == ["a.txt", "a.txt#2", "a.txt#3"]
    assert len({item.location for item in items}) == 3


def test_a_file_called_like_a_numbered_one_gets_an_id_of_its_own(tmp_path: Path) -> None:
    _tree(tmp_path, "one/a.txt", "two/a.txt", "one/a.txt#2")
    assert len(set(_ids(tmp_path, files=["one/*", "two/*"]))) == 3


@pytest.mark.usefixtures("testkinds")
def test_equal_names_of_two_inputs_stay_apart(tmp_path: Path) -> None:
    _tree(tmp_path, "a/x.txt", "b/x.txt")
    found = expand_inputs(_order(tmp_path, TWO_INPUTS), ["one", "two"])
    assert {name: [i.id for i in items] for name, items in found.items()} == {
        "first": ["first/x.txt"],
        "second": ["second/x.txt"],
    }


@pytest.mark.usefixtures("testkinds")
def test_an_input_that_matches_nothing_says_what_was_sought_and_from_where(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"inputs\.first: nothing matches a/\*\.txt") as caught:
        expand_inputs(_order(tmp_path, TWO_INPUTS), ["one"])
    assert str(tmp_path) in caught.value.hint


def test_each_folder_of_a_folder_input_is_one_item_of_its_files_in_order(tmp_path: Path) -> None:
    _tree(tmp_path, "s1/f10.png", "s1/f2.png", "s1/.thumbs", "s2/f1.png", "loose.png")
    (tmp_path / "s3").mkdir()
    items = _expand(tmp_path, folders=["s*"])
    assert [(i.id, i.member_names) for i in items] == [
        ("s1", ("f2.png", "f10.png")),
        ("s2", ("f1.png",)),
        ("s3", ()),
    ]
    assert _refusals(tmp_path, items) == {"s3": "empty"}


def test_names_that_are_no_text_are_shown_as_text(tmp_path: Path) -> None:
    raw = os.fsdecode(b"caf\xe9.txt")
    (tmp_path / raw).write_text("x")
    (item,) = _expand(tmp_path, files=["*.txt"])
    assert item.id == "caf\\xe9.txt"
    assert json.dumps(item.id, ensure_ascii=False).encode()
    assert item.location.read_text() == "x"
    assert printable("plain 😀.txt") == "plain 😀.txt"
