"""A child that crashes or hangs is one page's failure; the others are read."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from millrace.engine.errors import BadInput
from millrace.tasks.documents.reading import isolation, opening
from millrace.tasks.documents.reading.isolation import Reader, Source
from millrace.tasks.documents.reading.params import ReadParams
from tests.tasks.documents.reading.paper import text_pdf


@pytest.fixture
def source(tmp_path: Path) -> Source:
    pages = [[(72.0, 700.0, f"This is page {n} of a letter")] for n in range(1, 6)]
    return Source(text_pdf(tmp_path / "a.pdf", pages), opening.PDF, "a.pdf")


def child_of(reader: Reader) -> int:
    assert reader._child is not None
    return reader._child._process.pid


def test_pages_come_in_order_with_what_is_known_of_them(source: Source, tmp_path: Path) -> None:
    with Reader(ReadParams(), tmp_path) as reader:
        answers = list(reader.read(source, 2, 4))

    assert [(a.number, a.origin, a.words, a.trouble) for a in answers] == [
        (number, "text", 7, None) for number in (2, 3, 4)
    ]


def test_a_child_that_crashes_costs_one_page(source: Source, tmp_path: Path) -> None:
    with Reader(ReadParams(), tmp_path) as reader:
        reader.survey(source)
        os.kill(child_of(reader), signal.SIGKILL)
        answers = list(reader.read(source, 1, 5))

    assert [a.trouble and a.trouble.code for a in answers] == ["crashed", None, None, None, None]
    assert [a.number for a in answers] == [1, 2, 3, 4, 5]


def test_a_child_that_hangs_costs_one_page(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reader(ReadParams(page_seconds=20), tmp_path) as reader:
        reader.survey(source)
        os.kill(child_of(reader), signal.SIGSTOP)
        hung = child_of(reader)
        monkeypatch.setattr(isolation, "OPEN_SECONDS", -19.0)  # so that the first page has 1 s
        answers = reader.read(source, 1, 2)
        first = next(answers)
        monkeypatch.undo()
        rest = list(answers)

    assert first.trouble is not None
    assert first.trouble.code == "timeout"
    assert [a.trouble for a in rest] == [None]
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)


def test_a_document_that_crashes_again_and_again_is_given_up(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation.sys, "executable", "/bin/false")
    with Reader(ReadParams(), tmp_path) as reader:
        answers = list(reader.read(source, 1, 7))

    assert [a.trouble and a.trouble.code for a in answers] == ["crashed"] * 7
    assert "not tried" in (answers[-1].trouble.message if answers[-1].trouble else "")


def test_a_document_that_cannot_be_opened_is_refused_and_the_next_is_read(
    source: Source, tmp_path: Path
) -> None:
    broken = tmp_path / "b.pdf"
    broken.write_bytes(b"%PDF-1.7 and nothing")
    with Reader(ReadParams(), tmp_path) as reader:
        with pytest.raises(BadInput) as refusal:
            list(reader.read(Source(broken, opening.PDF, "b.pdf"), 1, 1))
        pid = child_of(reader)
        assert len(list(reader.read(source, 1, 1))) == 1
        assert child_of(reader) == pid

    assert refusal.value.code == "damaged"


def test_a_reader_that_was_closed_leaves_no_process(source: Source, tmp_path: Path) -> None:
    reader = Reader(ReadParams(), tmp_path)
    reader.survey(source)
    pid = child_of(reader)

    reader.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
