"""`documents.read` and `documents.searchable` as stage kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.errors import BadInput, DamagedOutput
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Failure, Outline, Result, Span, Staged
from millrace.tasks.documents import page_json
from millrace.tasks.documents.reading import opening, workload
from millrace.tasks.documents.reading.kind import Read
from millrace.tasks.documents.reading.params import ReadParams
from millrace.tasks.documents.reading.publishing import Searchable
from millrace.testing import conformance
from tests.tasks.documents.reading.paper import huge_pdf, scan, scan_pdf, text_pdf

LETTER = [(72.0, 742.0, "Total due: 12,50 EUR"), (72.0, 700.0, "Payable within 14 days")]
FAST = {"speed": "fast", "languages": ["eng"]}


def outline_of(sizes: list[list[float]], media_type: str = opening.PDF, **facts: bool) -> Outline:
    told = {"digest": "0", "locked": False, "sizes": sizes, **facts}
    return Outline.model_validate({"media_type": media_type, "size": 9, "facts": told})


def done(kind: Read | Searchable, path: Path, tmp: Path, name: str = "") -> list[Result | Failure]:
    """Returns what the kind answers to a whole file, its spans joined."""
    item = Staged(name=name or path.name, path=path)
    outline = kind.measure(item)
    spans = kind.split(outline)
    with kind.open(Device()) as session:
        batches = [
            Batch(key=f"{n}" * 20, item=item, outline=outline, span=span, whole=len(spans) == 1)
            for n, span in enumerate(spans)
        ]
        answers = list(kind.run(session, batches, tmp, lambda key, units: None))
        for batch, answer in zip(batches, answers, strict=True):
            if isinstance(answer, Result):
                kind.check(batch, answer)
        if len(spans) > 1:
            whole = Batch(
                key="f" * 20, item=item, outline=outline, span=Span(stop=spans[-1].stop), whole=True
            )
            parts = [answer for answer in answers if isinstance(answer, Result)]
            answers = [kind.join(session, whole, parts, tmp, lambda key, units: None)]
            kind.check(whole, answers[0])
    return answers


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, as a session has one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_pages_that_need_ocr_are_cut_into_short_spans_of_equal_load() -> None:
    spans = workload.spans(outline_of([[595, 842, 0, 40]]))

    assert [span.units for span in spans] == [4] * 10
    assert spans[-1].stop == 40


def test_pages_with_text_are_cut_into_long_spans() -> None:
    assert [s.units for s in workload.spans(outline_of([[595, 842, 1, 1200]]))] == [500, 500, 200]


def test_a_page_of_text_weighs_far_less_than_a_scan() -> None:
    scan_load = workload.load(outline_of([[595, 842, 0, 1]]))

    assert workload.load(outline_of([[595, 842, 1, 100]])) < scan_load
    assert workload.load(outline_of([[500, 900, 0, 1]], opening.JPEG)) < scan_load / 2


def test_too_many_pages_are_refused_before_they_are_read() -> None:
    with pytest.raises(BadInput) as refusal:
        Read(ReadParams(max_pages=99)).work(outline_of([[595, 842, 1, 100]]))

    assert refusal.value.code == "too_large"


def test_a_document_of_several_spans_is_joined_into_one(here: Path) -> None:
    path = text_pdf(here / "a.pdf", [LETTER] * 3)
    kind = Read(ReadParams())
    item = Staged(name="a.pdf", path=path)
    outline = kind.measure(item)
    with kind.open(Device()) as session:
        batches = [
            Batch(key=f"{n}" * 20, item=item, outline=outline, span=span, whole=False)
            for n, span in enumerate((Span(stop=1), Span(start=1, stop=3)))
        ]
        parts = list(kind.run(session, batches, here, lambda k, u: None))
        whole = Batch(key="f" * 20, item=item, outline=outline, span=Span(stop=3), whole=True)
        results = [part for part in parts if isinstance(part, Result)]
        joined = kind.join(session, whole, results, here, lambda k, u: None)
    kind.check(whole, joined)
    (uncut,) = done(kind, path, here)

    assert isinstance(uncut, Result)
    assert joined.path.read_bytes() == uncut.path.read_bytes()
    assert joined.facts == uncut.facts


def test_a_locked_document_is_read_with_a_password_of_the_environment(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = text_pdf(here / "a.pdf", [LETTER] * 2, password="sésame")

    (refused,) = done(Read(ReadParams()), path, here)
    monkeypatch.setenv("MILLRACE_PASSWORDS", "wrong\nsésame")
    (read,) = done(Read(ReadParams()), path, here)

    assert isinstance(refused, Failure)
    assert (refused.code, refused.fault) == ("needs_password", "input")
    assert isinstance(read, Result)
    assert page_json.numbers(read.path.read_bytes()) == [1, 2]


def test_a_page_that_cannot_be_read_makes_the_document_partial(here: Path, data: Path) -> None:
    (read,) = done(Read(ReadParams()), data / "nasty_pdfs" / "pdfjs__Pages-tree-refs.pdf", here)

    assert isinstance(read, Result)
    assert read.notes[0] == "partial: 1 of 2 pages"
    assert "page 2 is missing (damaged)" in read.notes
    document = page_json.load(read.path.read_bytes())
    assert document.pages[1].trouble is not None
    assert "Testcase" in document.text


def test_a_document_of_which_no_page_can_be_read_is_refused(here: Path) -> None:
    (refused,) = done(Read(ReadParams()), huge_pdf(here / "a.pdf", 16_000), here, "plan.pdf")

    assert isinstance(refused, Failure)
    assert refused.code == "too_large"
    assert "plan.pdf" in refused.message


def test_a_result_that_lacks_a_page_is_damaged(here: Path) -> None:
    kind, path = Read(ReadParams()), text_pdf(here / "a.pdf", [LETTER] * 2)
    item = Staged(name="a.pdf", path=path)
    outline = kind.measure(item)
    batch = Batch(key="0" * 20, item=item, outline=outline, span=Span(stop=3), whole=True)
    (answer,) = done(kind, path, here)

    assert isinstance(answer, Result)
    with pytest.raises(DamagedOutput):
        kind.check(batch, answer)


def test_a_folder_of_results_is_named_by_what_they_are() -> None:
    from millrace.engine.single import single_stage

    asked = {"documents.read": ".json", "documents.searchable": ".pdf"}
    for kind, suffix in asked.items():
        order = single_stage(kind, ["a.pdf", "b.tif"], "out/", {})
        assert order.pipeline.outputs["result"].to.endswith("{source.name}" + suffix)


@pytest.mark.slow
def test_a_scan_becomes_a_pdf_that_can_be_searched(here: Path) -> None:
    path = scan_pdf(here / "a.pdf", [scan([(100, 200, "Invoice 4711 of today")])])

    (answer,) = done(Searchable(ReadParams(speed="fast", languages=("eng",))), path, here)

    assert isinstance(answer, Result)
    assert answer.media_type == opening.PDF
    (again,) = done(Read(ReadParams()), answer.path, here)
    assert isinstance(again, Result)
    (page,) = page_json.load(again.path.read_bytes()).pages
    layer = next(r for r in page.readings if r.mode == "layer")
    assert "Invoice 4711 of today" in " ".join(line.text for line in layer.lines)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["documents.read", "documents.searchable"])
def test_the_kinds_conform(tmp_path: Path, kind: str) -> None:
    good = [
        scan_pdf(tmp_path / "scan.pdf", [scan([(100, 200, "Invoice 4711")], (600, 400))]),
        text_pdf(tmp_path / "long.pdf", [LETTER] * 501),
    ]
    bad = [tmp_path / "a.zip", tmp_path / "broken.pdf", tmp_path / "picture.png"]
    bad[0].write_bytes(b"PK\x03\x04")
    bad[1].write_bytes(b"%PDF-1.7 nothing")
    bad[2].write_bytes(b"\x89PNG\r\n\x1a\n and no more")

    conformance(kind, FAST, good, bad, tmp_path / "bench")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ocrmypdf__hugemono.pdf", "too_large"),
        ("ocrmypdf__invalid.pdf", "damaged"),
        ("paperless__encrypted.pdf", "needs_password"),
        ("pdfjs__issue6010_2.pdf", "needs_password"),
        ("pdfjs__poppler-395-0-fuzzed.pdf", "damaged"),
        ("pdfjs__poppler-742-0-fuzzed.pdf", "damaged"),
        ("pdfjs__poppler-85140-0.pdf", "too_large"),
        ("pdfjs__Pages-tree-refs.pdf", "partial"),
        ("pdfjs__empty_protected.pdf", "done"),
        ("pdfjs__jbig2_file_header.pdf", "done"),
        ("paperless__invalid_pdf.pdf", "done"),
        ("paperless__test_with_bom.pdf", "done"),
        ("pikepdf__cyclic-toc.pdf", "done"),
        ("pdfjs__rotation.pdf", "done"),
    ],
)
def test_an_awkward_file_ends_as_it_should(
    here: Path, data: Path, name: str, expected: str
) -> None:
    kind = Read(ReadParams(speed="fast"))
    try:
        (answer,) = done(kind, data / "nasty_pdfs" / name, here)
    except BadInput as refusal:
        assert refusal.code == expected
        return
    if isinstance(answer, Failure):
        assert answer.code == expected
    else:
        assert ("partial" if answer.facts["trouble"] else "done") == expected
