"""Stages that take many items as one, and stages that take others along."""

from __future__ import annotations

import pytest

from tests.engine.runs.conftest import Workshop

BOOK = """
version: 1
name: book
label: internal
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
  book: {uses: faults.gather, all: one}
outputs:
  book: {from: book, to: out/book.txt}
"""
STRAIGHT = BOOK.replace("  one: {uses: faults.bytes, each: files}\n", "").replace(
    "all: one", "all: files"
)
BESIDE = """
version: 1
name: beside
label: internal
inputs:
  files: {files: "in/*.txt"}
  heads: {files: "HEADS"}
stages:
  one: {uses: faults.bytes, each: heads}
  two: {uses: faults.beside, each: files, using: {head: SOURCE}}
outputs:
  pages: {from: two, to: "out/{source.path}.txt"}
"""


def _beside(heads: str, source: str) -> str:
    return BESIDE.replace("HEADS", heads).replace("SOURCE", source)


def _head(shop: Workshop, name: str, content: str) -> None:
    folder = shop.folder / "heads"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)


@pytest.mark.slow
def test_items_are_gathered_in_natural_order_under_their_own_names(shop: Workshop) -> None:
    for n in (10, 9, 1, 2):
        shop.file(f"page{n}.txt", f"text {n}")
    for text in (STRAIGHT, BOOK):
        outcome = shop.run(text, overwrite=True)
        assert outcome.state == "succeeded", outcome.failures
        book = "".join(f"page{n}.txt: text {n}\n" for n in (1, 2, 9, 10))
        assert shop.out() == {"book.txt": book.encode()}


@pytest.mark.slow
def test_gathering_waits_until_the_last_item_has_come(shop: Workshop) -> None:
    for n in range(5):
        shop.file(f"page{n}.txt", f"{n}\n" * 1500 * n + "x")
    shop.run(BOOK)
    records = [(r.event, r.stage) for r in shop.runs[-1].records()]
    last = max(i for i, one in enumerate(records) if one == ("finished", "one"))
    first = min(i for i, (event, stage) in enumerate(records) if event == "cut" and stage == "book")
    assert last < first
    assert records.count(("finished", "one")) == 5


@pytest.mark.slow
def test_nothing_is_gathered_when_one_item_is_missing_and_the_others_are_kept(
    shop: Workshop,
) -> None:
    shop.file("a.txt", "fine")
    shop.file("b.txt", "!bad-run")
    outcome = shop.run(BOOK)
    codes = {(f.stage, f.item): f.code for f in outcome.failures}
    assert codes == {("one", "b.txt"): "rotten", ("book", "book"): "incomplete"}
    assert not (shop.folder / "out").exists()
    assert outcome.exit_code == 1

    shop.file("b.txt", "mended")
    again = shop.run(BOOK)
    assert again.state == "succeeded"
    assert shop.out() == {"book.txt": b"a.txt: fine\nb.txt: mended\n"}
    assert [e["item"] for e in shop.events("reused")] == ["a.txt"]


def test_an_unreadable_input_is_missing_from_what_is_gathered_straight(shop: Workshop) -> None:
    shop.file("a.txt", "fine")
    shop.file("empty.txt", "")
    outcome = shop.run(STRAIGHT)
    assert outcome.state == "failed"
    assert [f.stage for f in outcome.failures] == ["book"]
    assert "empty.txt" in outcome.failures[0].reason


def test_a_second_run_reuses_what_was_gathered_until_an_item_or_its_name_changes(
    shop: Workshop,
) -> None:
    first = shop.file("a.txt", "one")
    shop.file("b.txt", "two")
    shop.run(STRAIGHT)
    assert shop.run(STRAIGHT).items == {"done": 0, "reused": 1, "failed": 0}
    shop.file("b.txt", "new")
    assert shop.run(STRAIGHT).items["done"] == 1
    assert shop.out() == {"book.txt": b"a.txt: one\nb.txt: new\n"}
    first.rename(first.with_name("c.txt"))
    shop.run(STRAIGHT)
    assert shop.out() == {"book.txt": b"b.txt: new\nc.txt: one\n"}


def test_one_side_input_goes_along_with_every_item(shop: Workshop) -> None:
    for name in ("a", "b"):
        shop.file(f"{name}.txt", name)
    _head(shop, "head.txt", "H")
    for source in ("heads", "one"):
        outcome = shop.run(_beside("heads/head.txt", source), overwrite=True)
        assert outcome.state == "succeeded", outcome.failures
        assert shop.out() == {"a.txt": b"head=H;a", "b.txt": b"head=H;b"}


def test_many_side_inputs_go_along_with_the_items_of_their_names(shop: Workshop) -> None:
    for name in ("a", "b", "alone"):
        shop.file(f"{name}.txt", name)
    for name in ("b", "a", "nobody"):
        _head(shop, f"{name}.txt", f"for {name}")
    outcome = shop.run(_beside("heads/*.txt", "one"))
    assert shop.out() == {"a.txt": b"head=for a;a", "b.txt": b"head=for b;b"}
    assert [(f.stage, f.item, f.code) for f in outcome.failures] == [
        ("two", "files/alone.txt", "incomplete")
    ]
    assert "head" in outcome.failures[0].reason


@pytest.mark.slow
def test_a_changed_side_input_does_the_items_again_and_a_rotten_one_fails_them(
    shop: Workshop,
) -> None:
    shop.file("a.txt", "a")
    _head(shop, "head.txt", "before")
    text = _beside("heads/head.txt", "one")
    shop.run(text)
    assert shop.run(text).items["done"] == 0
    _head(shop, "head.txt", "after")
    shop.run(text)
    assert shop.out() == {"a.txt": b"head=after;a"}
    _head(shop, "head.txt", "!bad")
    codes = {f.stage: f.code for f in shop.run(text).failures}
    assert codes == {"one": "rotten", "two": "incomplete"}
