"""A read document is kept as JSON, and comes back as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millrace.tasks.documents import page_json
from millrace.tasks.documents.pages import (
    Box,
    Cell,
    Document,
    Line,
    Page,
    Reading,
    Table,
    Trouble,
    Word,
)


def line(*texts: str, y: float = 10.0) -> Line:
    words = tuple(
        Word(text, Box(20.0 * n, y, 20.0 * n + 15, y + 10), 0.5 + n / 10)
        for n, text in enumerate(texts)
    )
    return Line(" ".join(texts), Box(0.0, y, 20.0 * len(texts) - 5, y + 10), words)


def document() -> Document:
    lines = (line("Total", "12,50"), line("发票", y=30.0))
    other = (line("Tota1", "12,50"),)
    full = Page(
        number=1,
        width=1240.0,
        height=1754.0,
        dpi=150.0,
        origin="ocr",
        lines=lines,
        blocks=((0, 1),),
        tables=(
            Table(Box(0, 0, 9, 9), ((Cell("a", Box(0, 0, 4, 9)), Cell("", Box(5, 0, 9, 9))),)),
        ),
        readings=(
            Reading("tesseract", "5.3.0", "psm 6", lines, 0.25),
            Reading("rapidocr", "3.10", "fast", other, 1.5),
        ),
        language="eng",
        rotation=90,
        skew=-1.25,
        preview=b"\xff\xd8 a picture",
        preview_scale=0.5,
        notes=("its text layer is broken: spaced glyphs",),
    )
    lost = Page(2, 0.0, 0.0, 72.0, "none", trouble=Trouble("crashed", "page 2: it fell over"))
    return Document("a.pdf", "0" * 64, "application/pdf", (full, lost))


def test_a_document_comes_back_as_it_was() -> None:
    assert page_json.load(page_json.dump(document())) == document()


def test_the_same_document_is_always_the_same_bytes() -> None:
    once = page_json.dump(document())

    assert page_json.dump(document()) == once
    assert page_json.dump(page_json.load(once)) == once


def test_believed_lines_are_written_once() -> None:
    assert page_json.dump(document()).count("发票".encode()) == 2  # a line's text, and its word's


def test_a_document_of_pages_in_json_is_the_document_itself() -> None:
    whole = document()
    bodies = [page_json.dump_page(page) for page in whole.pages]

    assert page_json.assembled(
        whole.name, whole.digest, whole.media_type, bodies
    ) == page_json.dump(whole)


def test_parts_are_joined_in_their_order() -> None:
    whole = document()
    parts = [page_json.dump(replace(whole, pages=(page,))) for page in whole.pages]

    assert page_json.joined(parts) == page_json.dump(whole)
    assert page_json.numbers(page_json.joined(parts)) == [1, 2]


def test_texts_are_joined_by_lines_and_pages() -> None:
    assert document().text == "Total 12,50\n发票\f"
    assert [word.text for _, word in document().words()] == ["Total", "12,50", "发票"]


def test_a_line_is_as_sure_as_its_letters() -> None:
    assert line("Total", "12,50").confidence == pytest.approx(0.55)
    assert Line("", Box(0, 0, 0, 0), ()).confidence == 0.0


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"format": 1}', b'{"format": 99}', b"null", b'"text"']
)
def test_anything_else_is_refused(data: bytes) -> None:
    for reads in (page_json.load, page_json.numbers):
        with pytest.raises(ValueError, match=r".+"):
            reads(data)


def test_no_parts_are_no_document() -> None:
    with pytest.raises(ValueError, match="not parts"):
        page_json.joined([])
